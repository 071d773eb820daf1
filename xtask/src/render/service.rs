//! The service stack: one release. Worker and API change together or not at all, the worker first, since it must
//! know the jobs that the API asks for.

mod alarms;
mod scaling;

use serde_json::{Value, json};

use super::{
    tasks,
    template::{Intrinsic, Stack, Template, attribute, reference},
    timeouts,
};
use crate::{
    contract::{Task, api_port},
    environments::{Environment, Spot},
};

/// The stack's services, in the order in which they change.
const SERVICES: [Task; 2] = [Task::Worker, Task::Api];

/// What other stacks lend.
struct Imports {
    topic: Intrinsic,
    cluster: Intrinsic,
    subnets: Intrinsic,
    target_group: Intrinsic,
    target_group_name: Intrinsic,
    load_balancer_name: Intrinsic,
}

/// # Errors
/// Where a service lacks a variable that it requires.
pub(crate) fn stack(environment: &Environment) -> anyhow::Result<Template> {
    let mut template = Template::new(
        Stack::Service,
        Some(environment.name),
        "one release of the API and the worker",
    );
    let imports = Imports {
        topic: template.import(Stack::Bootstrap, "topic-arn"),
        cluster: template.import(Stack::Platform, "cluster"),
        subnets: template.import(Stack::Network, "private-subnets"),
        target_group: template.import(Stack::Platform, "target-group"),
        target_group_name: template.import(Stack::Platform, "target-group-name"),
        load_balancer_name: template.import(Stack::Platform, "load-balancer-name"),
    };
    for task in SERVICES {
        let definition = tasks::add(&mut template, environment, task)?;
        let alarms = alarms::add(&mut template, environment, task, &imports);
        service(
            &mut template,
            environment,
            task,
            &definition,
            &alarms,
            &imports,
        );
        scaling::add(&mut template, environment, task, &imports);
    }
    Ok(template)
}

fn service(
    template: &mut Template,
    environment: &Environment,
    task: Task,
    definition: &str,
    alarms: &[String],
    imports: &Imports,
) {
    let group = template.import(Stack::Network, &format!("{}-security-group", task.name()));
    // No DesiredCount: it would undo what scaling has reached.
    let mut properties = json!({
        "ServiceName": task.name(),
        "Cluster": imports.cluster,
        "TaskDefinition": reference(definition),
        "CapacityProviderStrategy": capacity(environment, task),
        "PlatformVersion": "LATEST",
        "AvailabilityZoneRebalancing": "ENABLED",
        "EnableECSManagedTags": true,
        "EnableExecuteCommand": false,
        "PropagateTags": "SERVICE",
        "NetworkConfiguration": {"AwsvpcConfiguration": {
            "AssignPublicIp": "DISABLED",
            "Subnets": Intrinsic::Split(Box::new(imports.subnets.clone())),
            "SecurityGroups": [group],
        }},
        "DeploymentConfiguration": deployment(environment, alarms),
    });
    if task == Task::Api {
        properties["HealthCheckGracePeriodSeconds"] = json!(timeouts::GRACE);
        properties["LoadBalancers"] = json!([{
            "ContainerName": task.name(),
            "ContainerPort": api_port(),
            "TargetGroupArn": imports.target_group,
        }]);
    }
    let service = template.add(service_id(task), "AWS::ECS::Service", properties);
    if task == Task::Api {
        service.after(service_id(Task::Worker));
    }
}

/// New tasks first, then the old ones go; back by itself where too many fail or an alarm goes off.
fn deployment(environment: &Environment, alarms: &[String]) -> Value {
    let mut deployment = json!({
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {
            "Enable": true,
            "Rollback": true,
            // A task that crashes after it was healthy counts too.
            "ResetOnHealthyTask": false,
            "ThresholdConfiguration": {"Type": "COUNT", "Value": environment.deploy.breaker},
        },
    });
    if environment.deploy.alarms {
        let names: Vec<Intrinsic> = alarms.iter().map(reference).collect();
        deployment["Alarms"] = json!({"AlarmNames": names, "Enable": true, "Rollback": true});
    }
    deployment
}

/// On-demand tasks, and where they are wanted, Spot ones.
fn capacity(environment: &Environment, task: Task) -> Value {
    let on_demand = json!([{"CapacityProvider": "FARGATE", "Weight": 1}]);
    match (task, environment.worker.spot) {
        (Task::Worker, Spot::BeyondMin) => json!([
            {"CapacityProvider": "FARGATE", "Base": environment.worker.min, "Weight": 1},
            {"CapacityProvider": "FARGATE_SPOT", "Weight": 3},
        ]),
        (Task::Worker, Spot::Always) => json!([{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]),
        (Task::Worker, Spot::Never) | (Task::Api | Task::Migrate, _) => on_demand,
    }
}

fn service_id(task: Task) -> String {
    format!("{}Service", task.title())
}

/// By name, as metrics know a service.
fn dimensions(task: Task, imports: &Imports) -> Value {
    json!([
        {"Name": "ClusterName", "Value": imports.cluster},
        {"Name": "ServiceName", "Value": attribute(service_id(task), "Name")},
    ])
}
