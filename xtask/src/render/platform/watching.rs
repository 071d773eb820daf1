//! Who is told. Alarms that roll a release back belong to the service stack.

use serde_json::{Value, json};

use super::{Imports, logs::namespace};
use crate::{
    environments::Environment,
    render::{
        alarms,
        template::{Template, attribute, reference},
    },
};

/// A metric whose sum or maximum of a minute must not be exceeded.
struct Watched {
    /// Of the alarm, in its id and its name.
    what: &'static str,
    place: Place,
    metric: &'static str,
    statistic: &'static str,
    most: u32,
    minutes: u32,
    description: &'static str,
}

enum Place {
    LoadBalancer,
    /// What is counted in logs.
    Logs,
}

const WATCHED: &[Watched] = &[
    Watched {
        what: "BalancerErrors",
        place: Place::LoadBalancer,
        metric: "HTTPCode_ELB_5XX_Count",
        statistic: "Sum",
        most: 10,
        minutes: 3,
        description: "The load balancer itself answers with errors: no task takes its requests",
    },
    Watched {
        what: "RejectedConnections",
        place: Place::LoadBalancer,
        metric: "RejectedConnectionCount",
        statistic: "Sum",
        most: 0,
        minutes: 1,
        description: "The load balancer turned clients away",
    },
    Watched {
        what: "DeadJobs",
        place: Place::Logs,
        metric: "JobsDead",
        statistic: "Maximum",
        most: 0,
        minutes: 1,
        description: "Jobs have failed for good: look at them and replay them",
    },
    Watched {
        what: "ApiLogErrors",
        place: Place::Logs,
        metric: "ApiErrors",
        statistic: "Sum",
        most: 10,
        minutes: 5,
        description: "The API logs errors",
    },
    Watched {
        what: "WorkerLogErrors",
        place: Place::Logs,
        metric: "WorkerErrors",
        statistic: "Sum",
        most: 10,
        minutes: 5,
        description: "The worker logs errors",
    },
];

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    for watched in WATCHED {
        let id = format!("{}Alarm", watched.what);
        alarms::add(template, &imports.topic, &id, alarm(environment, watched));
    }
    certificate(template, environment, imports);
    events(template, environment, imports);
    budget(template, environment, imports);
}

fn alarm(environment: &Environment, watched: &Watched) -> Value {
    let (namespace, dimensions) = match watched.place {
        Place::LoadBalancer => {
            let name = attribute("LoadBalancer", "LoadBalancerFullName");
            (
                "AWS/ApplicationELB".to_owned(),
                json!([{"Name": "LoadBalancer", "Value": name}]),
            )
        }
        Place::Logs => (namespace(environment), json!([])),
    };
    json!({
        "AlarmName": format!("taskhub-{}-{}", environment.name, alarms::kebab(watched.what)),
        "AlarmDescription": watched.description,
        "Namespace": namespace,
        "MetricName": watched.metric,
        "Dimensions": dimensions,
        "Statistic": watched.statistic,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": watched.most,
        "EvaluationPeriods": watched.minutes,
    })
}

fn certificate(template: &mut Template, environment: &Environment, imports: &Imports) {
    let properties = json!({
        "AlarmName": format!("taskhub-{}-certificate", environment.name),
        "AlarmDescription": "The certificate ends in less than 30 days: is its DNS record still there?",
        "Namespace": "AWS/CertificateManager",
        "MetricName": "DaysToExpiry",
        "Dimensions": [{"Name": "CertificateArn", "Value": reference("Certificate")}],
        "Statistic": "Minimum",
        "Period": 86_400,
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 30,
        "EvaluationPeriods": 1,
    });
    alarms::add(template, &imports.topic, "CertificateAlarm", properties);
}

/// What ECS and Secrets Manager tell without being asked.
fn events(template: &mut Template, environment: &Environment, imports: &Imports) {
    let cluster = format!("taskhub-{}", environment.name);
    let mut rule = |id: &str, name: &str, description: &str, pattern: Value| {
        template.add(
            id,
            "AWS::Events::Rule",
            json!({
                "Name": format!("taskhub-{}-{name}", environment.name),
                "Description": description,
                "EventPattern": pattern,
                "State": "ENABLED",
                "Targets": [{"Id": "operations", "Arn": imports.topic}],
            }),
        );
    };
    rule(
        "FailedDeploymentRule",
        "failed-deployment",
        "ECS has given up a deployment",
        json!({
            "source": ["aws.ecs"],
            "detail-type": ["ECS Deployment State Change"],
            "detail": {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
            "resources": [{"wildcard": format!("*:service/{cluster}/*")}],
        }),
    );
    rule(
        "FailedTaskRule",
        "failed-task",
        "A container ended with an error or ran out of memory",
        json!({
            "source": ["aws.ecs"],
            "detail-type": ["ECS Task State Change"],
            "detail": {
                "clusterArn": [{"suffix": format!(":cluster/{cluster}")}],
                "lastStatus": ["STOPPED"],
                "stopCode": ["EssentialContainerExited"],
                "containers": {"exitCode": [{"anything-but": 0}]},
            },
        }),
    );
}

fn budget(template: &mut Template, environment: &Environment, imports: &Imports) {
    let notice = |kind: &str, percent: u32| {
        json!({
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": percent,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "SNS", "Address": imports.topic}],
        })
    };
    template.add(
        "Budget",
        "AWS::Budgets::Budget",
        json!({
            "Budget": {
                "BudgetName": format!("taskhub-{}", environment.name),
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": environment.alarms.budget, "Unit": "USD"},
                // Counts once the tag is activated for cost allocation.
                "CostFilters": {"TagKeyValue": [format!("user:environment${}", environment.name)]},
            },
            "NotificationsWithSubscribers": [notice("ACTUAL", 100), notice("FORECASTED", 120)],
        }),
    );
}
