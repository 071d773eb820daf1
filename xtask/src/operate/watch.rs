//! `cargo xtask watch`: what changes, until nothing does.

#[cfg(feature = "aws")]
mod watching;

use std::time::Duration;

use crate::{aws::Access, spans};

/// Tell what happens to the services until they are stable
///
/// Events, tasks that end and why, how far each deployment is, and how many targets are healthy. It ends with 0 when
/// each service has one deployment, all its tasks run and the load balancer sees them healthy; it changes nothing.
/// With --json, standard output has one JSON object a line, the last of kind `result`.
///
/// Example: cargo xtask watch --env production --timeout 15m
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// After how long to give up with exit code 10, as 90s or 15m; never unless given
    #[arg(long, value_name = "SPAN", value_parser = spans::parse)]
    timeout: Option<Duration>,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{aws, operate::deploy::log::Log};

    let log = Log::new(arguments.access.json, 1);
    let ended = aws::wait(aws::until(signals, watching::watch(arguments, &log)));
    log.result(&ended);
    ended.map(|()| std::process::ExitCode::SUCCESS)
}
