//! CloudFormation's stacks and change sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_cloudformation::{
    Client,
    types::{Capability, ChangeSetType, Parameter, ResourceChange, Tag},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    account::Account,
    errors::{explained, message},
};
use crate::{
    exit::{Exit, Failed},
    render::template::{Stack, text},
};

/// How long CloudFormation may reckon on a change set.
const PATIENCE: Duration = Duration::from_secs(180);

/// A stack as it is.
#[derive(Clone, Debug)]
pub(crate) struct Existing {
    /// `UPDATE_COMPLETE`, …
    pub(crate) status: String,
    /// Of its parameters, the names; a value may be hidden.
    pub(crate) parameters: BTreeMap<String, String>,
    /// Whether CloudFormation refuses to delete it.
    pub(crate) is_protected: bool,
}

/// The stack of this name, or nothing where there is none.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn describe(account: &Account, name: &str) -> anyhow::Result<Option<Existing>> {
    let answer = Client::new(&account.config)
        .describe_stacks()
        .stack_name(name)
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if message(&error).contains("does not exist") => return Ok(None),
        Err(error) => return Err(explained(&format!("looking at {name}"), error)),
    };
    let stack = answer.stacks.unwrap_or_default().into_iter().next();
    Ok(stack.map(|stack| Existing {
        is_protected: stack.enable_termination_protection == Some(true),
        status: stack
            .stack_status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        parameters: stack
            .parameters
            .unwrap_or_default()
            .into_iter()
            .filter_map(|parameter| {
                Some((
                    parameter.parameter_key?,
                    parameter.parameter_value.unwrap_or_default(),
                ))
            })
            .collect(),
    }))
}

/// The template with which a stack was last changed.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn template(account: &Account, name: &str) -> anyhow::Result<Value> {
    let answer = Client::new(&account.config)
        .get_template()
        .stack_name(name)
        .send()
        .await
        .map_err(|error| explained(&format!("reading the template of {name}"), error))?;
    Ok(serde_json::from_str(&answer.template_body.unwrap_or_default()).unwrap_or_default())
}

/// The resources of a stack that are of `kind`, by the names that the services know them by.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn resources(
    account: &Account,
    name: &str,
    kind: &str,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pages = Client::new(&account.config)
        .list_stack_resources()
        .stack_name(name)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| explained(&format!("listing {name}"), error))?;
        let of_kind = page
            .stack_resource_summaries
            .unwrap_or_default()
            .into_iter()
            .filter(|resource| resource.resource_type.as_deref() == Some(kind));
        found.extend(of_kind.filter_map(|resource| resource.physical_resource_id));
    }
    Ok(found)
}

/// What a stack is to become.
pub(crate) struct Wanted<'a> {
    pub(crate) stack: Stack,
    pub(crate) template: &'a Value,
    /// Values of parameters that somebody gave.
    pub(crate) given: BTreeMap<String, String>,
    /// Whom CloudFormation tells of everything.
    pub(crate) topic: Option<String>,
}

/// Asks CloudFormation what it would do: nothing where the stack is as it should be. Whoever asks
/// deletes the change set.
///
/// # Errors
/// Where a parameter has no value, or CloudFormation refuses the template.
pub(crate) async fn change_set(
    account: &Account,
    wanted: &Wanted<'_>,
    existing: Option<&Existing>,
    name: &str,
) -> anyhow::Result<Vec<ResourceChange>> {
    let stack = wanted.stack.name(account.environment().name);
    // A change set that nobody executed leaves a stack in review, which is still to be created.
    let existing = existing.filter(|existing| existing.status != "REVIEW_IN_PROGRESS");
    let kind = if existing.is_some() {
        ChangeSetType::Update
    } else {
        ChangeSetType::Create
    };
    let mut request = Client::new(&account.config)
        .create_change_set()
        .stack_name(&stack)
        .change_set_name(name)
        .change_set_type(kind)
        .template_body(text(wanted.template))
        .set_parameters(Some(parameters(wanted, existing)?))
        .set_notification_arns(wanted.topic.clone().map(|topic| vec![topic]));
    if names_roles(wanted.template) {
        request = request.capabilities(Capability::CapabilityNamedIam);
    }
    if wanted.stack != Stack::Bootstrap {
        request = request
            .role_arn(account.execution_role())
            .set_tags(Some(tags(account)));
    }
    let made = request
        .send()
        .await
        .map_err(|error| explained(&format!("asking what would change in {stack}"), error))?;
    await_change_set(account, &stack, made.id.as_deref().unwrap_or(name)).await
}

