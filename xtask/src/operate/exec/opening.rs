//! What must be so before a command is run in a task, and how `aws` is told to.

use std::{ffi::OsString, io::Write};

use aws_sdk_ecs::types::{DesiredStatus, Task};

use super::Arguments;
use crate::{
    aws::{account::Account, audit::Entry, once, tasks},
    environment,
    environments::Name,
    exit::{Exit, Failed},
    progress::say,
};

/// What can be told without asking AWS.
///
/// # Errors
/// [`Exit::Refused`] with the next step.
pub(super) fn may_be_opened(arguments: &Arguments) -> anyhow::Result<()> {
    let name = arguments.access.environment;
    let has_reason = arguments
        .break_glass
        .as_ref()
        .is_some_and(|reason| !reason.trim().is_empty());
    if name == Name::Production && !has_reason {
        return Err(refused(
            "this is production: say why with --break-glass \"REASON\", which is kept; or use `cargo xtask run`, \
             which leaves the running tasks alone",
        ));
    }
    for (program, advice) in PROGRAMS {
        if environment::on_path(program).is_none() {
            return Err(refused(&format!("{program} is not on the PATH: {advice}")));
        }
    }
    Ok(())
}

const PROGRAMS: [(&str, &str); 2] = [
    (
        "aws",
        "install the AWS command line, https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    ),
    (
        "session-manager-plugin",
        "install it beside the AWS command line, \
         https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
    ),
];

/// Writes down who does what, and gives the command that does it.
///
/// # Errors
/// [`Exit::Refused`] where the service or the task does not allow it.
pub(super) async fn open(arguments: &Arguments) -> anyhow::Result<Vec<OsString>> {
    let account = Account::open(&arguments.access).await?;
    let service = arguments.service.name();
    let known = once::service(&account, arguments.service).await?;
    let task = if known.enable_execute_command {
        task(&account, arguments).await?
    } else {
        let name = account.environment().name;
        return Err(refused(&format!(
            "the service {service} does not allow ECS Exec (enableExecuteCommand is false). `cargo xtask run --env \
             {name} --task {service} -- …` runs a command in a task of its own, with the same image and role. Where \
             it must be a running one: {OPENING}"
        )));
    };
    let arn = task.task_arn.unwrap_or_default();
    let mut entry = Entry::new(&account, "exec", service, arguments.command.clone());
    entry.reason.clone_from(&arguments.break_glass);
    entry.task = Some(arn.clone());
    entry.write(&account).await?;
    if arguments.access.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&entry)?)?;
    }
    say(format_args!(
        "into task {} of {service}",
        tasks::short(&arn)
    ));
    Ok(command(arguments, &account, &arn))
}

/// All that it takes, since the service is rendered without any of it.
const OPENING: &str = "let the task's role use ssmmessages:CreateControlChannel, CreateDataChannel, OpenControlChannel \
     and OpenDataChannel, let its containers be written to, and say \
     `aws ecs update-service --enable-execute-command --force-new-deployment`; the next deployment takes it back";

async fn task(account: &Account, arguments: &Arguments) -> anyhow::Result<Task> {
    let service = arguments.service.name();
    let running =
        tasks::of_service(account, &account.cluster(), service, DesiredStatus::Running).await?;
    let is_asked = |task: &Task| match (&arguments.task, &task.task_arn) {
        (Some(id), Some(arn)) => tasks::short(arn) == tasks::short(id),
        (None, Some(_)) => task.enable_execute_command,
        (_, None) => false,
    };
    let ids: Vec<&str> = running
        .iter()
        .filter_map(|task| task.task_arn.as_deref())
        .map(tasks::short)
        .collect();
    let Some(task) = running.iter().find(|task| is_asked(task)) else {
        return Err(refused(&format!(
            "{service} has no such task that runs and allows ECS Exec; there are {}",
            if ids.is_empty() {
                "none".to_owned()
            } else {
                ids.join(", ")
            }
        )));
    };
    if !task.enable_execute_command {
        return Err(refused(
            "the task was started before the service allowed ECS Exec: \
             `aws ecs update-service --force-new-deployment` replaces it",
        ));
    }
    Ok(task.clone())
}

fn command(arguments: &Arguments, account: &Account, task: &str) -> Vec<OsString> {
    let cluster = account.cluster();
    let line = quoted(&arguments.command);
    let mut words = vec!["aws", "ecs", "execute-command", "--cluster", &cluster];
    words.extend(["--task", task, "--container", arguments.service.name()]);
    words.extend(["--region", &account.environment().region]);
    if let Some(profile) = &arguments.access.profile {
        words.extend(["--profile", profile]);
    }
    words.extend(["--interactive", "--command", &line]);
    words.into_iter().map(OsString::from).collect()
}

/// One line, as ECS takes a command, whose words are told apart again as a shell does.
fn quoted(words: &[String]) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    let words = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn refused(why: &str) -> anyhow::Error {
    Failed::because(Exit::Refused, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_as_one_line() {
        let words = ["taskhub-api", "say", "it's two", ""].map(str::to_owned);
        assert_eq!(quoted(&words), r"taskhub-api say 'it'\''s two' ''");
    }
}
