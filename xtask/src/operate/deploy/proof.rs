//! Whether healthy targets run the intended release. What CloudFormation and ECS say of their success does not
//! count: a deployment that ECS took back ends as "steady" too.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_ecs::{
    Client,
    types::{DesiredStatus, Service, Task},
};
use tokio::time::{Instant, sleep};

use super::{
    roll::{SERVICES, Source, Watcher},
    session::Session,
};
use crate::{
    aws::{apply::LOOK, errors::explained, parameters, stacks, tasks},
    exit::{Exit, Failed},
    render::template::Stack,
};

/// What stands in the way of the proof.
enum Lack {
    /// It may still come.
    NotYet(String),
    /// It will not come.
    Never(String),
}

/// Waits until the release is proven.
///
/// # Errors
/// [`Exit::RolledBack`] with what is lacking, when it cannot come any more or the time is up.
pub(crate) async fn services(session: &Session<'_>, source: &Source) -> anyhow::Result<()> {
    let deadline = Instant::now() + session.timeout();
    let mut watcher = Watcher::default();
    loop {
        watcher.tell(session.account, session.log).await?;
        let why = match lack(session, source).await? {
            None => return Ok(()),
            Some(Lack::Never(why)) => return Err(unproven(&why)),
            Some(Lack::NotYet(why)) => why,
        };
        if Instant::now() > deadline {
            return Err(unproven(&why));
        }
        sleep(LOOK).await;
    }
}

fn unproven(why: &str) -> anyhow::Error {
    Failed::because(
        Exit::RolledBack,
        format!("the release is not proven: {why}"),
    )
}

async fn lack(session: &Session<'_>, source: &Source) -> anyhow::Result<Option<Lack>> {
    let definitions = definitions(session).await?;
    let answer = Client::new(&session.account.config)
        .describe_services()
        .cluster(session.cluster())
        .set_services(Some(SERVICES.map(str::to_owned).to_vec()))
        .send()
        .await
        .map_err(|error| explained("looking at the services", error))?;
    let services = answer.services.unwrap_or_default();
    for name in SERVICES {
        let service = services
            .iter()
            .find(|service| service.service_name.as_deref() == Some(name));
        let (Some(service), Some(definition)) = (service, definitions.get(name)) else {
            return Ok(Some(Lack::Never(format!("there is no service {name}"))));
        };
        if let Some(why) = not_intended(session, definition, source).await? {
            return Ok(Some(Lack::Never(format!("{name} {why}"))));
        }
        if let Some(lack) = deployed(name, service, definition) {
            return Ok(Some(lack));
        }
        let running = tasks::of_service(
            session.account,
            &session.cluster(),
            name,
            DesiredStatus::Running,
        )
        .await?;
        if let Some(why) = other_tasks(&running, definition, &source.digest) {
            return Ok(Some(Lack::NotYet(format!("{name}: {why}"))));
        }
        if name == "api" {
            let lack = targets(session, &running, service.desired_count).await?;
            if let Some(why) = lack {
                return Ok(Some(Lack::NotYet(why)));
            }
        }
    }
    Ok(None)
}

/// The task definitions of the stack, by service.
async fn definitions(session: &Session<'_>) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let environment = session.account.environment().name;
    let stack = Stack::Service.name(environment);
    let kind = "AWS::ECS::TaskDefinition";
    let arns = stacks::resources(session.account, &stack, kind).await?;
    let of = |name: &str| {
        let family = format!("/taskhub-{environment}-{name}:");
        arns.iter().find(|arn| arn.contains(&family)).cloned()
    };
    let found = SERVICES
        .into_iter()
        .filter_map(|name| Some((name, of(name)?)));
    Ok(found.collect())
}

/// Why a task definition is not that of the release.
async fn not_intended(
    session: &Session<'_>,
    definition: &str,
    source: &Source,
) -> anyhow::Result<Option<String>> {
    let answer = Client::new(&session.account.config)
        .describe_task_definition()
        .task_definition(definition)
        .send()
        .await
        .map_err(|error| explained("looking at a task definition", error))?;
    let definition = answer.task_definition;
    let containers = definition.and_then(|definition| definition.container_definitions);
    let container = containers.unwrap_or_default().into_iter().next();
    let image = container
        .and_then(|container| container.image)
        .unwrap_or_default();
    let is_intended = image.ends_with(&format!("@{}", source.digest));
    Ok((!is_intended).then(|| format!("is to run {image}, not {}", source.digest)))
}

