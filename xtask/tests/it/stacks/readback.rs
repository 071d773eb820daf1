//! What the services say of their resources, beside what was rendered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    agreement::{Spelling, agree, agree_on},
    environment::{Environment, by, text},
};

pub(crate) fn everything(environment: &Environment) {
    database(environment);
    database_parameters_and_events(environment);
    cache(environment);
    tasks_and_services(environment);
    scaling(environment);
    load_balancer(environment);
    secrets(environment);
    roles(environment);
    log_groups(environment);
    alarms(environment);
}

fn database(environment: &Environment) {
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

fn database_parameters_and_events(environment: &Environment) {
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

fn cache(environment: &Environment) {
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

fn tasks_and_services(environment: &Environment) {
    let asked = [
        "ecs",
        "describe-clusters",
        "--include",
        "SETTINGS",
        "--clusters",
    ];
    let cluster = format!("taskhub-{}", environment.name);
    let told = environment
        .emulator
        .aws(&[&asked[..], &[&cluster]].concat());
    let [rendered] = &environment.of_type("AWS::ECS::Cluster")[..] else {
        panic!("one cluster");
    };
    agree(
        &rendered.properties["ClusterSettings"],
        &told["clusters"][0]["settings"],
        Spelling::Camel,
        "Cluster",
    );
    for resource in environment.of_type("AWS::ECS::TaskDefinition") {
        let family = text(&resource.properties["Family"]);
        let task = family.rsplit('-').next().expect("a task");
        let told = environment.task_definition(task);
        agree(
            &without(resource.properties, &["Tags"]),
            &told,
            Spelling::Camel,
            resource.id,
        );
    }
    for resource in environment.of_type("AWS::ECS::Service") {
        let told = environment.service(&text(&resource.properties["ServiceName"]));
        let rendered = without(resource.properties, &["Cluster", "Tags"]);
        agree(&rendered, &told, Spelling::Camel, resource.id);
        assert_eq!(told["status"], "ACTIVE");
        assert!(text(&told["clusterArn"]).ends_with(&cluster));
    }
}

fn scaling(environment: &Environment) {
    let ecs = ["--service-namespace", "ecs"];
    let asked = |what| {
        environment
            .emulator
            .aws(&[&["application-autoscaling", what], &ecs[..]].concat())
    };
    let told = asked("describe-scalable-targets");
    let told = by(&told["ScalableTargets"], "ResourceId");
    let rendered = environment.of_type("AWS::ApplicationAutoScaling::ScalableTarget");
    assert_eq!(told.len(), rendered.len());
    for resource in rendered {
        let service = resource.id.trim_end_matches("Scaling").to_lowercase();
        let target = &told[&format!("service/taskhub-{}/{service}", environment.name)];
        let names = [
            ("MaxCapacity", "/MaxCapacity"),
            ("MinCapacity", "/MinCapacity"),
        ];
        agree_on(resource.properties, target, &names, resource.id);
    }
    let told = asked("describe-scaling-policies");
    let told = by(&told["ScalingPolicies"], "PolicyName");
    for resource in environment.of_type("AWS::ApplicationAutoScaling::ScalingPolicy") {
        let policy = &told[&text(&resource.properties["PolicyName"])];
        let rendered = without(resource.properties, &["ScalingTargetId"]);
        agree(&rendered, policy, Spelling::Pascal, resource.id);
    }
}

fn load_balancer(environment: &Environment) {
    let told = environment
        .emulator
        .aws(&["elbv2", "describe-load-balancers"]);
    let balancers = by(&told["LoadBalancers"], "LoadBalancerName");
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer") {
        let balancer = &balancers[&text(&resource.properties["Name"])];
        agree_on(
            resource.properties,
            balancer,
            &[("Scheme", "/Scheme"), ("Type", "/Type")],
            resource.id,
        );
        assert_eq!(
            balancer["AvailabilityZones"].as_array().map(Vec::len),
            Some(2)
        );
        let arn = text(&balancer["LoadBalancerArn"]);
        let asked = [
            "elbv2",
            "describe-load-balancer-attributes",
            "--load-balancer-arn",
            &arn,
        ];
        let rendered = &resource.properties["LoadBalancerAttributes"];
        attributes(rendered, &environment.emulator.aws(&asked));
        let asked = ["elbv2", "describe-listeners", "--load-balancer-arn", &arn];
        listeners(environment, &environment.emulator.aws(&asked)["Listeners"]);
    }
    let told = environment
        .emulator
        .aws(&["elbv2", "describe-target-groups"]);
    let groups = by(&told["TargetGroups"], "TargetGroupName");
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::TargetGroup") {
        let group = &groups[&text(&resource.properties["Name"])];
        let rendered = without(
            resource.properties,
            &[
                "IpAddressType",
                "Name",
                "ProtocolVersion",
                "Tags",
                "TargetGroupAttributes",
            ],
        );
        agree(&rendered, group, Spelling::Pascal, resource.id);
        let arn = text(&group["TargetGroupArn"]);
        let asked = [
            "elbv2",
            "describe-target-group-attributes",
            "--target-group-arn",
            &arn,
        ];
        let rendered = &resource.properties["TargetGroupAttributes"];
        attributes(rendered, &environment.emulator.aws(&asked));
    }
}

/// Pairs of key and value, in any order, among others.
fn attributes(rendered: &Value, told: &Value) {
    let told = by(&told["Attributes"], "Key");
    for (key, rendered) in by(rendered, "Key") {
        agree(
            &rendered["Value"],
            &told[&key]["Value"],
            Spelling::Pascal,
            &key,
        );
    }
}

fn listeners(environment: &Environment, told: &Value) {
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::Listener") {
        let port = &resource.properties["Port"];
        let told = told
            .as_array()
            .expect("listeners")
            .iter()
            .find(|one| one["Port"] == *port);
        agree(
            resource.properties,
            told.expect("a listener"),
            Spelling::Pascal,
            resource.id,
        );
    }
}

