//! Verbs for operators of an environment in AWS.

mod bootstrap;
mod deploy;
mod destroy;
mod doctor;
mod drift;
mod exec;
mod lock;
mod logs;
mod plan;
mod releases;
mod repair;
mod rollback;
mod run;
mod scale;
mod secrets;
mod status;
mod verify;
mod watch;

use std::process::ExitCode;

#[cfg(not(feature = "aws"))]
use crate::aws;
use crate::{exit, signals::Signals};

#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    #[command(after_help = exit::help())]
    Doctor(doctor::Arguments),
    #[command(after_help = exit::help())]
    Plan(plan::Arguments),
    #[command(after_help = exit::help())]
    Verify(verify::Arguments),
    #[command(after_help = exit::help())]
    Bootstrap(bootstrap::Arguments),
    #[command(after_help = exit::help())]
    Deploy(deploy::Arguments),
    #[command(after_help = exit::help())]
    Rollback(rollback::Arguments),
    Status(status::Arguments),
    #[command(after_help = exit::help())]
    Watch(watch::Arguments),
    #[command(after_help = exit::help())]
    Logs(logs::Arguments),
    #[command(after_help = exit::help())]
    Run(run::Arguments),
    #[command(after_help = exit::help())]
    Exec(exec::Arguments),
    #[command(after_help = exit::help())]
    Scale(scale::Arguments),
    Releases(releases::Arguments),
    #[command(after_help = exit::help())]
    Lock(lock::Arguments),
    #[command(after_help = exit::help())]
    Repair(repair::Arguments),
    #[command(after_help = exit::help())]
    Drift(drift::Arguments),
    #[command(after_help = exit::help())]
    Destroy(destroy::Arguments),
    Secrets(secrets::Arguments),
}

#[cfg(not(feature = "aws"))]
pub(crate) fn run(verb: &Verb, signals: &Signals) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Doctor(arguments) if arguments.offline => doctor::offline(arguments),
        Verb::Deploy(arguments) => {
            // Before the verbs for AWS are compiled, which takes minutes.
            arguments.need_a_commit()?;
            aws::program::start(signals)
        }
        Verb::Doctor(_)
        | Verb::Plan(_)
        | Verb::Verify(_)
        | Verb::Bootstrap(_)
        | Verb::Rollback(_)
        | Verb::Status(_)
        | Verb::Watch(_)
        | Verb::Logs(_)
        | Verb::Run(_)
        | Verb::Exec(_)
        | Verb::Scale(_)
        | Verb::Releases(_)
        | Verb::Lock(_)
        | Verb::Repair(_)
        | Verb::Drift(_)
        | Verb::Destroy(_)
        | Verb::Secrets(_) => aws::program::start(signals),
    }
}

#[cfg(feature = "aws")]
pub(crate) fn run(verb: &Verb, signals: &Signals) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Doctor(arguments) => doctor::run(arguments, signals),
        Verb::Plan(arguments) => plan::run(arguments, signals),
        Verb::Verify(arguments) => verify::run(arguments, signals),
        Verb::Bootstrap(arguments) => bootstrap::run(arguments, signals),
        Verb::Deploy(arguments) => deploy::run(arguments, signals),
        Verb::Rollback(arguments) => rollback::run(arguments, signals),
        Verb::Status(arguments) => status::run(arguments, signals),
        Verb::Watch(arguments) => watch::run(arguments, signals),
        Verb::Logs(arguments) => logs::run(arguments, signals),
        Verb::Run(arguments) => run::run(arguments, signals),
        Verb::Exec(arguments) => exec::run(arguments, signals),
        Verb::Scale(arguments) => scale::run(arguments, signals),
        Verb::Releases(arguments) => releases::run(arguments, signals),
        Verb::Lock(arguments) => lock::run(arguments, signals),
        Verb::Repair(arguments) => repair::run(arguments, signals),
        Verb::Drift(arguments) => drift::run(arguments, signals),
        Verb::Destroy(arguments) => destroy::run(arguments, signals),
        Verb::Secrets(arguments) => secrets::run(arguments, signals),
    }
}
