//! `cargo xtask scale`: more tasks, or fewer, for a while.

#[cfg(any(feature = "aws", test))]
mod remembered;
#[cfg(feature = "aws")]
mod scaling;
#[cfg(feature = "aws")]
mod target;

use std::time::Duration;

use crate::{
    aws::{Access, service},
    contract::Task,
    spans,
};

/// Set how many tasks a service has at least, for a while
///
/// The least of the service's scaling becomes --count, and the most where it is lower; between them load decides as
/// before. The former numbers are kept in the state bucket. With --for, AWS puts them back by itself at that time,
/// whether or not this machine is there; without, they stay until --back.
///
/// CloudFormation does not look at these numbers unless the environment's file changes them: plans show nothing of
/// it, and deployments leave it alone. What should stay belongs into the file.
///
/// Example: cargo xtask scale --env production --service api --count 6 --for 2h
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The service: api or worker
    #[arg(long, value_name = "NAME", value_parser = service)]
    service: Task,
    /// Tasks at least
    #[arg(long, value_name = "NUMBER", required_unless_present = "back",
          value_parser = clap::value_parser!(i32).range(1..=100))]
    count: Option<i32>,
    /// After how long AWS puts the former numbers back, as 30m, 2h or 1d
    #[arg(long = "for", value_name = "SPAN", value_parser = lasting, conflicts_with = "back")]
    lasting: Option<Duration>,
    /// Put the former numbers back now
    #[arg(long, conflicts_with = "count")]
    back: bool,
}

/// AWS takes no time that has passed when it reads it.
fn lasting(text: &str) -> Result<Duration, String> {
    let span = spans::parse(text)?;
    if span < Duration::from_secs(120) {
        return Err("it should be two minutes or more".to_owned());
    }
    Ok(span)
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    aws::wait(aws::until(signals, scaling::scale(arguments)))?;
    Ok(std::process::ExitCode::SUCCESS)
}
