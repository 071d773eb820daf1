//! What is seen at a glance.

use serde_json::{Value, json};

use super::logs::namespace;
use crate::{
    environments::Environment,
    render::template::{Template, compact, sub},
};

pub(super) fn add(template: &mut Template, environment: &Environment) {
    let mut graphs = service();
    graphs.extend(jobs(environment));
    graphs.extend(database(environment));
    let widgets: Vec<Value> = graphs.iter().enumerate().map(widget).collect();
    template.add(
        "Dashboard",
        "AWS::CloudWatch::Dashboard",
        json!({
            "DashboardName": format!("taskhub-{}", environment.name),
            "DashboardBody": sub(compact(&json!({"widgets": widgets}))),
        }),
    );
}

/// A title and its metrics, as CloudWatch writes them.
type Graph = (&'static str, Vec<Value>);

/// Two in a row.
fn widget((index, (title, metrics)): (usize, &Graph)) -> Value {
    json!({
        "type": "metric",
        "x": index % 2 * 12,
        "y": index / 2 * 6,
        "width": 12,
        "height": 6,
        "properties": {
            "title": title,
            "metrics": metrics,
            "period": 60,
            "region": "${AWS::Region}",
            "view": "timeSeries",
        },
    })
}

fn service() -> Vec<Graph> {
    let balancer = |metric: &str, statistic: &str| {
        let name = "${LoadBalancer.LoadBalancerFullName}";
        json!(["AWS/ApplicationELB", metric, "LoadBalancer", name, {"stat": statistic}])
    };
    let counts = [
        "RequestCount",
        "HTTPCode_Target_5XX_Count",
        "HTTPCode_ELB_5XX_Count",
    ];
    let tasks = |metric: &str| {
        let of = |service| json!(["AWS/ECS", metric, "ClusterName", "${Cluster}", "ServiceName", service, {"stat": "Average"}]);
        ["api", "worker"].map(of).to_vec()
    };
    vec![
        (
            "Requests and errors",
            counts.map(|metric| balancer(metric, "Sum")).to_vec(),
        ),
        (
            "Latency, seconds",
            ["p50", "p95", "p99"]
                .map(|percentile| balancer("TargetResponseTime", percentile))
                .to_vec(),
        ),
        ("Tasks, percent of CPU", tasks("CPUUtilization")),
        ("Tasks, percent of memory", tasks("MemoryUtilization")),
    ]
}

fn jobs(environment: &Environment) -> Vec<Graph> {
    let of = |metric| json!([namespace(environment), metric, {"stat": "Maximum"}]);
    vec![
        (
            "Jobs",
            ["JobsDue", "JobsRunning", "JobsDead"].map(of).to_vec(),
        ),
        ("Oldest due job, seconds", vec![of("OldestJob")]),
    ]
}

fn database(environment: &Environment) -> Vec<Graph> {
    let of = |metric| {
        let name = format!("taskhub-{}", environment.name);
        json!(["AWS/RDS", metric, "DBInstanceIdentifier", name, {"stat": "Average"}])
    };
    vec![
        (
            "Database, percent of CPU and connections",
            ["CPUUtilization", "DatabaseConnections"].map(of).to_vec(),
        ),
        (
            "Database, seconds of a read and a write",
            ["ReadLatency", "WriteLatency"].map(of).to_vec(),
        ),
    ]
}
