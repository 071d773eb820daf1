//! What the verbs that speak to AWS stand on.
//!
//! Its SDK takes minutes to compile, so it is behind the feature `aws`, and without it a verb starts the program
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
#[cfg(any(feature = "aws", test))]
pub(crate) mod risk;
#[cfg(feature = "aws")]
pub(crate) mod stacks;
#[cfg(feature = "aws")]
pub(crate) mod state;
#[cfg(feature = "aws")]
pub(crate) mod tasks;
#[cfg(any(feature = "aws", test))]
pub(crate) mod triage;

#[cfg(feature = "aws")]
use crate::signals::Signals;
use crate::{contract::Task, environments::Name};

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
