//! Task definitions: the same image three times, each with its command, its settings and its role.

use serde_json::{Value, json};

use super::{
    bootstrap::REPOSITORY,
    platform::group,
    template::{Intrinsic, Stack, Template, filled, reference, sub},
};
use crate::{
    contract::{PROBE, Secret, Task, USER, settings},
    environments::Environment,
};

/// The image's digest, `sha256:…`: the only thing that differs from release to release.
const DIGEST: &str = "ImageDigest";

/// Names a release. Another one always makes a new revision, even of the same image.
const RELEASE: &str = "Release";

/// Logs that wait in memory while CloudWatch is slow; beyond that they are lost, and the program goes on.
const LOG_BUFFER: &str = "8m";

/// Sockets, mostly.
const OPEN_FILES: u32 = 65_536;

/// Of the migration, which does one thing at a time.
const MIGRATE_SIZE: (u32, u32) = (256, 512);

/// Adds the task definition and its parameters, and gives its logical id.
///
/// # Errors
/// Where the task lacks a variable that it requires.
pub(crate) fn add(
    template: &mut Template,
    environment: &Environment,
    task: Task,
) -> anyhow::Result<String> {
    release_parameters(template);
    let roles = ["execution", "task"]
        .map(|kind| template.import(Stack::Platform, &format!("{}-{kind}-role", task.name())));
    let secrets = secrets(template, task);
    let (cpu, memory) = size(environment, task);
    let [execution, own] = roles;
    let id = format!("{}Task", task.title());
    let properties = json!({
        "Family": format!("taskhub-{}-{}", environment.name, task.name()),
        "Cpu": cpu.to_string(),
        "Memory": memory.to_string(),
        "NetworkMode": "awsvpc",
        "RequiresCompatibilities": ["FARGATE"],
        "RuntimePlatform": {
            "CpuArchitecture": environment.images.arch.ecs(),
            "OperatingSystemFamily": "LINUX",
        },
        "ExecutionRoleArn": execution,
        "TaskRoleArn": own,
        "ContainerDefinitions": [container(environment, task, &secrets)?],
    });
    template.add(&id, "AWS::ECS::TaskDefinition", properties);
    Ok(id)
}

fn release_parameters(template: &mut Template) {
    template.parameter(
        DIGEST,
        json!({
            "Type": "String",
            "AllowedPattern": "^sha256:[0-9a-f]{64}$",
            "Description": "The image, as the registry names its content",
        }),
    );
    template.parameter(
        RELEASE,
        json!({
            "Type": "String",
            "Default": "none",
            "AllowedPattern": "^[A-Za-z0-9._-]{1,64}$",
            "Description": "The release's id; another one starts new tasks even for the same image",
        }),
    );
}

/// What `TASKHUB_SECRETS` says.
fn secrets(template: &mut Template, task: Task) -> Intrinsic {
    let parts = Secret::read_by(task).map(|secret| {
        let arn = template.import(Stack::Data, &secret.parameter());
        match secret.renamed_for(task) {
            Some(name) => sub(format!("{name}={}", arn.within())),
            None => arn,
        }
    });
    Intrinsic::Join(parts.collect())
}

fn size(environment: &Environment, task: Task) -> (u32, u32) {
    match task {
        Task::Api => (environment.api.cpu, environment.api.memory),
        Task::Worker => (environment.worker.cpu, environment.worker.memory),
        Task::Migrate => MIGRATE_SIZE,
    }
}

fn container(environment: &Environment, task: Task, secrets: &Intrinsic) -> anyhow::Result<Value> {
    let (_, memory) = size(environment, task);
    let mut container = json!({
        "Name": task.name(),
        "Image": sub(format!(
            "${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/{REPOSITORY}@${{{DIGEST}}}"
        )),
        "Essential": true,
        "Command": task.command(),
        "Environment": variables(environment, task, secrets)?,
        "User": USER,
        "Privileged": false,
        "ReadonlyRootFilesystem": true,
        "LinuxParameters": {"InitProcessEnabled": true, "Capabilities": {"Drop": ["ALL"]}},
        "Memory": memory,
        "StopTimeout": task.stop_timeout(environment),
        "Ulimits": [{"Name": "nofile", "SoftLimit": OPEN_FILES, "HardLimit": OPEN_FILES}],
        "VersionConsistency": "enabled",
        "DockerLabels": {"release": reference(RELEASE)},
        "LogConfiguration": log(environment, task),
    });
    let ports = ports(task);
    if !ports.is_empty() {
        container["PortMappings"] = json!(ports);
    }
    if let Some(command) = task.health_command() {
        container["HealthCheck"] = health_check(command);
    }
    Ok(container)
}

fn variables(
    environment: &Environment,
    task: Task,
    secrets: &Intrinsic,
) -> anyhow::Result<Vec<Value>> {
    let mut variables: Vec<Value> = settings(task, environment)?
        .into_iter()
        .map(|(name, value)| json!({"Name": name, "Value": value}))
        .collect();
    variables.push(json!({"Name": "TASKHUB_SECRETS", "Value": secrets}));
    Ok(variables)
}

fn log(environment: &Environment, task: Task) -> Value {
    json!({
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": group(environment, task),
            "awslogs-region": reference("AWS::Region"),
            "awslogs-stream-prefix": task.name(),
            "mode": "non-blocking",
            "max-buffer-size": LOG_BUFFER,
        },
    })
}

fn ports(task: Task) -> Vec<Value> {
    let mapping = |(name, port)| json!({"Name": name, "ContainerPort": port, "Protocol": "tcp", "AppProtocol": "http"});
    task.ports().into_iter().map(mapping).collect()
}

fn health_check(command: &[&str]) -> Value {
    let words: Vec<&str> = std::iter::once("CMD")
        .chain(command.iter().copied())
        .collect();
    json!({
        "Command": words,
        "Interval": PROBE.interval,
        "Timeout": PROBE.timeout,
        "Retries": PROBE.retries,
        "StartPeriod": PROBE.start_period,
    })
}

/// The properties of a task definition as ECS itself takes them: names that begin small, and `${…}` where
/// CloudFormation would fill something in.
pub(crate) fn plain(properties: &Value) -> Value {
    small(&filled(properties))
}

fn small(value: &Value) -> Value {
    match value {
        Value::Object(object) => object
            .iter()
            .map(|(key, value)| {
                // Their keys are names, not properties.
                let names = matches!(key.as_str(), "Options" | "DockerLabels");
                (
                    small_letter(key),
                    if names { value.clone() } else { small(value) },
                )
            })
            .collect(),
        Value::Array(values) => values.iter().map(small).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn small_letter(key: &str) -> String {
    let mut letters = key.chars();
    let first = letters
        .next()
        .map(|first| first.to_lowercase().collect::<String>());
    first.unwrap_or_default() + letters.as_str()
}