async fn await_change_set(
    account: &Account,
    stack: &str,
    id: &str,
) -> anyhow::Result<Vec<ResourceChange>> {
    let client = Client::new(&account.config);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = client
            .describe_change_set()
            .stack_name(stack)
            .change_set_name(id);
        let answer = request
            .send()
            .await
            .map_err(|error| explained(&format!("reading what would change in {stack}"), error))?;
        let status = answer.status.as_ref().map_or("", |status| status.as_str());
        let reason = answer.status_reason.as_deref().unwrap_or_default();
        match status {
            "CREATE_COMPLETE" => {
                return changes(&client, stack, id).await;
            }
            "FAILED" if says_nothing_changes(reason) => {
                return Ok(Vec::new());
            }
            "FAILED" => {
                return Err(Failed::because(
                    Exit::Refused,
                    format!("CloudFormation refuses the change of {stack}: {reason}"),
                ));
            }
            _ if Instant::now() > deadline => {
                return Err(Failed::because(
                    Exit::StillRunning,
                    format!("CloudFormation still reckons what would change in {stack}"),
                ));
            }
            _ => sleep(Duration::from_millis(300)).await,
        }
    }
}

/// CloudFormation calls a change set without changes a failure.
fn says_nothing_changes(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

async fn changes(client: &Client, stack: &str, id: &str) -> anyhow::Result<Vec<ResourceChange>> {
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let answer = client
            .describe_change_set()
            .stack_name(stack)
            .change_set_name(id)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| explained(&format!("reading what would change in {stack}"), error))?;
        let page = answer.changes.unwrap_or_default();
        all.extend(page.into_iter().filter_map(|change| change.resource_change));
        token = answer.next_token;
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Takes a change set away that nobody executes.
///
/// # Errors
/// Where AWS refuses; one that is gone already is none.
pub(crate) async fn delete_change_set(
    account: &Account,
    stack: &str,
    name: &str,
) -> anyhow::Result<()> {
    let answer = Client::new(&account.config)
        .delete_change_set()
        .stack_name(stack)
        .change_set_name(name)
        .send()
        .await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) if message(&error).contains("does not exist") => Ok(()),
        Err(error) => Err(explained("taking a change set away", error)),
    }
}

/// What was given, else what the stack has, else the template's own default.
fn parameters(wanted: &Wanted<'_>, existing: Option<&Existing>) -> anyhow::Result<Vec<Parameter>> {
    let had: BTreeSet<&String> = existing
        .map(|existing| existing.parameters.keys().collect())
        .unwrap_or_default();
    let mut parameters = Vec::new();
    let declared = wanted.template["Parameters"].as_object();
    for (id, definition) in declared.into_iter().flatten() {
        if definition["Type"] != "String" {
            continue;
        }
        let parameter = Parameter::builder().parameter_key(id);
        if let Some(value) = wanted.given.get(id.as_str()) {
            parameters.push(parameter.parameter_value(value).build());
        } else if had.contains(id) {
            parameters.push(parameter.use_previous_value(true).build());
        } else if definition.get("Default").is_none() {
            return Err(Failed::because(
                Exit::Usage,
                format!(
                    "the {} stack has no {id} yet: give --image sha256:…",
                    wanted.stack.as_str()
                ),
            ));
        }
    }
    Ok(parameters)
}

/// Whether CloudFormation asks for a special permission before it makes it.
fn names_roles(template: &Value) -> bool {
    let resources = template["Resources"].as_object();
    let mut kinds = resources.into_iter().flatten();
    kinds.any(|(_, resource)| {
        let kind = resource["Type"].as_str();
        kind.is_some_and(|kind| kind.starts_with("AWS::IAM::"))
    })
}

fn tags(account: &Account) -> Vec<Tag> {
    let tags = account.environment().tags.iter();
    tags.map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}
