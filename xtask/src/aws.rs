//! Verbs that speak to AWS.
//!
//! Their SDK takes minutes to compile, so it is behind the feature `aws`, and without it a verb starts the program
//! that has it: `xtask-aws`, which cargo builds where it is not there or out of date.

#[cfg(feature = "aws")]
pub(crate) mod account;
#[cfg(feature = "aws")]
pub(crate) mod apply;
#[cfg(feature = "aws")]
pub(crate) mod audit;
#[cfg(any(feature = "aws", test))]
pub(crate) mod diagnosis;
#[cfg(feature = "aws")]
pub(crate) mod differences;
#[cfg(feature = "aws")]
pub(crate) mod errors;
#[cfg(feature = "aws")]
mod events;
#[cfg(any(feature = "aws", test))]
mod holder;
#[cfg(feature = "aws")]
pub(crate) mod leftovers;
#[cfg(feature = "aws")]
pub(crate) mod lock;
#[cfg(feature = "aws")]
pub(crate) mod once;
#[cfg(feature = "aws")]
pub(crate) mod parameters;
#[cfg(not(feature = "aws"))]
pub(crate) mod program;
#[cfg(any(feature = "aws", test))]
pub(crate) mod release;
#[cfg(feature = "aws")]
pub(crate) mod releases;
#[cfg(feature = "aws")]
pub(crate) mod stacks;
#[cfg(feature = "aws")]
pub(crate) mod state;
#[cfg(feature = "aws")]
pub(crate) mod tasks;
#[cfg(any(feature = "aws", test))]
pub(crate) mod triage;

use std::process::ExitCode;

use crate::{
    bootstrap, contract::Task, deploy, destroy, doctor, drift, environments::Name, exec, exit,
    lock as lock_verb, logs, plan, releases as releases_verb, repair, rollback, run as run_verb,
    scale, secrets, signals::Signals, status, verify, watch,
};

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
    Run(run_verb::Arguments),
    #[command(after_help = exit::help())]
    Exec(exec::Arguments),
    #[command(after_help = exit::help())]
    Scale(scale::Arguments),
    Releases(releases_verb::Arguments),
    #[command(after_help = exit::help())]
    Lock(lock_verb::Arguments),
    #[command(after_help = exit::help())]
    Repair(repair::Arguments),
    #[command(after_help = exit::help())]
    Drift(drift::Arguments),
    #[command(after_help = exit::help())]
    Destroy(destroy::Arguments),
    Secrets(secrets::Arguments),
}

/// Which environment, and as whom.
#[derive(clap::Args, Clone)]
pub(crate) struct Access {
    /// The environment, as its file in infra/environments is called
    #[arg(long = "env", value_name = "NAME", value_parser = environment)]
    pub(crate) environment: Name,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// An environment's name.
pub(crate) fn environment(text: &str) -> Result<Name, String> {
    let names = Name::ALL.map(Name::as_str);
    Name::ALL
        .into_iter()
        .find(|name| name.as_str() == text)
        .ok_or_else(|| format!("there are {}", names.join(", ")))
}

/// One of the things that run.
pub(crate) fn task(text: &str) -> Result<Task, String> {
    one_of(&Task::ALL, text)
}

/// One of those that run all the time.
pub(crate) fn service(text: &str) -> Result<Task, String> {
    one_of(&[Task::Api, Task::Worker], text)
}

fn one_of(tasks: &[Task], text: &str) -> Result<Task, String> {
    let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
    tasks
        .iter()
        .find(|task| task.name() == text)
        .copied()
        .ok_or_else(|| format!("there are {}", names.join(", ")))
}

#[cfg(not(feature = "aws"))]
pub(crate) fn run(verb: &Verb, signals: &Signals) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Doctor(arguments) if arguments.offline => doctor::offline(arguments),
        Verb::Doctor(_)
        | Verb::Plan(_)
        | Verb::Verify(_)
        | Verb::Bootstrap(_)
        | Verb::Deploy(_)
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
        | Verb::Secrets(_) => program::start(signals),
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
        Verb::Run(arguments) => run_verb::run(arguments, signals),
        Verb::Exec(arguments) => exec::run(arguments, signals),
        Verb::Scale(arguments) => scale::run(arguments, signals),
        Verb::Releases(arguments) => releases_verb::run(arguments, signals),
        Verb::Lock(arguments) => lock_verb::run(arguments, signals),
        Verb::Repair(arguments) => repair::run(arguments, signals),
        Verb::Drift(arguments) => drift::run(arguments, signals),
        Verb::Destroy(arguments) => destroy::run(arguments, signals),
        Verb::Secrets(arguments) => secrets::run(arguments, signals),
    }
}

/// Runs `work` to its end.
#[cfg(feature = "aws")]
pub(crate) fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// `work`, unless somebody wants `xtask` to stop before it is done.
#[cfg(feature = "aws")]
pub(crate) async fn until<T>(
    signals: &Signals,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        signal = interruption(signals) => Err(signal.into()),
    }
}

/// Resolves when somebody wants `xtask` to stop.
#[cfg(feature = "aws")]
pub(crate) async fn interruption(signals: &Signals) -> crate::signals::Interrupted {
    use std::time::Duration;
    loop {
        if let Err(interrupted) = signals.wait(Duration::ZERO) {
            return interrupted;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
