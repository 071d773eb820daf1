//! The program that has the feature.

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Context;
use nix::sys::signal::SigSet;

use crate::{
    cargo,
    checkout::Checkout,
    exit::{Exit, Failed},
    process,
    progress::{self, Step},
    signals::Signals,
};

/// Builds `xtask-aws` unless it is up to date, and gives its place.
///
/// # Errors
/// Where it does not compile.
fn build(checkout: &Checkout, signals: &Signals) -> anyhow::Result<PathBuf> {
    let program = checkout.target.join("debug/xtask-aws");
    let is_new = !program.exists();
    if is_new {
        progress::say("            the verbs for AWS are built, once: it takes some minutes");
    }
    let step = Step::start();
    let mut command = cargo::command();
    command.args(["build", "--package", "xtask", "--bin", "xtask-aws"]);
    command.args(["--features", "aws"]);
    if !is_new {
        command.arg("--quiet");
    }
    let status = process::run("cargo build", command, signals)?;
    if !status.success() {
        return Err(Failed::because(
            Exit::Internal,
            "the verbs for AWS do not compile",
        ));
    }
    if is_new {
        step.done("the verbs for AWS are built");
    }
    Ok(program)
}

/// Puts it in this process's place, with the same arguments.
///
/// # Errors
/// Where it cannot be built or started.
pub(crate) fn start(signals: &Signals) -> anyhow::Result<ExitCode> {
    let program = build(&Checkout::find()?, signals)?;
    let mut command = Command::new(&program);
    command.args(std::env::args_os().skip(1));
    // It decides by itself which signals it waits for.
    SigSet::empty()
        .thread_set_mask()
        .context("the signal mask cannot be cleared")?;
    Err(command.exec()).with_context(|| format!("{} cannot be started", program.display()))
}
