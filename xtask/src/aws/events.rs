//! What a stack went through.

use aws_sdk_cloudformation::Client;

use super::{account::Account, errors::explained, triage::Event};

/// The newest events of a stack, oldest first.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn newest(account: &Account, stack: &str) -> anyhow::Result<Vec<Event>> {
    let answer = Client::new(&account.config)
        .describe_stack_events()
        .stack_name(stack)
        .send()
        .await
        .map_err(|error| explained(&format!("reading the events of {stack}"), error))?;
    let events = answer.stack_events.unwrap_or_default().into_iter().rev();
    let events = events.map(|event| Event {
        resource: event.logical_resource_id.unwrap_or_default(),
        kind: event.resource_type.unwrap_or_default(),
        status: event
            .resource_status
            .map(|status| status.as_str().to_owned())
            .unwrap_or_default(),
        reason: event.resource_status_reason.unwrap_or_default(),
    });
    Ok(events.collect())
}
