//! What somebody changed beside CloudFormation, as CloudFormation sees it.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_cloudformation::{
    Client,
    types::{
        PropertyDifference, StackDriftDetectionStatus, StackResourceDrift, StackResourceDriftStatus,
    },
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{account::Account, apply::LOOK, errors::explained};
use crate::{
    exit::{Exit, Failed},
    progress,
};

/// CloudFormation asks for each resource, some of them a second apart.
const PATIENCE: Duration = Duration::from_secs(600);

/// Between two lines about a long wait.
const TELL: Duration = Duration::from_secs(10);

/// One stack beside its template.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Differences {
    /// `taskhub-staging-data`
    pub(crate) stack: String,
    pub(crate) resources: Vec<Resource>,
    /// Types of its resources that CloudFormation cannot compare.
    pub(crate) unsupported: BTreeSet<String>,
    /// Why not everything was compared.
    pub(crate) note: Option<String>,
}

/// A resource that is not as its template says.
#[derive(Debug, Serialize)]
pub(crate) struct Resource {
    /// The logical id.
    pub(crate) resource: String,
    pub(crate) kind: String,
    /// As its service knows it.
    pub(crate) name: String,
    /// `MODIFIED` or `DELETED`.
    pub(crate) change: String,
    pub(crate) properties: Vec<Property>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Property {
    /// `/Properties/…` without its beginning.
    pub(crate) path: String,
    /// `NOT_EQUAL`, `ADD` or `REMOVE`.
    pub(crate) difference: String,
    /// Neither value of a secret is told.
    pub(crate) expected: String,
    pub(crate) actual: String,
}

/// Compares a stack with its template.
///
/// # Errors
/// Where AWS refuses, and [`Exit::StillRunning`] where it takes too long.
pub(crate) async fn detect(account: &Account, stack: &str) -> anyhow::Result<Differences> {
    let client = Client::new(&account.config);
    let started = client
        .detect_stack_drift()
        .stack_name(stack)
        .send()
        .await
        .map_err(|error| explained(&format!("comparing {stack} with its template"), error))?;
    let id = started.stack_drift_detection_id.unwrap_or_default();
    let note = finish(&client, stack, &id).await?;
    Ok(Differences {
        stack: stack.to_owned(),
        resources: changed(&client, stack).await?,
        unsupported: unsupported(&client, stack).await?,
        note,
    })
}

/// Waits for the end of a detection; what it could not look at.
async fn finish(client: &Client, stack: &str, id: &str) -> anyhow::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut told = Instant::now();
    loop {
        let answer = client
            .describe_stack_drift_detection_status()
            .stack_drift_detection_id(id)
            .send()
            .await
            .map_err(|error| explained(&format!("comparing {stack} with its template"), error))?;
        match answer.detection_status {
            Some(StackDriftDetectionStatus::DetectionComplete) => return Ok(None),
            Some(StackDriftDetectionStatus::DetectionFailed) => {
                let reason = answer.detection_status_reason;
                return Ok(Some(
                    reason.unwrap_or_else(|| "without a reason".to_owned()),
                ));
            }
            _ if Instant::now() > deadline => {
                return Err(Failed::because(
                    Exit::StillRunning,
                    format!("CloudFormation still compares {stack}"),
                ));
            }
            _ if told.elapsed() > TELL => {
                progress::say(format_args!("            {stack} is being compared"));
                told = Instant::now();
            }
            _ => {}
        }
        sleep(LOOK).await;
    }
}

async fn changed(client: &Client, stack: &str) -> anyhow::Result<Vec<Resource>> {
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let answer = client
            .describe_stack_resource_drifts()
            .stack_name(stack)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Modified)
            .stack_resource_drift_status_filters(StackResourceDriftStatus::Deleted)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| explained(&format!("reading how {stack} differs"), error))?;
        let page = answer.stack_resource_drifts.unwrap_or_default();
        found.extend(page.into_iter().map(Resource::from));
        token = answer.next_token;
        if token.is_none() {
            return Ok(found);
        }
    }
}

async fn unsupported(client: &Client, stack: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut kinds = BTreeSet::new();
    let mut pages = client
        .list_stack_resources()
        .stack_name(stack)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| explained(&format!("listing {stack}"), error))?;
        for resource in page.stack_resource_summaries.unwrap_or_default() {
            let drift = resource
                .drift_information
                .and_then(|drift| drift.stack_resource_drift_status);
            if drift == Some(StackResourceDriftStatus::NotChecked) {
                kinds.extend(resource.resource_type);
            }
        }
    }
    Ok(kinds)
}

impl From<StackResourceDrift> for Resource {
    fn from(drift: StackResourceDrift) -> Self {
        let kind = drift.resource_type.unwrap_or_default();
        let properties = drift.property_differences.unwrap_or_default();
        let properties = properties
            .into_iter()
            .map(|difference| Property::of(&kind, difference));
        Self {
            resource: drift.logical_resource_id.unwrap_or_default(),
            name: drift.physical_resource_id.unwrap_or_default(),
            change: drift
                .stack_resource_drift_status
                .map_or_else(String::new, |status| status.as_str().to_owned()),
            properties: properties.collect(),
            kind,
        }
    }
}

impl Property {
    fn of(kind: &str, difference: PropertyDifference) -> Self {
        let path = difference.property_path.unwrap_or_default();
        let is_secret = is_secret(kind, &path);
        let shown = |value: Option<String>| match value {
            Some(_) if is_secret => "(not shown)".to_owned(),
            value => value.unwrap_or_default(),
        };
        Self {
            difference: difference
                .difference_type
                .map_or_else(String::new, |kind| kind.as_str().to_owned()),
            expected: shown(difference.expected_value),
            actual: shown(difference.actual_value),
            path,
        }
    }
}

/// Whether a value may be a secret, or hold one.
fn is_secret(kind: &str, path: &str) -> bool {
    let path = path.to_lowercase();
    kind == "AWS::SecretsManager::Secret"
        || ["secret", "password", "token"]
            .iter()
            .any(|word| path.contains(word))
}

/// Whether a resource that its template protects against deletion is protected no more.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn is_unprotected(
    account: &Account,
    stack: &str,
    resource: &str,
) -> anyhow::Result<bool> {
    let answer = Client::new(&account.config)
        .detect_stack_resource_drift()
        .stack_name(stack)
        .logical_resource_id(resource)
        .send()
        .await
        .map_err(|error| explained(&format!("looking at {resource} of {stack}"), error))?;
    let differences = answer.stack_resource_drift;
    let differences = differences.and_then(|drift| drift.property_differences);
    let mut differences = differences.unwrap_or_default().into_iter();
    Ok(differences.any(|difference| {
        difference.property_path.as_deref() == Some("/DeletionProtection")
            && difference.actual_value.as_deref() == Some("false")
    }))
}