/// ECS's own view: one deployment, of this task definition, complete.
fn deployed(name: &str, service: &Service, definition: &str) -> Option<Lack> {
    let deployments = service.deployments.as_deref().unwrap_or_default();
    let primary = deployments
        .iter()
        .find(|deployment| deployment.status.as_deref() == Some("PRIMARY"))?;
    let revision = tasks::short(definition);
    if primary.task_definition.as_deref() != Some(definition) {
        let other = tasks::short(primary.task_definition.as_deref().unwrap_or_default());
        return Some(Lack::Never(format!(
            "{name} runs {other}, not {revision}: ECS took it back"
        )));
    }
    let state = primary
        .rollout_state
        .as_ref()
        .map_or("", |state| state.as_str());
    if state == "FAILED" {
        let reason = primary.rollout_state_reason.as_deref().unwrap_or_default();
        return Some(Lack::Never(format!("{name}: {reason}")));
    }
    let is_whole = primary.running_count >= primary.desired_count && service.desired_count > 0;
    if state == "IN_PROGRESS" || !is_whole {
        return Some(Lack::NotYet(format!(
            "{name} runs {} of {} tasks of {revision}",
            primary.running_count, primary.desired_count
        )));
    }
    None
}

/// Tasks that are still of another release.
fn other_tasks(running: &[Task], definition: &str, digest: &str) -> Option<String> {
    let is_other = |task: &&Task| {
        let digests = task.containers.iter().flatten();
        let mut digests = digests.filter_map(|container| container.image_digest.as_deref());
        task.task_definition_arn.as_deref() != Some(definition)
            || digests.any(|running| running != digest)
    };
    let others = running.iter().filter(is_other).count();
    (others > 0).then(|| format!("{others} tasks are of another release"))
}

/// The load balancer sees as many healthy tasks of the release as there should be, and no others.
async fn targets(
    session: &Session<'_>,
    running: &[Task],
    desired: i32,
) -> anyhow::Result<Option<String>> {
    let account = session.account;
    let group = parameters::required(account, Stack::Platform, "target-group").await?;
    let answer = aws_sdk_elasticloadbalancingv2::Client::new(&account.config)
        .describe_target_health()
        .target_group_arn(group)
        .send()
        .await
        .map_err(|error| explained("looking at the targets", error))?;
    let addresses: BTreeSet<String> = running.iter().filter_map(address).collect();
    let mut healthy = 0;
    for target in answer.target_health_descriptions.unwrap_or_default() {
        let state = target.target_health.and_then(|health| health.state);
        let id = target
            .target
            .and_then(|target| target.id)
            .unwrap_or_default();
        let is_healthy = state
            .as_ref()
            .is_some_and(|state| state.as_str() == "healthy");
        if is_healthy && addresses.contains(&id) {
            healthy += 1;
        }
    }
    Ok((healthy < desired)
        .then(|| format!("{healthy} of {desired} tasks are healthy for the load balancer")))
}

/// Within the private network.
fn address(task: &Task) -> Option<String> {
    let interfaces = task
        .containers
        .iter()
        .flatten()
        .flat_map(|container| container.network_interfaces.iter().flatten());
    let mut addresses = interfaces.filter_map(|interface| interface.private_ipv4_address.clone());
    let of_attachment = || {
        let details = task
            .attachments
            .iter()
            .flatten()
            .flat_map(|attachment| attachment.details.iter().flatten());
        let mut found =
            details.filter(|detail| detail.name.as_deref() == Some("privateIPv4Address"));
        found.next().and_then(|detail| detail.value.clone())
    };
    addresses.next().or_else(of_attachment)
}

/// Asks the API as a user would, and gives the commit that it says it is of.
///
/// # Errors
/// [`Exit::RolledBack`] where it does not answer well.
pub(crate) async fn answers(session: &Session<'_>) -> anyhow::Result<Option<String>> {
    let own = session.account.environment().public_url();
    let url = session.rolling.url.clone().unwrap_or(own);
    let url = url.trim_end_matches('/').to_owned();
    let asked = tokio::task::spawn_blocking(move || ask(&url)).await?;
    asked.map_err(|why| unproven(&why))
}

fn ask(url: &str) -> Result<Option<String>, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    let get = |path: &str| {
        let url = format!("{url}{path}");
        agent
            .get(&url)
            .call()
            .map_err(|error| format!("GET {url}: {error}"))
    };
    get("/health")?;
    let mut meta = get("/v1/meta")?;
    let meta: serde_json::Value = meta
        .body_mut()
        .read_json()
        .map_err(|error| format!("GET {url}/v1/meta: {error}"))?;
    Ok(meta["commit"].as_str().map(str::to_owned))
}
