//! The task's life, from its start to its exit code.

use std::{io::Write, process::ExitCode};

use aws_sdk_ecs::types::Task;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Arguments;
use crate::{
    aws::{
        self,
        account::Account,
        apply::LOOK,
        audit::Entry,
        once,
        tasks::{self, Lines},
    },
    exit::{Exit, Failed},
    operate::deploy::stopped,
    progress::say,
    signals::{Interrupted, Signals},
};

/// # Errors
/// Where it was not started, or did not end by itself.
pub(super) async fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let starting = start(arguments);
    let (account, mut entry, task) = aws::until(signals, starting).await?;
    let short = tasks::short(&task).to_owned();
    let service = arguments.task.name();
    say(format_args!("task {short} of {service} is started"));
    emit(arguments, &json!({"kind": "task", "task": task}));
    if arguments.detach {
        let name = account.environment().name;
        say(format_args!(
            "`cargo xtask logs --env {name} --service {service} --follow` shows what it writes"
        ));
        if !arguments.access.json {
            writeln!(std::io::stdout(), "{task}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let code = watch(arguments, &account, &task, signals).await?;
    entry.exit_code = Some(code);
    if let Err(error) = entry.write(&account).await {
        say(format_args!("its exit code is not in the audit: {error:#}"));
    }
    emit(arguments, &json!({"kind": "result", "exit": code}));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Writes down who runs what, then starts it.
async fn start(arguments: &Arguments) -> anyhow::Result<(Account, Entry, String)> {
    let account = Account::open(&arguments.access).await?;
    let kind = once::kind(&account, arguments.task).await?;
    let command = arguments.command.clone();
    let mut entry = Entry::new(&account, "run", arguments.task.name(), command);
    entry.write(&account).await?;
    let started = once::start(&account, kind, &entry.id(), &arguments.command).await?;
    let task = started.map_err(|why| Failed::because(Exit::Refused, why))?;
    entry.task = Some(task.clone());
    entry.write(&account).await?;
    Ok((account, entry, task))
}

/// Streams what it writes until it has ended, and gives its exit code.
async fn watch(
    arguments: &Arguments,
    account: &Account,
    task: &str,
    signals: &Signals,
) -> anyhow::Result<i32> {
    let mut lines = Lines::of(account, arguments.task.name(), task);
    let late = async {
        tokio::time::sleep(arguments.timeout).await;
        "the time is up"
    };
    let stopping = tokio::select! {
        ended = end(arguments, account, task, &mut lines) => return verdict(&ended?),
        why = late => Failed::because(
            Exit::StillRunning,
            format!("{why}: the task was told to stop after {} s", arguments.timeout.as_secs()),
        ),
        signal = aws::interruption(signals) => signal.into(),
    };
    once::stop(account, task, "told to by the operator or the deadline").await?;
    say("the task is told to stop; once more leaves it to itself");
    // A process and its group are told of the same signal.
    let same = Instant::now() + LOOK;
    loop {
        tokio::select! {
            ended = end(arguments, account, task, &mut lines) => {
                drop(ended?);
                say("it has stopped");
                return Err(stopping);
            }
            Interrupted(signal) = aws::interruption(signals) => {
                if Instant::now() > same {
                    return Err(Interrupted(signal).into());
                }
            }
        }
    }
}

/// Resolves when it has ended and all that it wrote is told.
async fn end(
    arguments: &Arguments,
    account: &Account,
    task: &str,
    lines: &mut Lines,
) -> anyhow::Result<Task> {
    let arns = [task.to_owned()];
    loop {
        let found = tasks::describe(account, &account.cluster(), &arns).await?;
        tell(arguments, account, lines).await?;
        let ended = found
            .into_iter()
            .find(|task| task.last_status.as_deref() == Some("STOPPED"));
        if let Some(ended) = ended {
            // What was written last arrives last.
            sleep(LOOK).await;
            tell(arguments, account, lines).await?;
            return Ok(ended);
        }
        sleep(LOOK).await;
    }
}

async fn tell(arguments: &Arguments, account: &Account, lines: &mut Lines) -> anyhow::Result<()> {
    loop {
        let page = lines.next(account).await?;
        for line in &page {
            let line = line.trim_end();
            if arguments.access.json {
                emit(arguments, &json!({"kind": "log", "message": line}));
            } else {
                writeln!(std::io::stdout(), "{line}")?;
            }
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

fn verdict(task: &Task) -> anyhow::Result<i32> {
    let (code, reason) = tasks::end(task);
    match code {
        Some(0) => {}
        // Its own exit code says it, and a person may want the cause.
        Some(code) => say(stopped::explained(reason, Some(code))),
        None => {
            let why = format!(
                "the command did not run: {}",
                stopped::explained(reason, None)
            );
            return Err(Failed::because(Exit::Internal, why));
        }
    }
    Ok(code.unwrap_or_default())
}

/// For programs. A closed standard output is no reason to leave the task alone.
fn emit(arguments: &Arguments, line: &Value) {
    if arguments.access.json {
        drop(writeln!(std::io::stdout(), "{line}"));
    }
}
