//! cargo-deny, which is installed beside the build where a machine lacks it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;

use crate::{
    cargo,
    checkout::Checkout,
    environment,
    launch::{self, Identity},
    process,
    progress::Step,
    signals::Signals,
};

const VERSION: &str = "0.20.2";

/// The check of everything that needs no network, as `deny.toml` has it.
pub(super) fn command(checkout: &Checkout, signals: &Signals) -> anyhow::Result<Command> {
    let mut command = launch::command(program(checkout, signals)?, Identity::Own, Signal::SIGTERM);
    command
        .args([
            "--offline",
            "check",
            "--hide-inclusion-graph",
            "bans",
            "licenses",
            "sources",
        ])
        .current_dir(&checkout.root);
    Ok(command)
}

fn program(checkout: &Checkout, signals: &Signals) -> anyhow::Result<PathBuf> {
    if let Some(installed) = environment::on_path("cargo-deny") {
        return Ok(installed);
    }
    let tools = checkout.target.join("tools");
    let own = tools.join("bin/cargo-deny");
    if !own.is_file() {
        let step = Step::start();
        let status = process::run("cargo install", install(&tools), signals)?;
        anyhow::ensure!(status.success(), "cargo-deny cannot be installed");
        std::fs::remove_dir_all(tools.join("build"))?;
        step.done(format_args!(
            "cargo-deny {VERSION} installed in {}",
            tools.display()
        ));
    }
    Ok(own)
}

fn install(root: &Path) -> Command {
    let mut command = cargo::command();
    command
        .args([
            "install",
            "--quiet",
            "--locked",
            "cargo-deny",
            "--version",
            VERSION,
            "--root",
        ])
        .arg(root)
        // Not among our own artefacts.
        .env("CARGO_TARGET_DIR", root.join("build"));
    command
}
