//! Deleting, stack by stack.

use std::{io::Write, process::ExitCode, time::Duration};

use aws_sdk_cloudformation::Client;
use aws_sdk_elasticloadbalancingv2::types::LoadBalancerAttribute;
use serde_json::json;

use super::{
    Arguments,
    listing::{self, Listed},
};
use crate::{
    aws::{
        self, account::Account, apply, differences, errors::explained, lock, lock::Lock, stacks,
        state,
    },
    environment::variable,
    environments::Name,
    exit::{Exit, Failed},
    input,
    progress::{Step, say},
    render::template::Stack,
    signals::Signals,
};

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let (account, listed) = aws::wait(aws::until(signals, look(arguments)))?;
    let name = account.environment().name;
    listed.iter().for_each(Listed::tell);
    let going: Vec<&Listed> = listed.iter().filter(|listed| listed.goes).collect();
    if going.is_empty() {
        say(format_args!("nothing of {name} is to be deleted"));
    } else {
        aws::wait(aws::until(signals, may_go(&account, &going)))?;
        confirmed(arguments, signals, name)?;
        aws::wait(delete(arguments, signals, &account, &going))?;
        say(format_args!(
            "done; what outlives {name} keeps its names: delete it, or import it, before {name} is made anew"
        ));
    }
    if arguments.access.json {
        let whole = json!({"environment": name.as_str(), "stacks": listed});
        writeln!(std::io::stdout(), "{whole}")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn look(arguments: &Arguments) -> anyhow::Result<(Account, Vec<Listed>)> {
    let account = Account::open(&arguments.access).await?;
    if account.environment().name == Name::Production
        && variable("CI").is_some_and(|ci| ci != "false")
    {
        return Err(refused("a pipeline does not delete production"));
    }
    let listed = listing::list(&account, arguments.include_data).await?;
    Ok((account, listed))
}

/// Whatever stands in the way is told before anything is deleted.
async fn may_go(account: &Account, going: &[&Listed]) -> anyhow::Result<()> {
    let Some(data) = going.iter().find(|listed| listed.stack == Stack::Data) else {
        return Ok(());
    };
    let name = &data.name;
    let existing = stacks::describe(account, name).await?;
    if existing.is_some_and(|existing| existing.is_protected) {
        return Err(refused(format!(
            "{name} is protected, and its data would be lost. Where that is meant: `aws cloudformation \
             update-termination-protection --no-enable-termination-protection --stack-name {name}`"
        )));
    }
    let is_protected =
        data.protects_database && !differences::is_unprotected(account, name, "Database").await?;
    if is_protected {
        let database = format!("taskhub-{}", account.environment().name);
        return Err(refused(format!(
            "the database is protected against deletion. Where that is meant: `aws rds modify-db-instance \
             --db-instance-identifier {database} --no-deletion-protection --apply-immediately`"
        )));
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> anyhow::Error {
    Failed::because(Exit::Refused, why)
}

fn confirmed(arguments: &Arguments, signals: &Signals, name: Name) -> anyhow::Result<()> {
    let is_meant = match &arguments.confirm {
        Some(given) => given == name.as_str(),
        None => input::confirms("all of this is deleted", name.as_str(), signals)?,
    };
    if is_meant {
        return Ok(());
    }
    Err(refused(format!(
        "nothing was deleted: --confirm {name} says that it is meant"
    )))
}

async fn delete(
    arguments: &Arguments,
    signals: &Signals,
    account: &Account,
    going: &[&Listed],
) -> anyhow::Result<()> {
    let bucket = state::bucket(account).await?;
    let patience = Duration::from_secs(arguments.lock_wait);
    let why = format!("deleting {}", account.environment().name);
    lock::during(account, &bucket, &why, patience, signals, async |lock| {
        for listed in going {
            one(account, lock, listed).await?;
        }
        Ok(())
    })
    .await
}

async fn one(account: &Account, lock: &Lock<'_>, listed: &Listed) -> anyhow::Result<()> {
    let name = &listed.name;
    let step = Step::start();
    // Somebody's change, or a former deletion, comes to its end first.
    if apply::rested(account, name).await? == "DELETE_COMPLETE" {
        step.done(format_args!("{name} is deleted already"));
        return Ok(());
    }
    lock.is_held()?;
    if listed.stack != Stack::Data {
        unprotect(account, listed).await?;
    }
    let then = apply::delete(account, name, &[]).await?;
    if then != "DELETE_COMPLETE" {
        let cause = apply::cause(account, name).await;
        let environment = account.environment().name;
        return Err(Failed::because(
            Exit::NeedsHuman,
            format!(
                "{name} is {then}{cause}. `cargo xtask repair --env {environment} --stack {}` shows what is left; \
                 then destroy again",
                listed.stack.as_str()
            ),
        ));
    }
    step.done(format_args!("{name} is deleted"));
    Ok(())
}

/// What is protected against accidents only.
async fn unprotect(account: &Account, listed: &Listed) -> anyhow::Result<()> {
    let name = &listed.name;
    let tried = || format!("taking the protection of {name} off");
    Client::new(&account.config)
        .update_termination_protection()
        .stack_name(name)
        .enable_termination_protection(false)
        .send()
        .await
        .map_err(|error| explained(&tried(), error))?;
    let kind = "AWS::ElasticLoadBalancingV2::LoadBalancer";
    for arn in stacks::resources(account, name, kind).await? {
        let off = LoadBalancerAttribute::builder()
            .key("deletion_protection.enabled")
            .value("false")
            .build();
        aws_sdk_elasticloadbalancingv2::Client::new(&account.config)
            .modify_load_balancer_attributes()
            .load_balancer_arn(arn)
            .attributes(off)
            .send()
            .await
            .map_err(|error| explained(&tried(), error))?;
    }
    Ok(())
}
