//! The services change: CloudFormation begins it, ECS is watched while it does it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ecs::{
    Client,
    types::{DesiredStatus, ServiceDeploymentStatus, StopServiceDeploymentStopType},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    log::Log,
    session::{Session, Stage},
    stopped,
};
use crate::{
    aws::{
        account::Account,
        apply::{self, LOOK, Started},
        errors::explained,
        parameters, stacks,
        stacks::Wanted,
        tasks::{self, Lines},
        triage::has_ended,
    },
    environments::Name,
    exit::{Exit, Failed},
    render::template::Stack,
};

/// In the order in which they change.
pub(crate) const SERVICES: [&str; 2] = ["worker", "api"];

/// What a rollback by AWS may take after the deadline.
const GOING_BACK: Duration = Duration::from_secs(600);

/// What the service stack was made from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) template: Value,
    pub(crate) release: String,
    pub(crate) digest: String,
}

/// What runs now, or nothing where nothing does.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn running(session: &Session<'_>) -> anyhow::Result<Option<Source>> {
    let name = Stack::Service.name(session.account.environment().name);
    let Some(existing) = stacks::describe(session.account, &name).await? else {
        return Ok(None);
    };
    if existing.status == "REVIEW_IN_PROGRESS" {
        return Ok(None);
    }
    let parameter = |name: &str| existing.parameters.get(name).cloned().unwrap_or_default();
    Ok(Some(Source {
        template: stacks::template(session.account, &name).await?,
        release: parameter("Release"),
        digest: parameter("ImageDigest"),
    }))
}

/// Begins the change of the service stack.
///
/// # Errors
/// Where CloudFormation refuses it, or the lock was lost. Nothing changed then.
pub(crate) async fn start(session: &Session<'_>, source: &Source) -> anyhow::Result<Started> {
    let account = session.account;
    let existing = apply::ready(account, Stack::Service, session.patience()).await?;
    let wanted = Wanted {
        stack: Stack::Service,
        template: &source.template,
        given: given(&source.release, &source.digest),
        topic: parameters::kept(account, Stack::Bootstrap, "topic-arn").await?,
    };
    session.lock.is_held()?;
    let started = apply::start(account, &wanted, existing.as_ref(), &source.release).await?;
    session.enter(Stage::Rolling);
    started.ok_or_else(|| {
        anyhow::anyhow!("the service stack is the same, although the release is another")
    })
}

/// The parameters that name a release.
pub(crate) fn given(release: &str, digest: &str) -> BTreeMap<String, String> {
    [
        ("ImageDigest".to_owned(), digest.to_owned()),
        ("Release".to_owned(), release.to_owned()),
    ]
    .into()
}

/// How CloudFormation ended a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It says that the new state is reached, which is to be proven.
    Reached,
    /// It went back, for this reason.
    WentBack(String),
}

/// Tells what happens until CloudFormation has ended it. What takes longer than it may is told to go back.
///
/// # Errors
/// [`Exit::NeedsHuman`] where neither the new state nor the old one is reached.
pub(crate) async fn watch(session: &Session<'_>, started: &Started) -> anyhow::Result<End> {
    let account = session.account;
    let mut watcher = Watcher::default();
    let mut deadline = Instant::now() + session.timeout();
    let mut is_late = false;
    loop {
        watcher.tell(session.account, session.log).await?;
        let status = apply::status(account, &started.stack).await?;
        if has_ended(&status) && status != "REVIEW_IN_PROGRESS" {
            let cause = apply::cause(account, &started.stack).await;
            let environment = account.environment().name;
            return verdict(environment, &started.stack, &status, &cause);
        }
        if Instant::now() > deadline && is_late {
            return Err(Failed::because(
                Exit::NeedsHuman,
                format!(
                    "{} is still {status}, though it was told to go back. `cargo xtask repair --env {} --stack \
                     service` tells what it needs once it rests",
                    started.stack,
                    account.environment().name
                ),
            ));
        }
        if Instant::now() > deadline {
            session.log.event(
                "deadline",
                None,
                "the time is up: the services are told to go back",
            );
            stop(session).await;
            is_late = true;
            deadline = Instant::now() + GOING_BACK;
        }
        sleep(LOOK).await;
    }
}

/// What a state in which CloudFormation rests means.
fn verdict(environment: Name, stack: &str, status: &str, cause: &str) -> anyhow::Result<End> {
    match status {
        "CREATE_COMPLETE" => Ok(End::Reached),
        _ if status.starts_with("UPDATE_COMPLETE") => Ok(End::Reached),
        _ if status.starts_with("UPDATE_ROLLBACK_COMPLETE") => {
            Ok(End::WentBack(format!("{stack} went back{cause}")))
        }
        "ROLLBACK_COMPLETE" => Err(Failed::because(
            Exit::NeedsHuman,
            format!(
                "the first release failed, and nothing runs{cause}. Remove the cause and deploy again: what is left of \
                 {stack} is cleared away then"
            ),
        )),
        _ => Err(Failed::because(
            Exit::NeedsHuman,
            format!(
                "{stack} is {status}{cause}. `cargo xtask repair --env {environment} --stack service` shows what is \
                 safe to do, and does it"
            ),
        )),
    }
}

