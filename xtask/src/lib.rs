//! The operator's door: everything that is done to this workspace, one verb each.

mod aws;
mod bench;
mod cargo;
mod chaos;
mod checkout;
mod ci;
mod completions;
mod contract;
mod dev;
mod dockerfile;
#[cfg(test)]
mod documented;
mod emulator;
mod environment;
mod environments;
mod exit;
mod git;
mod image;
#[cfg(feature = "aws")]
mod input;
mod jobs;
mod launch;
mod lint;
mod operate;
mod prober;
mod process;
mod progress;
mod queries;
mod rehearse;
mod release;
mod render;
mod run_folder;
mod servers;
mod shell;
mod signals;
mod spans;
mod test;
mod tools;
mod unpacking;
mod workflows;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::signals::{Interrupted, Signals};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Runs, tests and checks TaskHub",
    version
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Dev(dev::Arguments),
    Test(test::Arguments),
    Jobs(jobs::Arguments),
    Queries(queries::Arguments),
    Render(render::Arguments),
    Rehearse(rehearse::Arguments),
    Ci(ci::Arguments),
    Lint(lint::Arguments),
    Emulator(emulator::Arguments),
    Tools(tools::Arguments),
    Chaos(chaos::Arguments),
    Bench(bench::Arguments),
    Image(image::Arguments),
    Completions(completions::Arguments),
    Release(release::Arguments),
    Workflows(workflows::Arguments),
    #[command(flatten)]
    Operate(operate::Verb),
    #[command(hide = true)]
    Launch(launch::Arguments),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Dev(arguments) => with_signals(|signals| dev::run(&arguments, signals)),
        Verb::Test(arguments) => with_signals(|signals| test::run(&arguments, signals)),
        Verb::Jobs(arguments) => jobs::run(&arguments),
        Verb::Queries(arguments) => with_signals(|signals| queries::run(&arguments, signals)),
        Verb::Render(arguments) => render::run(&arguments),
        Verb::Rehearse(arguments) => with_signals(|signals| rehearse::run(&arguments, signals)),
        Verb::Ci(arguments) => with_signals(|signals| ci::run(&arguments, signals)),
        Verb::Lint(arguments) => with_signals(|signals| lint::run(&arguments, signals)),
        Verb::Emulator(arguments) => with_signals(|signals| emulator::run(&arguments, signals)),
        Verb::Tools(arguments) => with_signals(|signals| tools::run_verb(&arguments, signals)),
        Verb::Chaos(arguments) => with_signals(|signals| chaos::run(&arguments, signals)),
        Verb::Bench(arguments) => with_signals(|signals| bench::run(&arguments, signals)),
        Verb::Image(arguments) => image::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Verb::Release(arguments) => with_signals(|signals| release::run(&arguments, signals)),
        Verb::Workflows(arguments) => workflows::run(&arguments),
        Verb::Operate(verb) => with_signals(|signals| operate::run(&verb, signals)),
        Verb::Launch(arguments) => launch::become_command(&arguments),
    };
    done.unwrap_or_else(|error| {
        if let Some(Interrupted(signal)) = error.downcast_ref() {
            return ExitCode::from(128_u8.saturating_add(*signal as u8));
        }
        progress::failure(&error);
        exit::of(&error).into()
    })
}

/// Runs a verb that starts other programs and must outlive a signal for as long as it takes to stop
/// them.
fn with_signals(
    verb: impl FnOnce(&Signals) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    verb(&Signals::block()?)
}
