//! A stack brought to what its template says.

use std::time::Duration;

use aws_sdk_cloudformation::Client;
use tokio::time::{Instant, sleep};

use super::{
    account::Account,
    diagnosis::diagnose,
    errors::{code, explained, message},
    events,
    risk::Change,
    stacks::{self, Existing, Wanted},
    triage::{Triage, has_ended, root_cause, triage},
};
use crate::{
    exit::{Exit, Failed},
    progress,
    render::template::Stack,
};

/// Between two looks at a stack.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// Between two lines about a long wait.
const TELL: Duration = Duration::from_secs(10);

/// A database takes a quarter of an hour, a change of its class as long again.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A change that CloudFormation works on.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) stack: String,
    pub(crate) was_there: bool,
}

/// Makes a stack ready for a change: what a former try left behind is cleared away, and what ends by itself is
/// waited for. Gives the stack as it then is.
///
/// # Errors
/// [`Exit::Locked`] where CloudFormation is at work on it for longer than `patience`, [`Exit::NeedsHuman`] where a
/// person must decide.
pub(crate) async fn ready(
    account: &Account,
    stack: Stack,
    patience: Duration,
) -> anyhow::Result<Option<Existing>> {
    let name = stack.name(account.environment().name);
    let deadline = Instant::now() + patience;
    loop {
        let existing = stacks::describe(account, &name).await?;
        let status = existing.as_ref().map(|existing| existing.status.as_str());
        match triage(stack, status) {
            Triage::Create | Triage::Update => return Ok(existing),
            // Where that fails, the next look says so.
            Triage::DeleteFirst => {
                delete(account, &name, &[]).await?;
            }
            Triage::Wait => sleep(LOOK).await,
            Triage::Busy if Instant::now() < deadline => sleep(LOOK).await,
            Triage::Busy => {
                return Err(Failed::because(
                    Exit::Locked,
                    format!(
                        "CloudFormation is at work on {name}, {}: wait for its end, or watch it with \
                         `cargo xtask deploy --attach` where it is a deployment",
                        status.unwrap_or_default()
                    ),
                ));
            }
            Triage::Human => {
                let status = status.unwrap_or_default();
                return Err(stuck(account, stack, status).await);
            }
        }
    }
}

/// What a person is told who must decide.
async fn stuck(account: &Account, stack: Stack, status: &str) -> anyhow::Error {
    let environment = account.environment().name;
    let (name, kind) = (stack.name(environment), stack.as_str());
    let means = diagnose(stack, status).map_or("", |diagnosis| diagnosis.means);
    let cause = cause(account, &name).await;
    Failed::because(
        Exit::NeedsHuman,
        format!(
            "{name} is {status}: {means}{cause}. \
             `cargo xtask repair --env {environment} --stack {kind}` shows what is safe to do, and does it"
        ),
    )
}

/// Deletes a stack, but for the resources that `kept` names, and gives the state in which it ends:
/// `DELETE_COMPLETE` where it is gone.
///
/// # Errors
/// Where AWS refuses, and [`Exit::StillRunning`].
pub(crate) async fn delete(
    account: &Account,
    name: &str,
    kept: &[String],
) -> anyhow::Result<String> {
    Client::new(&account.config)
        .delete_stack()
        .stack_name(name)
        .set_retain_resources((!kept.is_empty()).then(|| kept.to_vec()))
        .send()
        .await
        .map_err(|error| explained(&format!("deleting {name}"), error))?;
    rested(account, name).await
}

/// Waits until CloudFormation works on a stack no more, and gives its state.
///
/// # Errors
/// [`Exit::StillRunning`] where it takes too long.
pub(crate) async fn rested(account: &Account, name: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = Instant::now();
    loop {
        // First: what was asked for may not have begun yet.
        sleep(LOOK).await;
        let status = status(account, name).await?;
        if !status.ends_with("_IN_PROGRESS") || status == "REVIEW_IN_PROGRESS" {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err(Failed::because(
                Exit::StillRunning,
                format!("{name} is still {status}"),
            ));
        }
        if told.elapsed() > TELL {
            progress::say(format_args!("            {name} is {status}"));
            told = Instant::now();
        }
    }
}

