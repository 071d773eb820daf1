//! RDS for PostgreSQL.

use serde_json::json;

use super::{Imports, secrets};
use crate::{
    contract::classes,
    environments::Environment,
    render::{
        alarms::{self, kebab},
        iam,
        network::DATABASE_PORT,
        template::{Intrinsic, Template, attribute, reference, sub},
    },
};

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    parameters(template, environment);
    template.add(
        "DatabaseSubnets",
        "AWS::RDS::DBSubnetGroup",
        json!({
            "DBSubnetGroupName": format!("taskhub-{}", environment.name),
            "DBSubnetGroupDescription": "Without a way to the internet",
            "SubnetIds": Intrinsic::Split(Box::new(imports.subnets.clone())),
        }),
    );
    monitoring_role(template, environment, imports);
    logs(template, environment, imports);
    instance(template, environment, imports);
    events(template, environment, imports);
    alarms(template, environment, imports);
}

fn parameters(template: &mut Template, environment: &Environment) {
    template.add(
        "DatabaseParameters",
        "AWS::RDS::DBParameterGroup",
        json!({
            "Family": format!("postgres{}", environment.postgres()),
            "Description": "TLS only, and what a slow or stuck client leaves in the log",
            "Parameters": {
                "rds.force_ssl": "1",
                // What the connection budget reckons with.
                "max_connections": classes::max_connections(&environment.database.class).to_string(),
                "idle_in_transaction_session_timeout": "60000",
                "log_connections": "1",
                "log_disconnections": "1",
                "log_lock_waits": "1",
                "log_min_duration_statement": "500",
                "log_statement": "ddl",
                "password_encryption": "scram-sha-256",
            },
        }),
    );
}

fn monitoring_role(template: &mut Template, environment: &Environment, imports: &Imports) {
    template.add(
        "DatabaseMonitoringRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": format!("taskhub-{}-database-monitoring", environment.name),
            "PermissionsBoundary": imports.boundary,
            "AssumeRolePolicyDocument": iam::trust("monitoring.rds.amazonaws.com", "rds", "db:*"),
            "ManagedPolicyArns": [sub("arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole")],
        }),
    );
}

/// RDS would make them itself, without a key and without an end.
fn logs(template: &mut Template, environment: &Environment, imports: &Imports) {
    for (id, log) in [
        ("DatabaseLogs", "postgresql"),
        ("DatabaseUpgradeLogs", "upgrade"),
    ] {
        template
            .add(
                id,
                "AWS::Logs::LogGroup",
                json!({
                    "LogGroupName": format!("/aws/rds/instance/{}/{log}", identifier(environment)),
                    "RetentionInDays": environment.logs.days,
                    "KmsKeyId": imports.key,
                }),
            )
            .retained();
    }
}

fn identifier(environment: &Environment) -> String {
    format!("taskhub-{}", environment.name)
}

fn instance(template: &mut Template, environment: &Environment, imports: &Imports) {
    let database = &environment.database;
    let owner = |key: &str| {
        sub(format!(
            "{{{{resolve:secretsmanager:${{DatabaseOwnerSecret}}:SecretString:{key}}}}}"
        ))
    };
    let properties = json!({
        "DBInstanceIdentifier": identifier(environment),
        "DBInstanceClass": database.class,
        "Engine": "postgres",
        "EngineVersion": database.version,
        "DBName": secrets::DATABASE_NAME,
        "MasterUsername": owner("username"),
        "MasterUserPassword": owner("password"),
        "Port": DATABASE_PORT.to_string(),
        "AllocatedStorage": database.storage.to_string(),
        "MaxAllocatedStorage": database.max_storage,
        "StorageType": "gp3",
        "StorageEncrypted": true,
        "KmsKeyId": imports.key,
        "MultiAZ": database.multi_az,
        "PubliclyAccessible": false,
        "NetworkType": "IPV4",
        "DBSubnetGroupName": reference("DatabaseSubnets"),
        "VPCSecurityGroups": [imports.database_group],
        "DBParameterGroupName": reference("DatabaseParameters"),
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
        "EnableIAMDatabaseAuthentication": true,
        "BackupRetentionPeriod": database.backup_days,
        "PreferredBackupWindow": "01:00-02:00",
        "PreferredMaintenanceWindow": "sun:02:30-sun:03:30",
        "AutoMinorVersionUpgrade": true,
        // A later major version in the environment file is meant; `cargo xtask plan` shows what it does.
        "AllowMajorVersionUpgrade": true,
        "CopyTagsToSnapshot": true,
        "DeleteAutomatedBackups": false,
        "DeletionProtection": database.deletion_protection,
        "EnableCloudwatchLogsExports": ["postgresql", "upgrade"],
        "MonitoringInterval": 60,
        "MonitoringRoleArn": attribute("DatabaseMonitoringRole", "Arn"),
        "DatabaseInsightsMode": "standard",
        "EnablePerformanceInsights": true,
        "PerformanceInsightsKMSKeyId": imports.key,
        "PerformanceInsightsRetentionPeriod": 7,
    });
    template
        .add("Database", "AWS::RDS::DBInstance", properties)
        .after("DatabaseLogs")
        .after("DatabaseUpgradeLogs")
        .snapshotted();
}

