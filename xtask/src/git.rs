//! Git, for the verbs that ask which commit this checkout is and which it was.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::exit::{Exit, Failed};

/// How a folder without a commit gets one.
const WAY_ON: &str = "Work in a clone (`git clone URL`), or give this folder a commit of its own: \
                      `git init && git add --all && git commit -m start`";

/// What `git` writes to standard output when it runs in `root`.
///
/// # Errors
/// With what it writes to standard error; [`Exit::Usage`] where there is no `git`.
pub(crate) fn ask(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(root, arguments).output().map_err(|error| {
        let why = format!("git cannot be run ({error}): install it, for this needs a commit");
        Failed::because(Exit::Usage, why)
    })?;
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
    command
        // A checkout may belong to somebody else, as in a container of CI.
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(root)
        .env("TZ", "UTC")
        .stdin(Stdio::null());
    command
}

/// Makes sure that Git knows this folder: an archive from the web has no history, and a repository around the folder
/// may know nothing of it.
///
/// # Errors
/// [`Exit::Usage`] with the reason and the way on.
pub(crate) fn knows(root: &Path) -> anyhow::Result<()> {
    let refused = |why: &str| {
        let why = format!(
            "this needs a commit, and {} {why}. {WAY_ON}",
            root.display()
        );
        Err(Failed::because(Exit::Usage, why))
    };
    let around = match ask(root, &["rev-parse", "--show-toplevel"]) {
        Ok(around) => around.trim().to_owned(),
        Err(error) if error.is::<Failed>() => return Err(error),
        Err(_) => return refused("is not a Git checkout"),
    };
    if find(root, "HEAD").is_none() {
        return refused("is a repository without one");
    }
    if ask(root, &["ls-tree", "--name-only", "HEAD"])?.is_empty() {
        return refused(&format!("is in no commit of the repository {around}"));
    }
    Ok(())
}

/// The whole hash of a commit, if Git knows one of that name.
pub(crate) fn find(root: &Path, name: &str) -> Option<String> {
    let commit = format!("{name}^{{commit}}");
    let line = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &commit,
    ];
    Some(ask(root, &line).ok()?.trim().to_owned())
}

/// What differs from the commit, as `git status` lists it. What lies beside this folder in a larger repository is left
/// out.
///
/// # Errors
/// Where Git does not know this folder.
pub(crate) fn changes(root: &Path) -> anyhow::Result<Vec<String>> {
    let listed = ask(root, &["status", "--porcelain", "--", "."])?;
    Ok(listed.lines().map(str::to_owned).collect())
}

/// Whether the history of this clone is cut off.
///
/// # Errors
/// Where Git does not know this folder.
pub(crate) fn is_shallow(root: &Path) -> anyhow::Result<bool> {
    Ok(ask(root, &["rev-parse", "--is-shallow-repository"])?.trim() == "true")
}
