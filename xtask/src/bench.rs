//! `cargo xtask bench`: how fast TaskHub is beside what else one would take.

mod celery;
mod jobs;
mod measure;
mod usage;

use std::process::ExitCode;

use clap::Subcommand;

use crate::signals::Signals;

/// Measure TaskHub beside what else one would take
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    Jobs(jobs::Arguments),
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    match &arguments.subject {
        Subject::Jobs(arguments) => jobs::run(arguments, signals),
    }
}
