//! Where tasks write, and what is counted in what they write.

use serde_json::json;

use super::Imports;
use crate::{
    contract::Task,
    environments::Environment,
    render::template::{Template, reference},
};

/// What the leading worker tells once a minute, by metric: the field of its line, and the unit.
const COUNTS: &[(&str, &str, &str)] = &[
    ("JobsDue", "due", "Count"),
    ("JobsRunning", "running", "Count"),
    ("JobsDead", "dead", "Count"),
    ("OldestJob", "oldest_seconds", "Seconds"),
];

/// The namespace of an environment's own metrics.
pub(crate) fn namespace(environment: &Environment) -> String {
    format!("TaskHub/{}", environment.name)
}

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    for task in Task::ALL {
        template
            .add(
                group_id(task),
                "AWS::Logs::LogGroup",
                json!({
                    "LogGroupName": group(environment, task),
                    "RetentionInDays": environment.logs.days,
                    "KmsKeyId": imports.key,
                }),
            )
            .retained();
    }
    for (metric, field, unit) in COUNTS {
        template.add(
            format!("{metric}Filter"),
            "AWS::Logs::MetricFilter",
            json!({
                "LogGroupName": reference(group_id(Task::Worker)),
                "FilterPattern": "{ $.message = \"jobs counted\" }",
                "MetricTransformations": [{
                    "MetricNamespace": namespace(environment),
                    "MetricName": metric,
                    "MetricValue": format!("$.{field}"),
                    "Unit": unit,
                }],
            }),
        );
    }
    for task in [Task::Api, Task::Worker] {
        template.add(
            format!("{}ErrorsFilter", task.title()),
            "AWS::Logs::MetricFilter",
            json!({
                "LogGroupName": reference(group_id(task)),
                "FilterPattern": "{ $.level = \"ERROR\" }",
                "MetricTransformations": [{
                    "MetricNamespace": namespace(environment),
                    "MetricName": format!("{}Errors", task.title()),
                    "MetricValue": "1",
                    "DefaultValue": 0,
                    "Unit": "Count",
                }],
            }),
        );
    }
}

/// The log group of a task.
pub(crate) fn group(environment: &Environment, task: Task) -> String {
    format!("/taskhub/{}/{}", environment.name, task.name())
}

fn group_id(task: Task) -> String {
    format!("{}Logs", task.title())
}
