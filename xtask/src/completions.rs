//! `cargo xtask completions`: what a shell needs to complete the verbs and their arguments.

use std::{io::Write, process::ExitCode};

use clap::Command;
use clap_complete::Shell;

/// Write a shell's completions of all verbs to standard output
///
/// They are for a command called `xtask`; docs/development.md shows how `cargo xtask` gets them.
///
/// Example: cargo xtask completions fish > ~/.config/fish/completions/xtask.fish
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut cli: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli, "xtask", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
