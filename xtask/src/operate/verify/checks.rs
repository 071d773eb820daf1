//! What is looked at, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use serde::Serialize;
use serde_json::json;

use super::{resources, secrets};
use crate::{
    aws::{account::Account, parameters, stacks},
    environments::Name,
    progress::{Step, say},
    render::template::Stack,
};

/// What the operator says about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) image: Option<String>,
    pub(crate) alarms_known: bool,
    /// What is not there yet will be made, but for the account's own stack; and a service that sleeps proves nothing.
    pub(crate) before_deploying: bool,
}

/// One thing that must be so.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    /// `secret taskhub/staging/mail`
    pub(crate) what: String,
    /// What is wrong, and the next step; absent where nothing is.
    pub(crate) wrong: Option<String>,
}

impl Check {
    pub(crate) fn wrong(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            wrong: Some(why.into()),
        }
    }

    /// Fine unless there is a reason.
    pub(crate) fn of(what: impl Into<String>, wrong: Option<String>) -> Self {
        Self {
            what: what.into(),
            wrong,
        }
    }

    pub(crate) fn is_fine(&self) -> bool {
        self.wrong.is_none()
    }

    /// What it is and what is wrong with it; nothing where all is well.
    pub(crate) fn line(&self) -> Option<String> {
        let wrong = self.wrong.as_ref()?;
        Some(format!("{} {wrong}", self.what))
    }
}

/// The environment as it stands: each stack's state, where there is one.
pub(crate) struct Standing(BTreeMap<Stack, Option<stacks::Existing>>);

impl Standing {
    async fn of(account: &Account) -> anyhow::Result<Self> {
        let mut standing = BTreeMap::new();
        for (stack, _) in &account.rendered.stacks {
            let name = stack.name(account.environment().name);
            standing.insert(*stack, stacks::describe(account, &name).await?);
        }
        Ok(Self(standing))
    }

    pub(crate) fn stack(&self, stack: Stack) -> Option<&stacks::Existing> {
        self.0.get(&stack).and_then(Option::as_ref)
    }

    /// Whether what the stack makes can be expected.
    fn has(&self, stack: Stack) -> bool {
        self.stack(stack).is_some_and(|existing| {
            // Clearing up takes nothing away that is in use.
            let status = existing.status.trim_end_matches("_CLEANUP_IN_PROGRESS");
            status.ends_with("_COMPLETE") && status != "ROLLBACK_COMPLETE"
        })
    }
}

/// Looks at everything. What belongs to a stack that is not there is not told beside it.
///
/// # Errors
/// Where CloudFormation and Parameter Store do not answer.
pub(crate) async fn all(account: &Account, asked: &Asked) -> anyhow::Result<Vec<Check>> {
    let step = Step::start();
    let standing = Standing::of(account).await?;
    let mut checks = stacks_stand(account, &standing, asked);
    checks.extend(imports_are_kept(account, &standing).await?);
    if standing.has(Stack::Bootstrap) {
        for digest in digests(&standing, asked) {
            let looked = resources::image(account, &digest).await;
            checks.extend(found("the image", looked.map(|check| vec![check])));
        }
    }
    if standing.has(Stack::Data) {
        checks.extend(found("the secrets", secrets::all(account).await));
    }
    if standing.has(Stack::Platform) {
        let looked = resources::platform(account).await;
        checks.extend(found("what the platform stack holds", looked));
    }
    if asked.before_deploying && standing.has(Stack::Service) {
        checks.extend(found("the services", resources::awake(account).await));
    }
    for stack in [Stack::Data, Stack::Platform, Stack::Service] {
        if standing.has(stack) {
            let what = format!("the alarms of the {} stack", stack.as_str());
            let looked = resources::alarms(account, stack, asked.alarms_known).await;
            checks.extend(found(&what, looked));
        }
    }
    step.done(format_args!("{} things looked at", checks.len()));
    Ok(checks)
}

/// The image that is asked for and those that run: every new task fetches one, and so does a rollback.
fn digests(standing: &Standing, asked: &Asked) -> BTreeSet<String> {
    let running = [Stack::Service, Stack::Migrate].map(|stack| {
        let existing = standing.stack(stack)?;
        existing.parameters.get("ImageDigest").cloned()
    });
    let running = running.into_iter().flatten();
    asked.image.clone().into_iter().chain(running).collect()
}

/// What could not be looked at hides nothing else.
fn found(what: &str, looked: anyhow::Result<Vec<Check>>) -> Vec<Check> {
    looked.unwrap_or_else(|error| vec![Check::wrong(what, format!("cannot be seen: {error:#}"))])
}

fn stacks_stand(account: &Account, standing: &Standing, asked: &Asked) -> Vec<Check> {
    let environment = account.environment().name;
    let will_be_made = |stack| {
        let existing = standing.stack(stack);
        let is_absent = existing.is_none_or(|existing| existing.status == "REVIEW_IN_PROGRESS");
        asked.before_deploying && is_absent && stack != Stack::Bootstrap
    };
    let stacks = account.rendered.stacks.iter();
    let stacks = stacks.filter(|(stack, _)| !will_be_made(*stack));
    let stacks = stacks.map(|(stack, _)| {
        let name = stack.name(environment);
        let wrong = match standing.stack(*stack) {
            None if *stack == Stack::Bootstrap => Some(format!(
                "is not there: `cargo xtask bootstrap --env {environment}`"
            )),
            None => Some(format!(
                "is not there: `cargo xtask deploy --env {environment}`"
            )),
            Some(_) if standing.has(*stack) => None,
            Some(existing) => Some(format!(
                "is {}: `cargo xtask repair --env {environment} --stack {}` tells what that means",
                existing.status,
                stack.as_str()
            )),
        };
        Check::of(format!("stack {name}"), wrong)
    });
    stacks.collect()
}

/// Of stacks that are there, what they keep for others.
async fn imports_are_kept(account: &Account, standing: &Standing) -> anyhow::Result<Vec<Check>> {
    let mut names = BTreeMap::new();
    for (stack, template) in &account.rendered.stacks {
        for path in parameters::imports(template).into_values() {
            names.insert(path, *stack);
        }
    }
    let there = |path: &str| {
        let owner = account.rendered.stacks.iter().find(|(stack, _)| {
            let prefix = stack.path(Some(account.environment().name), "");
            path.starts_with(&prefix)
        });
        owner.is_some_and(|(stack, _)| standing.has(*stack))
    };
    names.retain(|path, _| there(path));
    let paths: Vec<String> = names.keys().cloned().collect();
    let kept = parameters::read(account, &paths).await?;
    let checks = names.into_iter().map(|(path, reader)| {
        let wrong = (!kept.contains_key(&path)).then(|| {
            format!(
                "is not there, and the {} stack reads it: deploy the stack that keeps it",
                reader.as_str()
            )
        });
        Check::of(format!("parameter {path}"), wrong)
    });
    Ok(checks.collect())
}

/// What is wrong for people, everything for programs.
///
/// # Errors
/// Where standard output cannot be written.
pub(crate) fn show(checks: &[Check], environment: Name, json: bool) -> anyhow::Result<()> {
    let wrong: Vec<&Check> = checks.iter().filter(|check| !check.is_fine()).collect();
    if json {
        let whole =
            json!({"environment": environment.as_str(), "checks": checks, "wrong": wrong.len()});
        writeln!(std::io::stdout(), "{whole}")?;
    }
    for check in &wrong {
        say(format_args!("✗ {}", check.line().unwrap_or_default()));
    }
    say(format_args!(
        "{} of {} things are as they must be",
        checks.len() - wrong.len(),
        checks.len()
    ));
    Ok(())
}