/// Tells ECS, then CloudFormation, to go back. What is not under way is no error.
pub(crate) async fn stop(session: &Session<'_>) {
    for service in SERVICES {
        if let Err(error) = stop_service(session, service).await {
            session
                .log
                .event("error", Some(service), &format!("{error:#}"));
        }
    }
    let name = Stack::Service.name(session.account.environment().name);
    let cancelled = aws_sdk_cloudformation::Client::new(&session.account.config)
        .cancel_update_stack()
        .stack_name(&name)
        .send()
        .await;
    if let Err(error) = cancelled {
        let error = explained(&format!("cancelling the change of {name}"), error);
        session.log.event("error", None, &format!("{error:#}"));
    }
}

async fn stop_service(session: &Session<'_>, service: &str) -> anyhow::Result<()> {
    let client = Client::new(&session.account.config);
    let answer = client
        .list_service_deployments()
        .cluster(session.cluster())
        .service(service)
        .status(ServiceDeploymentStatus::InProgress)
        .send()
        .await
        .map_err(|error| explained("listing deployments", error))?;
    for deployment in answer.service_deployments.unwrap_or_default() {
        client
            .stop_service_deployment()
            .set_service_deployment_arn(deployment.service_deployment_arn)
            .stop_type(StopServiceDeploymentStopType::Rollback)
            .send()
            .await
            .map_err(|error| explained("stopping a deployment", error))?;
    }
    Ok(())
}

/// Remembers what it has told.
#[derive(Default)]
pub(crate) struct Watcher {
    told: BTreeSet<String>,
    last: String,
}

impl Watcher {
    /// Events, ends of tasks with their last lines, and how far each service is.
    ///
    /// # Errors
    /// Where AWS does not answer.
    pub(crate) async fn tell(&mut self, account: &Account, log: &Log) -> anyhow::Result<()> {
        let answer = Client::new(&account.config)
            .describe_services()
            .cluster(account.cluster())
            .set_services(Some(SERVICES.map(str::to_owned).to_vec()))
            .send()
            .await
            .map_err(|error| explained("looking at the services", error))?;
        let mut summary = Vec::new();
        for service in answer.services.unwrap_or_default() {
            let name = service.service_name.clone().unwrap_or_default();
            for deployment in service.deployments.unwrap_or_default() {
                let state = deployment.status.unwrap_or_default();
                summary.push(format!(
                    "{name} {} {}/{}{}",
                    state.to_lowercase(),
                    deployment.running_count,
                    deployment.desired_count,
                    failures(deployment.failed_tasks)
                ));
            }
            // Of the many that ECS keeps, only those that come while we look.
            for event in service
                .events
                .unwrap_or_default()
                .into_iter()
                .take(10)
                .rev()
            {
                let text = event.message.unwrap_or_default();
                let is_new = self.told.insert(event.id.unwrap_or_default());
                if is_new && !self.last.is_empty() {
                    log.event("ecs", Some(&name), &text);
                }
            }
            self.tell_ends(account, log, &name).await?;
        }
        let summary = summary.join(", ");
        if summary != self.last {
            log.event("progress", None, &summary);
            self.last = summary;
        }
        Ok(())
    }

    async fn tell_ends(
        &mut self,
        account: &Account,
        log: &Log,
        service: &str,
    ) -> anyhow::Result<()> {
        let ended =
            tasks::of_service(account, &account.cluster(), service, DesiredStatus::Stopped).await?;
        for task in ended {
            let arn = task.task_arn.unwrap_or_default();
            let is_new = self.told.insert(arn.clone());
            if !is_new || self.last.is_empty() {
                continue;
            }
            let containers = task.containers.unwrap_or_default();
            let code = containers.iter().find_map(|container| container.exit_code);
            let reason = task.stopped_reason.unwrap_or_default();
            let text = format!(
                "task {} ended: {}",
                tasks::short(&arn),
                stopped::explained(&reason, code)
            );
            log.event("task", Some(service), &text);
            // Tasks of the former release end as they should.
            if code.is_some_and(|code| code != 0) {
                let lines = Lines::of(account, service, &arn).next(account).await?;
                for line in lines.iter().rev().take(20).rev() {
                    log.event("log", Some(service), line.trim_end());
                }
            }
        }
        Ok(())
    }
}

fn failures(count: i32) -> String {
    if count == 0 {
        String::new()
    } else {
        format!(" ({count} failed)")
    }
}
