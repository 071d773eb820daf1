//! Looking at stacks, and mending one.

use std::{io::Write, process::ExitCode, time::Duration};

use aws_sdk_cloudformation::Client;
use serde::Serialize;
use serde_json::json;

use super::Arguments;
use crate::{
    aws::{
        self,
        account::Account,
        apply,
        diagnosis::{Diagnosis, Next, diagnose},
        differences,
        errors::explained,
        leftovers, lock, stacks, state,
    },
    exit::{Exit, Failed},
    input,
    operate::drift::comparing,
    progress::{Step, say},
    render::template::Stack,
    signals::Signals,
};

/// A stack that is stuck.
#[derive(Serialize)]
struct Finding {
    #[serde(skip)]
    kind: Stack,
    /// `taskhub-staging-service`
    stack: String,
    status: String,
    means: &'static str,
    /// The first failure that is not another one's consequence.
    cause: Option<String>,
    #[serde(skip)]
    next: Next,
    /// In words.
    next_step: &'static str,
    /// Resources that are neither as they should be nor gone.
    leftovers: Vec<leftovers::Leftover>,
    /// The state afterwards, where something was done.
    then: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let (account, mut stuck) = aws::wait(aws::until(signals, look(arguments)))?;
    stuck.iter().for_each(tell);
    let ended = match stuck.first_mut() {
        None => {
            say("nothing is stuck");
            Ok(())
        }
        Some(first) => decide(arguments, signals, &account, first),
    };
    if arguments.access.json {
        let environment = account.environment().name.as_str();
        let whole = json!({"environment": environment, "stuck": stuck});
        writeln!(std::io::stdout(), "{whole}")?;
    }
    ended.map(|()| ExitCode::SUCCESS)
}

/// Those that are stuck, those that need a hand before those that only need time.
async fn look(arguments: &Arguments) -> anyhow::Result<(Account, Vec<Finding>)> {
    let account = Account::open(&arguments.access).await?;
    let mut found = Vec::new();
    for (stack, _) in &account.rendered.stacks {
        if arguments.stack.is_some_and(|only| only != *stack) {
            continue;
        }
        let name = stack.name(account.environment().name);
        let Some(existing) = stacks::describe(&account, &name).await? else {
            continue;
        };
        let Some(Diagnosis { means, next }) = diagnose(*stack, &existing.status) else {
            continue;
        };
        found.push(Finding {
            kind: *stack,
            cause: apply::root_cause_of(&account, &name).await,
            leftovers: leftovers::of(&account, &name).await?,
            status: existing.status,
            stack: name,
            means,
            next,
            next_step: next.as_str(),
            then: None,
        });
    }
    found.sort_by_key(|finding| finding.next == Next::Wait);
    Ok((account, found))
}

fn tell(finding: &Finding) {
    say(format_args!("{} is {}", finding.stack, finding.status));
    say(format_args!("  means  {}", finding.means));
    if let Some(cause) = &finding.cause {
        say(format_args!("  cause  {cause}"));
    }
    for left in &finding.leftovers {
        say(format_args!("  left   {}", left.line()));
    }
    say(format_args!("  next   {}", finding.next_step));
}

/// Does the next step of one stack, if somebody agrees.
fn decide(
    arguments: &Arguments,
    signals: &Signals,
    account: &Account,
    finding: &mut Finding,
) -> anyhow::Result<()> {
    let name = finding.stack.clone();
    match finding.next {
        Next::Wait => return Ok(()),
        Next::Look => {
            return Err(human(format!(
                "{name} is left to you: look at what is left of it, keep what is needed, then \
                 `aws cloudformation delete-stack --stack-name {name}`"
            )));
        }
        Next::Delete | Next::DeleteAgain | Next::ContinueRollback | Next::Rollback => {}
    }
    named(arguments, finding)?;
    let question = format!("{name}: {}", finding.next_step);
    if !arguments.yes && !input::confirms(&question, &name, signals)? {
        return Err(human(format!(
            "nothing was changed: --yes does it, to {name}"
        )));
    }
    let step = Step::start();
    let skipped = &arguments.skip_resources;
    let then = aws::wait(mend(account, signals, finding, skipped))?;
    step.done(format_args!("{name} is {then}"));
    finding.then = Some(then.clone());
    if diagnose(finding.kind, &then).is_some() {
        let cause = aws::wait(async { Ok(apply::cause(account, &name).await) })?;
        return Err(human(format!(
            "{name} is {then}{cause}. Remove the cause, or leave resources as they are with \
             --skip-resources, and repair it again"
        )));
    }
    say("repaired; deploy again");
    Ok(())
}