/// What Security Hub wants people to be told (RDS.20, RDS.21), and failures as well.
fn events(template: &mut Template, environment: &Environment, imports: &Imports) {
    let subscriptions = [
        (
            "Instance",
            "db-instance",
            json!([
                "availability",
                "configuration change",
                "failover",
                "failure",
                "low storage",
                "maintenance",
                "recovery"
            ]),
            json!([reference("Database")]),
        ),
        (
            "Parameter",
            "db-parameter-group",
            json!(["configuration change"]),
            json!([reference("DatabaseParameters")]),
        ),
    ];
    for (id, source, categories, ids) in subscriptions {
        template.add(
            format!("Database{id}Events"),
            "AWS::RDS::EventSubscription",
            json!({
                "SubscriptionName": format!("taskhub-{}-{source}", environment.name),
                "SnsTopicArn": imports.topic,
                "SourceType": source,
                "SourceIds": ids,
                "EventCategories": categories,
                "Enabled": true,
            }),
        );
    }
}

/// A metric and what must not be passed.
struct Watched {
    what: &'static str,
    metric: &'static str,
    comparison: &'static str,
    threshold: u64,
    minutes: u32,
    description: &'static str,
}

fn watched(environment: &Environment) -> [Watched; 4] {
    const GIBIBYTE: u64 = 1 << 30;
    const MORE: &str = "GreaterThanThreshold";
    const LESS: &str = "LessThanThreshold";
    let database = &environment.database;
    let memory = u64::from(classes::database_memory(&database.class).unwrap_or(1)) * GIBIBYTE;
    let connections = u64::from(classes::max_connections(&database.class));
    [
        Watched {
            what: "Cpu",
            metric: "CPUUtilization",
            comparison: MORE,
            threshold: 85,
            minutes: 10,
            description: "The database's processors are busy",
        },
        Watched {
            what: "Memory",
            metric: "FreeableMemory",
            comparison: LESS,
            threshold: memory / 10,
            minutes: 10,
            description: "The database has less than a tenth of its memory left",
        },
        Watched {
            what: "Storage",
            metric: "FreeStorageSpace",
            comparison: LESS,
            threshold: u64::from(database.storage) * GIBIBYTE / 5,
            minutes: 5,
            description: "The database has less than a fifth of its first storage left",
        },
        Watched {
            what: "Connections",
            metric: "DatabaseConnections",
            comparison: MORE,
            threshold: connections * 8 / 10,
            minutes: 5,
            description: "More than 80 % of the database's connections are taken",
        },
    ]
}

fn alarms(template: &mut Template, environment: &Environment, imports: &Imports) {
    for watched in watched(environment) {
        let name = format!(
            "taskhub-{}-database-{}",
            environment.name,
            kebab(watched.what)
        );
        let properties = json!({
            "AlarmName": name,
            "AlarmDescription": watched.description,
            "Namespace": "AWS/RDS",
            "MetricName": watched.metric,
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": reference("Database")}],
            "Statistic": "Average",
            "ComparisonOperator": watched.comparison,
            "Threshold": watched.threshold,
            "EvaluationPeriods": watched.minutes,
        });
        alarms::add(
            template,
            &imports.topic,
            &format!("Database{}Alarm", watched.what),
            properties,
        );
    }
}