/// Begins what brings a stack to `wanted`, or nothing where it is so already.
///
/// # Errors
/// [`Exit::Refused`] where the change would replace or remove what holds data.
pub(crate) async fn start(
    account: &Account,
    wanted: &Wanted<'_>,
    existing: Option<&Existing>,
    token: &str,
) -> anyhow::Result<Option<Started>> {
    let stack = wanted.stack.name(account.environment().name);
    let name = format!("deploy-{token}-{}", chrono::Utc::now().format("%H%M%S%3f"));
    let set = stacks::change_set(account, wanted, existing, &name).await;
    let changes: Vec<Change> = match &set {
        Ok(set) => set.iter().cloned().map(Change::from).collect(),
        Err(_) => Vec::new(),
    };
    let refused = changes
        .iter()
        .find_map(|change| change.refusal(wanted.stack));
    if changes.is_empty() || refused.is_some() {
        stacks::delete_change_set(account, &stack, &name).await?;
    }
    set?;
    if let Some(refused) = refused {
        return Err(Failed::because(
            Exit::Refused,
            format!("refused: {refused}"),
        ));
    }
    if changes.is_empty() {
        return Ok(None);
    }
    Client::new(&account.config)
        .execute_change_set()
        .stack_name(&stack)
        .change_set_name(&name)
        .client_request_token(token)
        .send()
        .await
        .map_err(|error| match code(&error).as_str() {
            "InvalidChangeSetStatus" => Failed::because(
                Exit::Locked,
                format!("another one changes {stack}: {}", message(&error)),
            ),
            _ => explained(&format!("changing {stack}"), error),
        })?;
    let was_there = existing.is_some_and(|existing| existing.status != "REVIEW_IN_PROGRESS");
    Ok(Some(Started { stack, was_there }))
}

/// Waits until CloudFormation has ended what it does.
///
/// # Errors
/// [`Exit::RolledBack`] where it went back, [`Exit::NeedsHuman`] where it could not, [`Exit::StillRunning`] where it
/// takes too long.
pub(crate) async fn finish(account: &Account, started: &Started) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(account, &started.stack).await?;
        if status == "CREATE_COMPLETE" || status.starts_with("UPDATE_COMPLETE") {
            return Ok(());
        }
        if has_ended(&status) && status != "REVIEW_IN_PROGRESS" {
            let cause = cause(account, &started.stack).await;
            let (exit, next) = match status.as_str() {
                "ROLLBACK_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" => (Exit::RolledBack, ""),
                _ => (
                    Exit::NeedsHuman,
                    ": `cargo xtask repair` shows what is safe to do, and does it",
                ),
            };
            return Err(Failed::because(
                exit,
                format!(
                    "{} is {status}, and the services were not touched{cause}{next}",
                    started.stack
                ),
            ));
        }
        if Instant::now() > deadline {
            return Err(Failed::because(
                Exit::StillRunning,
                format!("{} is still {status}", started.stack),
            ));
        }
        sleep(LOOK).await;
    }
}

/// `; cause: …`, or nothing where no event tells.
pub(crate) async fn cause(account: &Account, stack: &str) -> String {
    let cause = root_cause_of(account, stack).await;
    cause.map_or_else(String::new, |cause| format!("; cause: {cause}"))
}

/// The first failure of a stack's last change, where an event tells of one.
pub(crate) async fn root_cause_of(account: &Account, stack: &str) -> Option<String> {
    let events = events::newest(account, stack).await.unwrap_or_default();
    root_cause(&events)
}

/// CloudFormation's word for a stack's state.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn status(account: &Account, stack: &str) -> anyhow::Result<String> {
    let existing = stacks::describe(account, stack).await?;
    Ok(existing.map_or_else(|| "DELETE_COMPLETE".to_owned(), |existing| existing.status))
}

/// What keeps a stack from harm; set once it is there.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn protect(
    account: &Account,
    stack: Stack,
    policy: Option<String>,
) -> anyhow::Result<()> {
    let client = Client::new(&account.config);
    let name = stack.name(account.environment().name);
    if !matches!(stack, Stack::Migrate | Stack::Service) {
        client
            .update_termination_protection()
            .stack_name(&name)
            .enable_termination_protection(true)
            .send()
            .await
            .map_err(|error| explained(&format!("protecting {name}"), error))?;
    }
    if let Some(policy) = policy {
        client
            .set_stack_policy()
            .stack_name(&name)
            .stack_policy_body(policy)
            .send()
            .await
            .map_err(|error| explained(&format!("protecting the data of {name}"), error))?;
    }
    Ok(())
}
