//! What is looked at, and what came of it.

use std::{collections::BTreeMap, io::Write};

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
            existing.status.ends_with("_COMPLETE") && existing.status != "ROLLBACK_COMPLETE"
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
    let mut checks = stacks_stand(account, &standing);
    checks.extend(imports_are_kept(account, &standing).await?);
    if standing.has(Stack::Bootstrap) {
        let looked = resources::image(account, &standing, asked.image.as_deref()).await;
        checks.extend(found("the image", looked));
    }
    if standing.has(Stack::Data) {
        checks.extend(found("the secrets", secrets::all(account).await));
    }
    if standing.has(Stack::Platform) {
        let looked = resources::platform(account).await;
        checks.extend(found("what the platform stack holds", looked));
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

/// What could not be looked at hides nothing else.
fn found(what: &str, looked: anyhow::Result<Vec<Check>>) -> Vec<Check> {
    looked.unwrap_or_else(|error| vec![Check::wrong(what, format!("cannot be seen: {error:#}"))])
}

fn stacks_stand(account: &Account, standing: &Standing) -> Vec<Check> {
    let environment = account.environment().name;
    let stacks = account.rendered.stacks.iter().map(|(stack, _)| {
        let name = stack.name(environment);
        let wrong = match standing.stack(*stack) {
            None => Some("is not there".to_owned()),
            Some(_) if standing.has(*stack) => None,
            Some(existing) => Some(format!(
                "is {}: look at its events, `aws cloudformation describe-stack-events --stack-name {name}`",
                existing.status
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
        let why = check.wrong.as_deref().unwrap_or_default();
        say(format_args!("✗ {} {why}", check.what));
    }
    say(format_args!(
        "{} of {} things are as they must be",
        checks.len() - wrong.len(),
        checks.len()
    ));
    Ok(())
}
