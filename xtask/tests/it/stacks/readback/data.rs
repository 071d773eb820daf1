//! PostgreSQL, Valkey and the secrets that lead to them.

use serde_json::{Value, json};

use super::super::{
    agreement::agree_on,
    environment::{Environment, by, text},
};

pub(crate) fn database(environment: &Environment) {
    let told = environment.emulator.aws(&["rds", "describe-db-instances"]);
    let told = by(&told["DBInstances"], "DBInstanceIdentifier");
    for resource in environment.of_type("AWS::RDS::DBInstance") {
        let instance = &told[&text(&resource.properties["DBInstanceIdentifier"])];
        let names = [
            ("AllocatedStorage", "/AllocatedStorage"),
            ("AutoMinorVersionUpgrade", "/AutoMinorVersionUpgrade"),
            ("BackupRetentionPeriod", "/BackupRetentionPeriod"),
            ("CACertificateIdentifier", "/CACertificateIdentifier"),
            ("CopyTagsToSnapshot", "/CopyTagsToSnapshot"),
            ("DBInstanceClass", "/DBInstanceClass"),
            ("DBName", "/DBName"),
            (
                "DBParameterGroupName",
                "/DBParameterGroups/0/DBParameterGroupName",
            ),
            ("DBSubnetGroupName", "/DBSubnetGroup/DBSubnetGroupName"),
            ("DeletionProtection", "/DeletionProtection"),
            (
                "EnableCloudwatchLogsExports",
                "/EnabledCloudwatchLogsExports",
            ),
            (
                "EnableIAMDatabaseAuthentication",
                "/IAMDatabaseAuthenticationEnabled",
            ),
            ("EnablePerformanceInsights", "/PerformanceInsightsEnabled"),
            ("Engine", "/Engine"),
            ("EngineVersion", "/EngineVersion"),
            ("KmsKeyId", "/KmsKeyId"),
            ("MaxAllocatedStorage", "/MaxAllocatedStorage"),
            ("MonitoringInterval", "/MonitoringInterval"),
            ("MonitoringRoleArn", "/MonitoringRoleArn"),
            ("MultiAZ", "/MultiAZ"),
            ("Port", "/Endpoint/Port"),
            ("PreferredBackupWindow", "/PreferredBackupWindow"),
            ("PreferredMaintenanceWindow", "/PreferredMaintenanceWindow"),
            ("PubliclyAccessible", "/PubliclyAccessible"),
            ("StorageEncrypted", "/StorageEncrypted"),
            ("StorageType", "/StorageType"),
        ];
        agree_on(resource.properties, instance, &names, resource.id);
        assert_eq!(instance["MasterUsername"], "taskhub_owner");
        assert_eq!(instance["VpcSecurityGroups"][0]["Status"], "active");
    }
}

pub(crate) fn database_parameters_and_events(environment: &Environment) {
    let groups = environment
        .emulator
        .aws(&["rds", "describe-db-parameter-groups"]);
    let groups = by(&groups["DBParameterGroups"], "Description");
    for resource in environment.of_type("AWS::RDS::DBParameterGroup") {
        let group = &groups[&text(&resource.properties["Description"])];
        assert_eq!(
            group["DBParameterGroupFamily"],
            resource.properties["Family"]
        );
        let name = text(&group["DBParameterGroupName"]);
        let asked = [
            "rds",
            "describe-db-parameters",
            "--db-parameter-group-name",
            &name,
        ];
        let told = environment
            .emulator
            .aws(&[&asked[..], &["--source", "user"]].concat());
        let told = by(&told["Parameters"], "ParameterName");
        for (name, value) in resource.properties["Parameters"]
            .as_object()
            .expect("parameters")
        {
            assert_eq!(told[name]["ParameterValue"], *value, "{name}");
        }
    }
    let told = environment
        .emulator
        .aws(&["rds", "describe-event-subscriptions"]);
    let told = told["EventSubscriptionsList"]
        .as_array()
        .expect("subscriptions")
        .clone();
    let rendered = environment.of_type("AWS::RDS::EventSubscription");
    assert_eq!(told.len(), rendered.len());
    for resource in rendered {
        let source = &resource.properties["SourceType"];
        let subscription = told.iter().find(|one| one["SourceType"] == *source);
        let subscription = subscription.expect("a subscription");
        let names = [
            ("EventCategories", "/EventCategoriesList"),
            ("SnsTopicArn", "/SnsTopicArn"),
            ("SourceIds", "/SourceIdsList"),
        ];
        agree_on(resource.properties, subscription, &names, resource.id);
    }
}

