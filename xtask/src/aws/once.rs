//! Tasks that are run once, where their service runs.

use aws_sdk_ecs::{
    Client,
    types::{
        AssignPublicIp, AwsVpcConfiguration, ContainerOverride, LaunchType, NetworkConfiguration,
        PropagateTags, Service, TaskOverride,
    },
};

use super::{account::Account, errors::explained, parameters};
use crate::{
    contract::Task,
    exit::{Exit, Failed},
    render::template::Stack,
};

/// A task definition and the place where its tasks run.
pub(crate) struct Kind {
    task: Task,
    definition: String,
    place: NetworkConfiguration,
}

/// That of a task: the migration's as its stack keeps it, a service's as it is now.
///
/// # Errors
/// [`Exit::Refused`] where it was never deployed.
pub(crate) async fn kind(account: &Account, task: Task) -> anyhow::Result<Kind> {
    if task == Task::Migrate {
        return migration(account).await;
    }
    let service = service(account, task).await?;
    let (Some(definition), Some(place)) = (service.task_definition, service.network_configuration)
    else {
        anyhow::bail!("ECS does not tell how the service {} runs", task.name());
    };
    Ok(Kind {
        task,
        definition,
        place,
    })
}

/// A service as ECS has it.
///
/// # Errors
/// [`Exit::Refused`] where it was never deployed.
pub(crate) async fn service(account: &Account, task: Task) -> anyhow::Result<Service> {
    let answer = Client::new(&account.config)
        .describe_services()
        .cluster(account.cluster())
        .services(task.name())
        .send()
        .await;
    let found = match answer {
        Ok(answer) => answer.services.unwrap_or_default().into_iter().next(),
        Err(error) if super::errors::code(&error) == "ClusterNotFoundException" => None,
        Err(error) => return Err(explained("looking at the service", error)),
    };
    let found = found.filter(|service| service.status.as_deref() == Some("ACTIVE"));
    found.ok_or_else(|| {
        let name = account.environment().name;
        let why = format!(
            "{name} has no service {} yet: `cargo xtask deploy --env {name}`",
            task.name()
        );
        Failed::because(Exit::Refused, why)
    })
}

async fn migration(account: &Account) -> anyhow::Result<Kind> {
    let kept = |stack, name| parameters::required(account, stack, name);
    let definition = kept(Stack::Migrate, "task").await?;
    let subnets = kept(Stack::Network, "private-subnets").await?;
    let group = kept(Stack::Network, "migrate-security-group").await?;
    let place = AwsVpcConfiguration::builder()
        .set_subnets(Some(subnets.split(',').map(str::to_owned).collect()))
        .security_groups(group)
        .assign_public_ip(AssignPublicIp::Disabled)
        .build()?;
    let place = NetworkConfiguration::builder().awsvpc_configuration(place);
    Ok(Kind {
        task: Task::Migrate,
        definition,
        place: place.build(),
    })
}

/// Starts one and gives its ARN. Asked twice with the same `id`, ECS starts one task. An empty command is the task
/// definition's own.
///
/// # Errors
/// Where AWS does not answer; the inner one says why ECS did not start it.
pub(crate) async fn start(
    account: &Account,
    kind: Kind,
    id: &str,
    command: &[String],
) -> anyhow::Result<Result<String, String>> {
    let instead = (!command.is_empty()).then(|| {
        let container = ContainerOverride::builder()
            .name(kind.task.name())
            .set_command(Some(command.to_vec()));
        TaskOverride::builder()
            .container_overrides(container.build())
            .build()
    });
    let answer = Client::new(&account.config)
        .run_task()
        .cluster(account.cluster())
        .task_definition(kind.definition)
        .launch_type(LaunchType::Fargate)
        .network_configuration(kind.place)
        .set_overrides(instead)
        .started_by(id)
        .client_token(id)
        .propagate_tags(PropagateTags::TaskDefinition)
        .send()
        .await
        .map_err(|error| explained(&format!("starting a task of {}", kind.task.name()), error))?;
    let task = answer.tasks.unwrap_or_default().into_iter().next();
    Ok(task.and_then(|task| task.task_arn).ok_or_else(|| {
        let failures = answer.failures.unwrap_or_default();
        let reasons: Vec<String> = failures
            .into_iter()
            .filter_map(|failure| failure.reason)
            .collect();
        format!("no task was started: {}", reasons.join(", "))
    }))
}

/// Asks one to end: SIGTERM, then SIGKILL after its stop timeout.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn stop(account: &Account, task: &str, reason: &str) -> anyhow::Result<()> {
    Client::new(&account.config)
        .stop_task()
        .cluster(account.cluster())
        .task(task)
        .reason(reason)
        .send()
        .await
        .map_err(|error| explained("stopping the task", error))?;
    Ok(())
}
