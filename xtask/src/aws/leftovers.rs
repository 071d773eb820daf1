//! What a stack that is stuck has left behind.

use aws_sdk_cloudformation::Client;
use serde::Serialize;

use super::{account::Account, errors::explained};

/// A resource of a stuck stack that is neither as it should be nor gone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leftover {
    /// The logical id.
    pub(crate) resource: String,
    kind: String,
    /// As its service knows it.
    name: String,
    /// `DELETE_FAILED`, …
    status: String,
    reason: Option<String>,
}

impl Leftover {
    pub(crate) fn line(&self) -> String {
        let Self {
            resource,
            kind,
            name,
            status,
            reason,
        } = self;
        let why = reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        format!("{resource} ({kind}) {name} {status}{why}")
    }
}

/// What of a stack has failed.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn of(account: &Account, name: &str) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut pages = Client::new(&account.config)
        .list_stack_resources()
        .stack_name(name)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| explained(&format!("listing {name}"), error))?;
        for resource in page.stack_resource_summaries.unwrap_or_default() {
            let status = resource.resource_status;
            let status = status.map_or_else(String::new, |status| status.as_str().to_owned());
            if status.ends_with("_FAILED") {
                found.push(Leftover {
                    resource: resource.logical_resource_id.unwrap_or_default(),
                    kind: resource.resource_type.unwrap_or_default(),
                    name: resource.physical_resource_id.unwrap_or_default(),
                    status,
                    reason: resource.resource_status_reason,
                });
            }
        }
    }
    Ok(found)
}
