//! Looking again and again.

use std::time::Duration;

use aws_sdk_ecs::types::Service;
use tokio::time::{Instant, sleep};

use super::Arguments;
use crate::{
    aws::{account::Account, errors::explained, once, parameters},
    contract::Task,
    exit::{Exit, Failed},
    operate::deploy::{log::Log, roll::Watcher},
    render::template::Stack,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(3);

/// # Errors
/// [`Exit::StillRunning`] where the time is up, [`Exit::Refused`] where there are no services.
pub(super) async fn watch(arguments: &Arguments, log: &Log) -> anyhow::Result<()> {
    let account = Account::open(&arguments.access).await?;
    let deadline = arguments.timeout.map(|timeout| Instant::now() + timeout);
    let mut watcher = Watcher::default();
    let mut last = String::new();
    loop {
        let unstable = unstable(&account).await?;
        watcher.tell(&account, log).await?;
        let Some(why) = unstable else {
            log.event("stable", None, "every task runs and is healthy");
            return Ok(());
        };
        if why != last {
            log.event("waiting", None, &why);
            last = why;
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(Failed::because(
                Exit::StillRunning,
                format!("the time is up, and the services are not stable: {last}"),
            ));
        }
        sleep(LOOK).await;
    }
}

/// What is not as it will stay.
async fn unstable(account: &Account) -> anyhow::Result<Option<String>> {
    for task in [Task::Worker, Task::Api] {
        let service = once::service(account, task).await?;
        if let Some(why) = changing(&service) {
            return Ok(Some(format!("{} {why}", task.name())));
        }
        if task == Task::Api {
            let healthy = healthy(account).await?;
            if healthy < service.desired_count {
                let desired = service.desired_count;
                return Ok(Some(format!("{healthy} of {desired} targets are healthy")));
            }
        }
    }
    Ok(None)
}

fn changing(service: &Service) -> Option<String> {
    let deployments = service.deployments.as_deref().unwrap_or_default();
    if deployments.len() > 1 {
        return Some(format!("has {} deployments", deployments.len()));
    }
    let is_under_way = deployments.iter().any(|one| {
        let state = one.rollout_state.as_ref();
        state.is_some_and(|state| state.as_str() == "IN_PROGRESS")
    });
    let (running, desired) = (service.running_count, service.desired_count);
    (is_under_way || running != desired || service.pending_count > 0)
        .then(|| format!("runs {running} of {desired} tasks"))
}

/// As the load balancer sees them.
async fn healthy(account: &Account) -> anyhow::Result<i32> {
    let group = parameters::required(account, Stack::Platform, "target-group").await?;
    let answer = aws_sdk_elasticloadbalancingv2::Client::new(&account.config)
        .describe_target_health()
        .target_group_arn(group)
        .send()
        .await
        .map_err(|error| explained("looking at the targets", error))?;
    let targets = answer.target_health_descriptions.unwrap_or_default();
    let healthy = targets.iter().filter(|target| {
        let state = target
            .target_health
            .as_ref()
            .and_then(|health| health.state.as_ref());
        state.is_some_and(|state| state.as_str() == "healthy")
    });
    Ok(i32::try_from(healthy.count())?)
}
