//! Folders below `target/` that hold what was fetched, whole or not at all.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    launch::{self, Identity},
    process,
    signals::Signals,
};

/// Unpacks into a draft and moves it to its place when complete, so that what is there is whole.
pub(crate) fn unpacked(
    folder: &Path,
    fill: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let parent = folder.parent().context("a folder below target/")?;
    fs::create_dir_all(parent)?;
    let draft = tempfile::Builder::new()
        .prefix("draft-")
        .tempdir_in(parent)?;
    // Others may have to reach it: PostgreSQL does not run as root.
    fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o755))?;
    fill(draft.path())?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(draft.path(), folder)?;
    Ok(())
}

/// Runs a tool in a folder; what it says is shown only if it fails.
pub(crate) fn run(
    name: &'static str,
    tool: &Path,
    folder: &Path,
    arguments: &[&str],
    signals: &Signals,
) -> anyhow::Result<()> {
    let log = folder.join("log");
    let file = fs::File::create(&log)?;
    let mut command = launch::command(tool, Identity::Own, Signal::SIGKILL);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    let status = process::run(name, command, signals)?;
    let said = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(&log)?;
    let last = said
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no message");
    anyhow::ensure!(status.success(), "{last}");
    Ok(())
}