pub(crate) fn cache(environment: &Environment) {
    let told = environment
        .emulator
        .aws(&["elasticache", "describe-replication-groups"]);
    let told = by(&told["ReplicationGroups"], "ReplicationGroupId");
    for resource in environment.of_type("AWS::ElastiCache::ReplicationGroup") {
        let group = &told[&text(&resource.properties["ReplicationGroupId"])];
        let names = [
            ("AtRestEncryptionEnabled", "/AtRestEncryptionEnabled"),
            ("AutoMinorVersionUpgrade", "/AutoMinorVersionUpgrade"),
            ("CacheNodeType", "/CacheNodeType"),
            ("Engine", "/Engine"),
            ("LogDeliveryConfigurations", "/LogDeliveryConfigurations"),
            ("Port", "/NodeGroups/0/PrimaryEndpoint/Port"),
            ("ReplicationGroupDescription", "/Description"),
            ("SnapshotRetentionLimit", "/SnapshotRetentionLimit"),
            ("SnapshotWindow", "/SnapshotWindow"),
            ("TransitEncryptionEnabled", "/TransitEncryptionEnabled"),
            ("TransitEncryptionMode", "/TransitEncryptionMode"),
            ("UserGroupIds", "/UserGroupIds"),
        ];
        agree_on(resource.properties, group, &names, resource.id);
        for (name, key) in [
            ("AutomaticFailoverEnabled", "AutomaticFailover"),
            ("MultiAZEnabled", "MultiAZ"),
        ] {
            let is_on = resource.properties[name] == true;
            assert_eq!(
                group[key],
                if is_on { "enabled" } else { "disabled" },
                "{name}"
            );
        }
        let nodes = group["MemberClusters"].as_array().map(Vec::len);
        assert_eq!(json!(nodes), resource.properties["NumCacheClusters"]);
    }
    let told = environment.emulator.aws(&["elasticache", "describe-users"]);
    let told = by(&told["Users"], "UserId");
    for resource in environment.of_type("AWS::ElastiCache::User") {
        let user = &told[&text(&resource.properties["UserId"])];
        agree_on(
            resource.properties,
            user,
            &[("AccessString", "/AccessString"), ("UserName", "/UserName")],
            resource.id,
        );
        assert_eq!(
            user["Authentication"],
            json!({"Type": "password", "PasswordCount": 1})
        );
    }
}

pub(crate) fn secrets(environment: &Environment) {
    for resource in environment.of_type("AWS::SecretsManager::Secret") {
        let name = text(&resource.properties["Name"]);
        let asked = ["secretsmanager", "describe-secret", "--secret-id", &name];
        let secret = &environment.emulator.aws(&asked);
        let names = [("Description", "/Description"), ("KmsKeyId", "/KmsKeyId")];
        agree_on(resource.properties, secret, &names, resource.id);
    }
    let owner = secret(environment, "database-owner");
    for key in ["host", "port", "username", "password", "dbname", "sslmode"] {
        assert!(owner.get(key).is_some(), "{key}");
    }
    assert_eq!(owner["sslmode"], "verify-full");
    let key = text(&secret(environment, "app")["JWT_SECRET"]);
    assert!(key.len() >= 32 && key.chars().all(|c| c.is_ascii_alphanumeric()));
    let cache = secret(environment, "cache");
    let id = format!("taskhub/{}/cache-password", environment.name);
    let asked = ["secretsmanager", "get-secret-value", "--secret-id", &id];
    assert_eq!(
        cache["auth_token"],
        environment.emulator.aws(&asked)["SecretString"]
    );
    assert!(text(&cache["host"]).starts_with("master."));
}

/// What a program would read.
fn secret(environment: &Environment, name: &str) -> Value {
    let id = format!("taskhub/{}/{name}", environment.name);
    let asked = ["secretsmanager", "get-secret-value", "--secret-id", &id];
    let told = environment.emulator.aws(&asked);
    serde_json::from_str(&text(&told["SecretString"])).expect("an object")
}
