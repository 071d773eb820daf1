//! Who is told, and what is seen at a glance. Alarms that roll a release back belong to the service stack.

use serde_json::{Value, json};

use super::{Imports, logs::namespace};
use crate::{
    environments::Environment,
    render::{
        alarms,
        template::{Intrinsic, Template, attribute, compact, reference, sub},
    },
};

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    let name = |what: &str| format!("taskhub-{}-{what}", environment.name);
    let balancer = json!([{"Name": "LoadBalancer", "Value": attribute("LoadBalancer", "LoadBalancerFullName")}]);
    let own = namespace(environment);
    let elb = "AWS/ApplicationELB";
    let all = [
        (
            "BalancerErrorsAlarm",
            "balancer-5xx",
            elb,
            "HTTPCode_ELB_5XX_Count",
            balancer.clone(),
            "Sum",
            10,
            3,
            "The load balancer itself answers with errors: no task takes its requests",
        ),
        (
            "RejectedConnectionsAlarm",
            "rejected-connections",
            elb,
            "RejectedConnectionCount",
            balancer,
            "Sum",
            0,
            1,
            "The load balancer turned clients away",
        ),
        (
            "DeadJobsAlarm",
            "dead-jobs",
            own.as_str(),
            "JobsDead",
            json!([]),
            "Maximum",
            0,
            1,
            "Jobs have failed for good: look at them and replay them",
        ),
        (
            "ApiErrorsAlarm",
            "api-log-errors",
            own.as_str(),
            "ApiErrors",
            json!([]),
            "Sum",
            10,
            5,
            "The API logs errors",
        ),
        (
            "WorkerErrorsAlarm",
            "worker-log-errors",
            own.as_str(),
            "WorkerErrors",
            json!([]),
            "Sum",
            10,
            5,
            "The worker logs errors",
        ),
    ];
    for (id, what, space, metric, dimensions, statistic, threshold, minutes, description) in all {
        let properties = json!({
            "AlarmName": name(what),
            "AlarmDescription": description,
            "Namespace": space,
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": statistic,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": threshold,
            "EvaluationPeriods": minutes,
        });
        alarms::add(template, &imports.topic, id, properties);
    }
    certificate(template, &name("certificate"), imports);
    events(template, environment, imports);
    budget(template, environment, imports);
    dashboard(template, environment);
}

fn certificate(template: &mut Template, name: &str, imports: &Imports) {
    let properties = json!({
        "AlarmName": name,
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

fn dashboard(template: &mut Template, environment: &Environment) {
    let own = namespace(environment);
    let balancer = "${LoadBalancer.LoadBalancerFullName}";
    let elb = |metric: &str, stat: &str| json!(["AWS/ApplicationELB", metric, "LoadBalancer", balancer, {"stat": stat}]);
    let ecs = |metric: &str, service: &str| json!(["AWS/ECS", metric, "ClusterName", "${Cluster}", "ServiceName", service, {"stat": "Average"}]);
    let rds = |metric: &str| json!(["AWS/RDS", metric, "DBInstanceIdentifier", format!("taskhub-{}", environment.name), {"stat": "Average"}]);
    let jobs = |metric: &str| json!([own, metric, {"stat": "Maximum"}]);
    let widgets = [
        (
            "Requests and errors",
            json!([
                elb("RequestCount", "Sum"),
                elb("HTTPCode_Target_5XX_Count", "Sum"),
                elb("HTTPCode_ELB_5XX_Count", "Sum")
            ]),
        ),
        (
            "Latency, seconds",
            json!([
                elb("TargetResponseTime", "p50"),
                elb("TargetResponseTime", "p95"),
                elb("TargetResponseTime", "p99")
            ]),
        ),
        (
            "Tasks, percent of CPU",
            json!([
                ecs("CPUUtilization", "api"),
                ecs("CPUUtilization", "worker")
            ]),
        ),
        (
            "Tasks, percent of memory",
            json!([
                ecs("MemoryUtilization", "api"),
                ecs("MemoryUtilization", "worker")
            ]),
        ),
        (
            "Jobs",
            json!([jobs("JobsDue"), jobs("JobsRunning"), jobs("JobsDead")]),
        ),
        ("Oldest due job, seconds", json!([jobs("OldestJob")])),
        (
            "Database, percent of CPU and connections",
            json!([rds("CPUUtilization"), rds("DatabaseConnections")]),
        ),
        (
            "Database, seconds of a read and a write",
            json!([rds("ReadLatency"), rds("WriteLatency")]),
        ),
    ];
    let widgets: Vec<Value> = widgets
        .iter()
        .enumerate()
        .map(|(index, (title, metrics))| {
            json!({
                "type": "metric",
                "x": index % 2 * 12,
                "y": index / 2 * 6,
                "width": 12,
                "height": 6,
                "properties": {"title": title, "metrics": metrics, "period": 60, "region": "${AWS::Region}", "view": "timeSeries"},
            })
        })
        .collect();
    let body: Intrinsic = sub(compact(&json!({"widgets": widgets})));
    template.add(
        "Dashboard",
        "AWS::CloudWatch::Dashboard",
        json!({"DashboardName": format!("taskhub-{}", environment.name), "DashboardBody": body}),
    );
}