fn secrets(environment: &Environment) {
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

fn roles(environment: &Environment) {
    let told = environment.emulator.aws(&[
        "iam",
        "get-account-authorization-details",
        "--filter",
        "Role",
    ]);
    let told = by(&told["RoleDetailList"], "RoleName");
    for resource in environment.of_type("AWS::IAM::Role") {
        let role = &told[&text(&resource.properties["RoleName"])];
        let path = resource.id;
        agree(
            &resource.properties["AssumeRolePolicyDocument"],
            &role["AssumeRolePolicyDocument"],
            Spelling::Pascal,
            path,
        );
        if let Some(boundary) = resource.properties.get("PermissionsBoundary") {
            let name = text(&resource.properties["RoleName"]);
            let told = environment
                .emulator
                .aws(&["iam", "get-role", "--role-name", &name]);
            let told = &told["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"];
            agree(boundary, told, Spelling::Pascal, path);
        }
        let none = json!([]);
        let policies = resource.properties.get("Policies").unwrap_or(&none);
        let told = role.get("RolePolicyList").unwrap_or(&none);
        agree(policies, told, Spelling::Pascal, path);
        let attached = |list: &Value| list.as_array().map_or(0, Vec::len);
        let managed = attached(&resource.properties["ManagedPolicyArns"]);
        assert_eq!(
            managed,
            attached(&role["AttachedManagedPolicies"]),
            "{path}"
        );
    }
}

fn log_groups(environment: &Environment) {
    let told = environment.emulator.aws(&["logs", "describe-log-groups"]);
    let told = by(&told["logGroups"], "logGroupName");
    for resource in environment.of_type("AWS::Logs::LogGroup") {
        let group = &told[&text(&resource.properties["LogGroupName"])];
        let rendered = without(resource.properties, &["Tags"]);
        agree(&rendered, group, Spelling::Camel, resource.id);
    }
}

fn alarms(environment: &Environment) {
    let told = environment.emulator.aws(&["cloudwatch", "describe-alarms"]);
    let told = by(&told["MetricAlarms"], "AlarmName");
    let rendered = environment.of_type("AWS::CloudWatch::Alarm");
    let names: BTreeSet<String> = rendered
        .iter()
        .map(|resource| text(&resource.properties["AlarmName"]))
        .collect();
    assert_eq!(names, told.keys().cloned().collect());
    for resource in rendered {
        let alarm = &told[&text(&resource.properties["AlarmName"])];
        let rendered = without(
            resource.properties,
            &["EvaluateLowSampleCountPercentile", "Metrics", "Tags"],
        );
        agree(&rendered, alarm, Spelling::Pascal, resource.id);
    }
}

fn without(properties: &Value, names: &[&str]) -> Value {
    let mut rest = properties.clone();
    for name in names {
        rest.as_object_mut().expect("properties").remove(*name);
    }
    rest
}
