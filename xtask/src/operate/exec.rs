//! `cargo xtask exec`: a command in a task that runs.

#[cfg(feature = "aws")]
mod opening;

use crate::{
    aws::{Access, service},
    contract::Task,
};

/// Run a command inside a running task, by ECS Exec
///
/// Needs the `aws` command line with its session-manager plugin, and a service that allows it: ours do not, because
/// their containers cannot be written to. `cargo xtask run` does most of the same in a task of its own. Production
/// asks for --break-glass with a reason. Who does what is written into the state bucket first, under audit/.
///
/// With --json, the entry is printed on standard output before the command begins. The exit code is that of `aws`.
///
/// Example: cargo xtask exec --env staging --service api -- taskhub-api healthcheck
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The service: api or worker
    #[arg(long, value_name = "NAME", value_parser = service)]
    service: Task,
    /// The task, by the last part of its ARN; any that runs unless given
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Why this must be done in production
    #[arg(long, value_name = "REASON")]
    break_glass: Option<String>,
    /// The program and its arguments. The image has no shell
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{aws, launch};

    opening::may_be_opened(arguments)?;
    let command = aws::wait(aws::until(signals, opening::open(arguments)))?;
    // In this process's place, so that the terminal and its Ctrl-C are the command's.
    launch::become_command(&launch::Arguments::of(command))
}
