//! Other programs that an image is made with.

use std::{
    fs::File,
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    environment,
    launch::{self, Identity},
    process,
    signals::Signals,
};

/// A program of the `PATH` that ends with this one.
pub(super) fn command(program: &str, why: &str) -> anyhow::Result<Command> {
    let path: PathBuf = environment::on_path(program)
        .with_context(|| format!("{program} is not installed, and {why}"))?;
    Ok(launch::command(path, Identity::Own, Signal::SIGKILL))
}

/// Runs a command to its end and returns what it wrote to stdout; the last line of its stderr is the error.
pub(super) fn output(
    name: &'static str,
    mut command: Command,
    signals: &Signals,
) -> anyhow::Result<Vec<u8>> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?);
    let status = process::run(name, command, signals)?;
    let said = String::from_utf8_lossy(&contents(&mut err)?).into_owned();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    anyhow::ensure!(status.success(), "{name}: {}", last.unwrap_or("no message"));
    contents(&mut out)
}

/// Runs a command whose progress a person wants to see; stdout is ours alone.
pub(super) fn shown(
    name: &'static str,
    mut command: Command,
    signals: &Signals,
) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = process::run(name, command, signals)?;
    anyhow::ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}

fn contents(file: &mut File) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A path as an argument of a program that takes text.
pub(super) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is no text", path.display()))
}