/// Only what is stuck can be left out.
fn named(arguments: &Arguments, finding: &Finding) -> anyhow::Result<()> {
    let left = || finding.leftovers.iter().map(|left| left.resource.as_str());
    let may_skip = matches!(finding.next, Next::ContinueRollback | Next::DeleteAgain);
    for id in &arguments.skip_resources {
        if !may_skip || !left().any(|left| left == id) {
            let left: Vec<&str> = left().collect();
            return Err(Failed::because(
                Exit::Usage,
                format!(
                    "{id} is not stuck in {}: --skip-resources takes what is, {}",
                    finding.stack,
                    if left.is_empty() {
                        "nothing".to_owned()
                    } else {
                        left.join(", ")
                    }
                ),
            ));
        }
    }
    Ok(())
}

/// The account's own stack has no lock.
async fn mend(
    account: &Account,
    signals: &Signals,
    finding: &Finding,
    skipped: &[String],
) -> anyhow::Result<String> {
    if finding.kind == Stack::Bootstrap {
        return aws::until(signals, act(account, finding, skipped)).await;
    }
    let bucket = state::bucket(account).await?;
    let why = format!("repairing {}", finding.stack);
    lock::during(
        account,
        &bucket,
        &why,
        Duration::ZERO,
        signals,
        async |_| {
            // Somebody may have been faster.
            let now = apply::status(account, &finding.stack).await?;
            if now != finding.status {
                return Err(Failed::because(
                    Exit::Locked,
                    format!("{} has become {now}: look again", finding.stack),
                ));
            }
            act(account, finding, skipped).await
        },
    )
    .await
}

/// The state that comes of it.
async fn act(account: &Account, finding: &Finding, skipped: &[String]) -> anyhow::Result<String> {
    match finding.next {
        Next::Delete => apply::delete(account, &finding.stack, &[]).await,
        Next::DeleteAgain => delete_again(account, finding, skipped).await,
        Next::ContinueRollback => go_on(account, finding, skipped).await,
        Next::Rollback => go_back(account, finding).await,
        Next::Wait | Next::Look => Ok(finding.status.clone()),
    }
}

/// CloudFormation lets resources be kept only by a deletion that has failed before.
async fn delete_again(
    account: &Account,
    finding: &Finding,
    kept: &[String],
) -> anyhow::Result<String> {
    if finding.status == "ROLLBACK_FAILED" {
        let then = apply::delete(account, &finding.stack, &[]).await?;
        if then != "DELETE_FAILED" || kept.is_empty() {
            return Ok(then);
        }
    }
    let then = apply::delete(account, &finding.stack, kept).await?;
    if !kept.is_empty() && then == "DELETE_COMPLETE" {
        say(format_args!(
            "{} are left, and no stack knows of them any more: delete them by hand",
            kept.join(", ")
        ));
    }
    Ok(then)
}

async fn go_on(account: &Account, finding: &Finding, skipped: &[String]) -> anyhow::Result<String> {
    Client::new(&account.config)
        .continue_update_rollback()
        .stack_name(&finding.stack)
        .set_role_arn(role(account, finding))
        .set_resources_to_skip((!skipped.is_empty()).then(|| skipped.to_vec()))
        .send()
        .await
        .map_err(|error| explained(&format!("going on with {}", finding.stack), error))?;
    let then = apply::rested(account, &finding.stack).await?;
    if !skipped.is_empty() && then == "UPDATE_ROLLBACK_COMPLETE" {
        say(format_args!(
            "{} were left as they are; so differs the stack from its template now:",
            skipped.join(", ")
        ));
        comparing::tell(&differences::detect(account, &finding.stack).await?);
    }
    Ok(then)
}

async fn go_back(account: &Account, finding: &Finding) -> anyhow::Result<String> {
    Client::new(&account.config)
        .rollback_stack()
        .stack_name(&finding.stack)
        .set_role_arn(role(account, finding))
        .send()
        .await
        .map_err(|error| explained(&format!("taking {} back", finding.stack), error))?;
    let then = apply::rested(account, &finding.stack).await?;
    if then == "ROLLBACK_COMPLETE" {
        return apply::delete(account, &finding.stack, &[]).await;
    }
    Ok(then)
}

fn role(account: &Account, finding: &Finding) -> Option<String> {
    (finding.kind != Stack::Bootstrap).then(|| account.execution_role())
}

fn human(why: String) -> anyhow::Error {
    Failed::because(Exit::NeedsHuman, why)
}
