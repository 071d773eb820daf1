//! Tasks of ECS and their logs.

use aws_sdk_ecs::{
    Client,
    types::{DesiredStatus, Task},
};

use super::{
    account::Account,
    errors::{code, explained},
};

/// Tasks by their ARNs; those that ECS has forgotten are left out.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn describe(
    account: &Account,
    cluster: &str,
    arns: &[String],
) -> anyhow::Result<Vec<Task>> {
    let mut found = Vec::new();
    for page in arns.chunks(100) {
        let answer = Client::new(&account.config)
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(page.to_vec()))
            .send()
            .await
            .map_err(|error| explained("looking at tasks", error))?;
        found.extend(answer.tasks.unwrap_or_default());
    }
    Ok(found)
}

/// A service's tasks that run, or that have stopped a short while ago.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn of_service(
    account: &Account,
    cluster: &str,
    service: &str,
    status: DesiredStatus,
) -> anyhow::Result<Vec<Task>> {
    let mut arns = Vec::new();
    let mut pages = Client::new(&account.config)
        .list_tasks()
        .cluster(cluster)
        .service_name(service)
        .desired_status(status)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| explained(&format!("listing tasks of {service}"), error))?;
        arns.extend(page.task_arns.unwrap_or_default());
    }
    describe(account, cluster, &arns).await
}

/// How a task that has stopped ended: its exit code, if it ran, and what ECS says of it.
pub(crate) fn end(task: &Task) -> (Option<i32>, &str) {
    let containers = task.containers.as_deref().unwrap_or_default();
    let code = containers.iter().find_map(|container| container.exit_code);
    let mut reasons = containers
        .iter()
        .filter_map(|container| container.reason.as_deref());
    let reason = reasons.next().or(task.stopped_reason.as_deref());
    (code, reason.unwrap_or("it ended without a reason"))
}

/// The last part of an ARN, as people name a task.
pub(crate) fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// What a task writes, from its beginning.
pub(crate) struct Lines {
    group: String,
    stream: String,
    token: Option<String>,
}

impl Lines {
    /// Of the only container of a task, which is named for what it does.
    pub(crate) fn of(account: &Account, container: &str, task: &str) -> Self {
        Self {
            group: format!("/taskhub/{}/{container}", account.environment().name),
            stream: format!("{container}/{container}/{}", short(task)),
            token: None,
        }
    }

    /// What has been written since the last call. Nothing where the task has not written yet.
    ///
    /// # Errors
    /// Where AWS does not say.
    pub(crate) async fn next(&mut self, account: &Account) -> anyhow::Result<Vec<String>> {
        let answer = aws_sdk_cloudwatchlogs::Client::new(&account.config)
            .get_log_events()
            .log_group_name(&self.group)
            .log_stream_name(&self.stream)
            .start_from_head(true)
            .set_next_token(self.token.clone())
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if code(&error) == "ResourceNotFoundException" => return Ok(Vec::new()),
            Err(error) => return Err(explained("reading logs", error)),
        };
        self.token = answer.next_forward_token.or_else(|| self.token.take());
        let events = answer.events.unwrap_or_default();
        Ok(events
            .into_iter()
            .filter_map(|event| event.message)
            .collect())
    }
}
