//! `cargo xtask logs`: what the tasks of an environment write, in one stream.

#[cfg(any(feature = "aws", test))]
mod lines;
#[cfg(feature = "aws")]
mod reading;
#[cfg(feature = "aws")]
mod streams;

use std::time::Duration;

use crate::{
    aws::{Access, task},
    contract::Task,
    spans,
};

/// Read what the API, the worker and the migration write, merged by time
///
/// Lines are made readable, and with --json are written as the programs wrote them, one JSON object a line; what is
/// not JSON is put into one. A line whose level cannot be told is always shown. Ctrl-C ends --follow with 130.
///
/// Example: cargo xtask logs --env production --since 1h --level warn --follow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// Of one task only: api, worker or migrate
    #[arg(long, value_name = "NAME", value_parser = task)]
    service: Option<Task>,
    /// From how long ago, as 90s, 15m, 2h or 3d; 15m unless given, and the release's beginning with --release
    #[arg(long, value_name = "SPAN", value_parser = spans::parse)]
    since: Option<Duration>,
    /// Go on with what is written from now on
    #[arg(long, short)]
    follow: bool,
    /// Only of tasks that started between the beginning of this release and that of the next one
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
    /// Only what has this request's id, as the client got it in X-Request-Id
    #[arg(long, value_name = "ID", value_parser = request_id)]
    request_id: Option<String>,
    /// Only lines of this level and graver ones
    #[arg(long, value_enum)]
    level: Option<Level>,
}

/// The gravest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// It becomes a quoted part of a filter.
fn request_id(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\');
    if text.is_empty() || !text.chars().all(is_plain) {
        return Err("it has letters that no request's id has".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use std::{io, process::ExitCode};

    use crate::aws;

    let read = aws::wait(aws::until(signals, reading::read(arguments)));
    match read {
        // Whoever read them, such as `head`, has enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        read => read.map(|()| ExitCode::SUCCESS),
    }
}
