//! Which commits a release is compared with.

use std::path::Path;

use crate::{
    exit::{Exit, Failed},
    git,
};

/// A commit that was named, and what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Commit {
    /// As somebody named it: a tag, a branch, a part of its hash.
    pub(super) name: String,
    /// 40 hexadecimal digits.
    pub(super) hash: String,
}

/// What a release is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Earlier {
    Known(Commit),
    /// There is nothing to compare with, and why.
    Nothing(String),
}

/// The commit of that name, if there is one.
pub(super) fn find(root: &Path, name: &str) -> Option<Commit> {
    Some(Commit {
        name: name.to_owned(),
        hash: git::find(root, name)?,
    })
}

/// What somebody named. A pipeline names the commit before a push by its whole hash: it is all zeros where the branch
/// is new, and a commit that is gone where the push was forced.
///
/// # Errors
/// [`Exit::Usage`] where a shorter name is unknown, and where a shallow clone cannot tell whether the commit is gone.
pub(super) fn named(root: &Path, name: &str) -> anyhow::Result<Earlier> {
    if is_whole_hash(name) && name.bytes().all(|byte| byte == b'0') {
        return Ok(Earlier::Nothing("the branch is new".to_owned()));
    }
    if let Some(commit) = find(root, name) {
        return Ok(Earlier::Known(commit));
    }
    if git::is_shallow(root)? {
        return Err(lacks_history(&format!("it has no commit {name}")));
    }
    if is_whole_hash(name) {
        let why = format!("commit {name} is gone, as after a forced push");
        return Ok(Earlier::Nothing(why));
    }
    let why = format!("git knows no commit {name}");
    Err(Failed::because(Exit::Usage, why))
}

/// SHA-1 or SHA-256.
fn is_whole_hash(name: &str) -> bool {
    matches!(name.len(), 40 | 64) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The release before this one: the newest tag `v…` that HEAD came from, without one the commit before HEAD.
///
/// # Errors
/// [`Exit::Usage`] where the history is cut off, for then the answer would depend on where.
pub(super) fn earlier(root: &Path) -> anyhow::Result<Earlier> {
    if git::is_shallow(root)? {
        return Err(lacks_history(
            "the earlier release may lie in what is cut off",
        ));
    }
    let described = ["describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^"];
    let tag = git::ask(root, &described).ok();
    let name = tag.as_deref().map_or("HEAD^", str::trim);
    let nothing = || Earlier::Nothing("there is no earlier release".to_owned());
    Ok(find(root, name).map_or_else(nothing, Earlier::Known))
}

fn lacks_history(why: &str) -> anyhow::Error {
    let why = format!(
        "this clone is shallow, and {why}: fetch the rest with `git fetch --unshallow --tags`, or name a commit that \
         it has with --against"
    );
    Failed::because(Exit::Usage, why)
}

/// Whether `ancestor` is in the history of `commit`, or the same.
pub(super) fn is_ancestor(root: &Path, ancestor: &str, commit: &str) -> bool {
    let arguments = ["merge-base", "--is-ancestor", ancestor, commit];
    git::ask(root, &arguments).is_ok()
}

/// What HEAD is, and whether files differ from it.
///
/// # Errors
/// Where this is no checkout of git's.
pub(super) fn head(root: &Path) -> anyhow::Result<(String, bool)> {
    let hash = git::ask(root, &["rev-parse", "HEAD"])?;
    Ok((hash.trim().to_owned(), git::changes(root)?.is_empty()))
}
