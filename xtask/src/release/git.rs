//! What git knows of this checkout and of its past.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;

/// A commit that was named, and what it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Commit {
    /// As somebody named it: a tag, a branch, a part of its hash.
    pub(super) name: String,
    /// 40 hexadecimal digits.
    pub(super) hash: String,
}

/// What `git` writes to standard output.
///
/// # Errors
/// With what it writes to standard error.
pub(super) fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(root, arguments)
        .output()
        .context("git cannot be run")?;
    anyhow::ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    // A checkout may belong to somebody else, as in a container of CI.
    command
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null());
    command
}

/// The commit of that name, if there is one.
pub(super) fn find(root: &Path, name: &str) -> Option<Commit> {
    let wanted = format!("{name}^{{commit}}");
    let found = git(root, &["rev-parse", "--verify", "--quiet", &wanted]).ok()?;
    Some(Commit {
        name: name.to_owned(),
        hash: found.trim().to_owned(),
    })
}

/// The release before this one: the newest tag `v…` that HEAD came from, without one the commit before HEAD.
/// `None` in the first commit.
///
/// # Errors
/// Where the history is cut off, for then the answer would depend on where.
pub(super) fn earlier(root: &Path) -> anyhow::Result<Option<Commit>> {
    let is_shallow = git(root, &["rev-parse", "--is-shallow-repository"])?;
    anyhow::ensure!(
        is_shallow.trim() == "false",
        "this clone lacks its history: `git fetch --unshallow --tags`, or name a commit with --against"
    );
    let described = ["describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^"];
    let tag = git(root, &described).ok();
    let name = tag.as_deref().map_or("HEAD^", str::trim);
    Ok(find(root, name))
}

/// Whether `ancestor` is in the history of `commit`, or the same.
pub(super) fn is_ancestor(root: &Path, ancestor: &str, commit: &str) -> bool {
    let arguments = ["merge-base", "--is-ancestor", ancestor, commit];
    git(root, &arguments).is_ok()
}

/// What HEAD is, and whether files differ from it.
///
/// # Errors
/// Where this is no checkout of git's.
pub(super) fn head(root: &Path) -> anyhow::Result<(String, bool)> {
    let hash = git(root, &["rev-parse", "HEAD"])?;
    let is_clean = git(root, &["status", "--porcelain"])?.is_empty();
    Ok((hash.trim().to_owned(), is_clean))
}
