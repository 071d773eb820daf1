//! ElastiCache for Valkey: a broker that may lose everything, but is open to nobody else.

use serde_json::{Value, json};

use super::{Imports, secrets};
use crate::{
    environments::Environment,
    render::{
        alarms::{self, kebab},
        network::CACHE_PORT,
        template::{Intrinsic, Template, reference, sub, title},
    },
};

const VERSION: &str = "8.0";

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    template.add(
        "CacheSubnets",
        "AWS::ElastiCache::SubnetGroup",
        json!({
            "CacheSubnetGroupName": format!("taskhub-{}", environment.name),
            "Description": "Without a way to the internet",
            "SubnetIds": Intrinsic::Split(Box::new(imports.subnets.clone())),
        }),
    );
    template.add(
        "CacheParameters",
        "AWS::ElastiCache::ParameterGroup",
        json!({
            "CacheParameterGroupFamily": "valkey8",
            "Description": "Refuses writes when full: a ticket that is dropped silently delays its job",
            "Properties": {"maxmemory-policy": "noeviction"},
        }),
    );
    users(template, environment);
    logs(template, environment, imports);
    group(template, environment, imports);
    alarms(template, environment, imports);
}

/// One for the programs, and the one that everybody could guess, which may do nothing.
fn users(template: &mut Template, environment: &Environment) {
    let password = sub("{{resolve:secretsmanager:${CachePassword}:SecretString}}");
    for (id, name, access) in [
        (
            "CacheUser",
            secrets::CACHE_USER,
            "on ~* &* +@all -@admin -@dangerous +info",
        ),
        ("CacheDefaultUser", "default", "off ~* -@all"),
    ] {
        template.add(
            id,
            "AWS::ElastiCache::User",
            json!({
                "UserId": format!("taskhub-{}-{name}", environment.name),
                "UserName": name,
                "Engine": "valkey",
                "AccessString": access,
                "AuthenticationMode": {"Type": "password", "Passwords": [password]},
            }),
        );
    }
    template.add(
        "CacheUsers",
        "AWS::ElastiCache::UserGroup",
        json!({
            "UserGroupId": format!("taskhub-{}", environment.name),
            "Engine": "valkey",
            "UserIds": [reference("CacheDefaultUser"), reference("CacheUser")],
        }),
    );
}

fn logs(template: &mut Template, environment: &Environment, imports: &Imports) {
    template
        .add(
            "CacheLogs",
            "AWS::Logs::LogGroup",
            json!({
                "LogGroupName": format!("/taskhub/{}/cache", environment.name),
                "RetentionInDays": environment.logs.days,
                "KmsKeyId": imports.key,
            }),
        )
        .retained();
}

fn group(template: &mut Template, environment: &Environment, imports: &Imports) {
    let cache = &environment.cache;
    let log = |kind: &str| {
        json!({
            "LogType": kind,
            "LogFormat": "json",
            "DestinationType": "cloudwatch-logs",
            "DestinationDetails": {"CloudWatchLogsDetails": {"LogGroup": reference("CacheLogs")}},
        })
    };
    let properties = json!({
        "ReplicationGroupId": format!("taskhub-{}", environment.name),
        "ReplicationGroupDescription": "Tickets, limits and live updates; may lose everything",
        "Engine": "valkey",
        "EngineVersion": VERSION,
        "CacheNodeType": cache.class,
        "NumCacheClusters": cache.replicas + 1,
        "AutomaticFailoverEnabled": cache.replicas > 0,
        "MultiAZEnabled": cache.replicas > 0,
        "Port": CACHE_PORT,
        "CacheSubnetGroupName": reference("CacheSubnets"),
        "CacheParameterGroupName": reference("CacheParameters"),
        "SecurityGroupIds": [imports.cache_group],
        "UserGroupIds": [reference("CacheUsers")],
        "TransitEncryptionEnabled": true,
        "TransitEncryptionMode": "required",
        "AtRestEncryptionEnabled": true,
        "KmsKeyId": imports.key,
        "AutoMinorVersionUpgrade": true,
        "SnapshotRetentionLimit": cache.snapshot_days,
        "SnapshotWindow": "01:00-02:00",
        "PreferredMaintenanceWindow": "sun:02:30-sun:03:30",
        "LogDeliveryConfigurations": [log("slow-log"), log("engine-log")],
    });
    template
        .add("Cache", "AWS::ElastiCache::ReplicationGroup", properties)
        .snapshotted();
}

/// What is watched on each node.
struct Watched {
    metric: &'static str,
    /// What must not be exceeded, …
    most: u32,
    /// … for this many minutes.
    minutes: u32,
    description: &'static str,
}

const WATCHED: &[Watched] = &[
    Watched {
        metric: "EngineCPUUtilization",
        most: 85,
        minutes: 5,
        description: "Valkey's processor is busy",
    },
    Watched {
        metric: "DatabaseMemoryUsagePercentage",
        most: 80,
        minutes: 5,
        description: "Valkey's memory is nearly full; then it refuses writes",
    },
    Watched {
        metric: "AuthenticationFailures",
        most: 0,
        minutes: 1,
        description: "Somebody tries passwords on Valkey",
    },
];

fn alarms(template: &mut Template, environment: &Environment, imports: &Imports) {
    for node in 1..=environment.cache.replicas + 1 {
        for watched in WATCHED {
            let id = format!("Cache{}Alarm{node}", title(&kebab(watched.metric)));
            let properties = node_alarm(environment, node, watched);
            alarms::add(template, &imports.topic, &id, properties);
        }
    }
}

/// The replication group itself has no metrics; its nodes have.
fn node_alarm(environment: &Environment, node: u32, watched: &Watched) -> Value {
    let name = kebab(watched.metric);
    json!({
        "AlarmName": format!("taskhub-{}-cache-{node}-{name}", environment.name),
        "AlarmDescription": watched.description,
        "Namespace": "AWS/ElastiCache",
        "MetricName": watched.metric,
        "Dimensions": [{"Name": "CacheClusterId", "Value": sub(format!("${{Cache}}-00{node}"))}],
        "Statistic": "Maximum",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": watched.most,
        "EvaluationPeriods": watched.minutes,
    })
}
