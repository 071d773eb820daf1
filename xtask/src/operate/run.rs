//! `cargo xtask run`: a command in a task of its own, beside the services.

#[cfg(feature = "aws")]
mod running;

use std::time::Duration;

use crate::{
    aws::{Access, task},
    contract::Task,
    spans,
};

/// Run a command once, as a service of the environment would
///
/// It is a task of its own, with the service's image, role, subnets and security group, so that it sees the same
/// database and secrets; the services go on untouched. What it writes is streamed to standard output, and its exit
/// code is this verb's. Ctrl-C stops it. Who ran what is written into the state bucket first, under audit/.
///
/// With --json, standard output has one JSON object a line; the last, of kind `result`, has the exit code.
///
/// Example: cargo xtask run --env staging --task migrate -- taskhub-api migrate
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// Whose image and role: api, worker or migrate. The migration needs no command
    #[arg(long, value_name = "NAME", value_parser = task, default_value = "api")]
    task: Task,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
    /// After how long it is stopped, as 90s, 15m or 2h
    #[arg(long, value_name = "SPAN", value_parser = spans::parse, default_value = "1h")]
    timeout: Duration,
    /// The program and its arguments. The image has no shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{
        aws,
        exit::{Exit, Failed},
    };

    if arguments.command.is_empty() && arguments.task != Task::Migrate {
        let why = "name the command behind --, as in `-- taskhub-api migrate`";
        return Err(Failed::because(Exit::Usage, why));
    }
    aws::wait(running::run(arguments, signals))
}
