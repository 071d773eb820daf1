//! Alarms on the services, among them those that roll a release back. They look at single minutes, since ECS watches a
//! release for as long as its alarms look back.

use serde_json::{Value, json};

use super::{Imports, dimensions};
use crate::{
    contract::Task,
    environments::Environment,
    render::{
        alarms::{self, metric},
        platform::namespace,
        template::Template,
    },
};

/// Percent of a minute's requests that may fail.
const ERRORS: u32 = 2;

/// Requests in a minute below which a share of them means nothing.
const FEW: u32 = 20;

/// Adds the alarms of a service and gives the logical ids of those that roll a release back.
pub(super) fn add(
    template: &mut Template,
    environment: &Environment,
    task: Task,
    imports: &Imports,
) -> Vec<String> {
    let decisive = match task {
        Task::Api => api(environment, imports),
        Task::Worker | Task::Migrate => worker(environment),
    };
    let mut others = load(environment, task, imports);
    // Outside of office hours too few tasks are as many as there should be.
    if environment.schedule.is_none() {
        others.push(("Tasks", tasks(environment, task, imports)));
    }
    let mut add = |(what, properties): (&str, Value)| {
        let id = format!("{}{what}Alarm", task.title());
        alarms::add(
            template,
            &imports.topic,
            &id,
            named(environment, task, what, properties),
        );
        id
    };
    let ids = decisive.into_iter().map(&mut add).collect();
    others.into_iter().for_each(|other| drop(add(other)));
    ids
}

fn named(environment: &Environment, task: Task, what: &str, mut properties: Value) -> Value {
    let name = format!(
        "taskhub-{}-{}-{}",
        environment.name,
        task.name(),
        alarms::kebab(what)
    );
    properties["AlarmName"] = json!(name);
    properties
}

fn api(environment: &Environment, imports: &Imports) -> Vec<(&'static str, Value)> {
    let space = "AWS/ApplicationELB";
    let targets = json!([
        {"Name": "LoadBalancer", "Value": imports.load_balancer_name},
        {"Name": "TargetGroup", "Value": imports.target_group_name},
    ]);
    let errors = json!({
        "AlarmDescription": format!("More than {ERRORS} % of the requests fail"),
        "Metrics": [
            metric("errors", space, "HTTPCode_Target_5XX_Count", &targets, "Sum"),
            metric("requests", space, "RequestCount", &targets, "Sum"),
            {
                "Id": "ratio",
                "Label": "Percent of requests that fail",
                "Expression": format!("IF(requests >= {FEW}, 100 * FILL(errors, 0) / requests, 0)"),
                "ReturnData": true,
            },
        ],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": ERRORS,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
    });
    let latency = json!({
        "AlarmDescription": format!("One request in twenty takes longer than {} ms", environment.alarms.latency),
        "Namespace": space,
        "MetricName": "TargetResponseTime",
        "Dimensions": targets,
        "ExtendedStatistic": "p95",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": f64::from(environment.alarms.latency) / 1000.0,
        "EvaluationPeriods": 3,
        "EvaluateLowSampleCountPercentile": "ignore",
    });
    let unhealthy = json!({
        "AlarmDescription": "A task does not answer its health check",
        "Namespace": space,
        "MetricName": "UnHealthyHostCount",
        "Dimensions": targets,
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "EvaluationPeriods": 3,
    });
    vec![
        ("Errors", errors),
        ("Latency", latency),
        ("Unhealthy", unhealthy),
    ]
}

fn worker(environment: &Environment) -> Vec<(&'static str, Value)> {
    let age = json!({
        "AlarmDescription": format!("A job has waited longer than {} s", environment.alarms.job_age),
        "Namespace": namespace(environment),
        "MetricName": "OldestJob",
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": environment.alarms.job_age,
        "EvaluationPeriods": 3,
    });
    vec![("JobAge", age)]
}

fn load(environment: &Environment, task: Task, imports: &Imports) -> Vec<(&'static str, Value)> {
    let of = |metric: &str, what: &str| {
        json!({
            "AlarmDescription": format!("The {} tasks of {} use more than 85 % of their {what}", task.name(), environment.name),
            "Namespace": "AWS/ECS",
            "MetricName": metric,
            "Dimensions": dimensions(task, imports),
            "Statistic": "Average",
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 85,
            "EvaluationPeriods": 5,
        })
    };
    vec![
        ("Memory", of("MemoryUtilization", "memory")),
        ("Cpu", of("CPUUtilization", "processors")),
    ]
}

fn tasks(environment: &Environment, task: Task, imports: &Imports) -> Value {
    let min = if task == Task::Api {
        environment.api.min
    } else {
        environment.worker.min
    };
    json!({
        "AlarmDescription": format!("Fewer than {min} {} tasks run", task.name()),
        "Namespace": "ECS/ContainerInsights",
        "MetricName": "RunningTaskCount",
        "Dimensions": dimensions(task, imports),
        "Statistic": "Minimum",
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": min,
        "EvaluationPeriods": 3,
    })
}
