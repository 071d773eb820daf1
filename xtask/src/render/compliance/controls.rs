//! The controls, by service.

use serde_json::Value;

use super::{Control, Elsewhere};

const fn control(
    id: &'static str,
    kind: &'static str,
    demand: &'static str,
    holds: fn(&Value) -> bool,
) -> Control {
    Control {
        id,
        demand,
        kind,
        holds,
        least: 1,
    }
}

/// Where there need not be any.
const fn if_any(control: Control) -> Control {
    Control {
        least: 0,
        ..control
    }
}

const SERVICE: &str = "AWS::ECS::Service";
const TASK: &str = "AWS::ECS::TaskDefinition";
const BALANCER: &str = "AWS::ElasticLoadBalancingV2::LoadBalancer";
const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
const TARGETS: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";
const DATABASE: &str = "AWS::RDS::DBInstance";
const CACHE: &str = "AWS::ElastiCache::ReplicationGroup";
const REPOSITORY: &str = "AWS::ECR::Repository";
const SECRET: &str = "AWS::SecretsManager::Secret";
const BUCKET: &str = "AWS::S3::Bucket";

pub(super) const CONTROLS: &[Control] = &[
    control("ECS.1", TASK, "tasks have a network of their own", |p| {
        p["NetworkMode"] == "awsvpc"
    }),
    control("ECS.2", SERVICE, "services get no public address", |p| {
        p["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    }),
    control(
        "ECS.3",
        TASK,
        "tasks do not share the host's processes",
        |p| p.get("PidMode").is_none(),
    ),
    control("ECS.4", TASK, "containers are not privileged", |p| {
        each(p, |c| c["Privileged"] == false)
    }),
    control("ECS.5", TASK, "root file systems are read-only", |p| {
        each(p, |c| c["ReadonlyRootFilesystem"] == true)
    }),
    control("ECS.8", TASK, "no secret stands in a variable", |p| {
        each(p, no_secret)
    }),
    control("ECS.9", TASK, "containers have a log", |p| {
        each(p, |c| c["LogConfiguration"]["LogDriver"] == "awslogs")
    }),
    control("ECS.10", SERVICE, "Fargate's latest platform", |p| {
        p["PlatformVersion"] == "LATEST"
    }),
    control("ECS.12", "AWS::ECS::Cluster", "Container Insights", |p| {
        matches!(
            p["ClusterSettings"][0]["Value"].as_str(),
            Some("enabled" | "enhanced")
        )
    }),
    control(
        "ECS.17†",
        TASK,
        "tasks are not on the host's network",
        |p| p["NetworkMode"] != "host",
    ),
    control("ECS.20†", TASK, "containers do not run as root", |p| {
        each(p, |c| {
            c["User"]
                .as_str()
                .is_some_and(|user| !matches!(user.split(':').next(), Some("0" | "root")))
        })
    }),
    control("ELB.1", LISTENER, "HTTP is sent to HTTPS", |p| {
        p["Port"] != 80 || p["DefaultActions"][0]["Type"] == "redirect"
    }),
    control("ELB.4", BALANCER, "malformed headers are dropped", |p| {
        has(p, "routing.http.drop_invalid_header_fields.enabled", "true")
    }),
    control("ELB.5", BALANCER, "access logs", |p| {
        has(p, "access_logs.s3.enabled", "true")
    }),
    control("ELB.6", BALANCER, "deletion protection", |p| {
        has(p, "deletion_protection.enabled", "true")
    }),
    control(
        "ELB.12",
        BALANCER,
        "requests that servers read differently are refused",
        |p| has(p, "routing.http.desync_mitigation_mode", "defensive"),
    ),
    control(
        "ELB.16†",
        "AWS::WAFv2::WebACLAssociation",
        "a firewall before the load balancer",
        |p| p.get("WebACLArn").is_some(),
    ),
    control("ELB.17", LISTENER, "the recommended TLS policy", |p| {
        p["Protocol"] != "HTTPS"
            || p["SslPolicy"]
                .as_str()
                .is_some_and(|policy| policy.starts_with("ELBSecurityPolicy-TLS13-1-2-Res"))
    }),
    control("ELB.18", LISTENER, "listeners use TLS, or redirect", |p| {
        p["Protocol"] == "HTTPS" || p["DefaultActions"][0]["Type"] == "redirect"
    }),
    control("ELB.21†", TARGETS, "health checks are encrypted", |p| {
        p["HealthCheckProtocol"] == "HTTPS"
    }),
    control(
        "ELB.22†",
        TARGETS,
        "requests to tasks are encrypted",
        |p| p["Protocol"] == "HTTPS",
    ),
    control("RDS.2", DATABASE, "not reachable from the internet", |p| {
        p["PubliclyAccessible"] == false
    }),
    control("RDS.3", DATABASE, "encrypted at rest", |p| {
        p["StorageEncrypted"] == true
    }),
    control("RDS.5", DATABASE, "a standby in another zone", |p| {
        p["MultiAZ"] == true
    }),
    control("RDS.6", DATABASE, "enhanced monitoring", |p| {
        p["MonitoringInterval"]
            .as_u64()
            .is_some_and(|seconds| seconds > 0)
    }),
    control("RDS.8", DATABASE, "deletion protection", |p| {
        p["DeletionProtection"] == true
    }),
    control("RDS.9", DATABASE, "logs in CloudWatch", |p| {
        p["EnableCloudwatchLogsExports"] == serde_json::json!(["postgresql", "upgrade"])
    }),
    control("RDS.10", DATABASE, "IAM authentication", |p| {
        p["EnableIAMDatabaseAuthentication"] == true
    }),
    control("RDS.11", DATABASE, "backups for seven days or more", |p| {
        p["BackupRetentionPeriod"]
            .as_u64()
            .is_some_and(|days| days >= 7)
    }),
    control("RDS.13", DATABASE, "minor versions by themselves", |p| {
        p["AutoMinorVersionUpgrade"] == true
    }),
    control(
        "RDS.17",
        DATABASE,
        "snapshots have the instance's tags",
        |p| p["CopyTagsToSnapshot"] == true,
    ),
    control("RDS.18", DATABASE, "in a VPC", |p| {
        p.get("DBSubnetGroupName").is_some()
    }),
    control(
        "RDS.20",
        "AWS::RDS::EventSubscription",
        "people are told of the instance",
        |p| p["Enabled"] == true,
    ),
    control("RDS.23", DATABASE, "not the default port", |p| {
        p["Port"] != "5432"
    }),
    control("RDS.25", DATABASE, "not the default administrator", |p| {
        p["MasterUsername"]
            .as_str()
            .is_none_or(|name| !matches!(name, "postgres" | "admin"))
    }),
    control(
        "RDS.26†",
        "AWS::Backup::BackupSelection",
        "in a backup plan",
        |p| p["BackupSelection"]["Resources"].is_array(),
    ),
    control(
        "RDS.38",
        "AWS::RDS::DBParameterGroup",
        "connections are encrypted",
        |p| p["Parameters"]["rds.force_ssl"] == "1",
    ),
    control("ElastiCache.1", CACHE, "daily snapshots", |p| {
        p["SnapshotRetentionLimit"]
            .as_u64()
            .is_some_and(|days| days > 0)
    }),
    control(
        "ElastiCache.2",
        CACHE,
        "minor versions by themselves",
        |p| p["AutoMinorVersionUpgrade"] == true,
    ),
    control("ElastiCache.3", CACHE, "a copy takes over by itself", |p| {
        p["AutomaticFailoverEnabled"] == true
    }),
    control("ElastiCache.4", CACHE, "encrypted at rest", |p| {
        p["AtRestEncryptionEnabled"] == true
    }),
    control("ElastiCache.5", CACHE, "connections are encrypted", |p| {
        p["TransitEncryptionEnabled"] == true && p["TransitEncryptionMode"] == "required"
    }),
    control("ElastiCache.6", CACHE, "users have passwords", |p| {
        p["UserGroupIds"].is_array()
    }),
    control("ElastiCache.7", CACHE, "not in the default subnets", |p| {
        p.get("CacheSubnetGroupName").is_some()
    }),
    control("ECR.1", REPOSITORY, "images are scanned", |p| {
        p["ImageScanningConfiguration"]["ScanOnPush"] == true
    }),
    control("ECR.2", REPOSITORY, "tags do not move", |p| {
        p["ImageTagMutability"] == "IMMUTABLE"
    }),
    control("ECR.3", REPOSITORY, "old images go", |p| {
        p["LifecyclePolicy"]["LifecyclePolicyText"].is_string()
    }),
    control("ECR.5†", REPOSITORY, "a key of our own", |p| {
        p["EncryptionConfiguration"]["EncryptionType"] == "KMS"
    }),
    control(
        "SecretsManager.1",
        "AWS::SecretsManager::RotationSchedule",
        "secrets rotate by themselves",
        |_| true,
    ),
    control("EC2.6", "AWS::EC2::FlowLog", "flow logs", |p| {
        p["TrafficType"] == "ALL" || p["TrafficType"] == "REJECT"
    }),
    control(
        "EC2.10",
        "AWS::EC2::VPCEndpoint",
        "an endpoint of EC2",
        |_| true,
    ),
    control(
        "EC2.15",
        "AWS::EC2::Subnet",
        "subnets give no public addresses by themselves",
        |p| p["MapPublicIpOnLaunch"] == false,
    ),
    control(
        "EC2.18",
        "AWS::EC2::SecurityGroupIngress",
        "the world reaches 80 and 443 only",
        |p| {
            p["CidrIp"] != "0.0.0.0/0"
                || p["FromPort"] == p["ToPort"] && (p["FromPort"] == 80 || p["FromPort"] == 443)
        },
    ),
    control(
        "CloudWatch.15†",
        "AWS::CloudWatch::Alarm",
        "alarms tell somebody",
        |p| {
            p["AlarmActions"]
                .as_array()
                .is_some_and(|to| !to.is_empty())
        },
    ),
    control(
        "CloudWatch.16†",
        "AWS::Logs::LogGroup",
        "logs are kept for a year",
        |p| {
            p["RetentionInDays"]
                .as_u64()
                .is_some_and(|days| days >= 365)
        },
    ),
    control(
        "IAM.1",
        "AWS::IAM::ManagedPolicy",
        "no policy allows everything",
        |p| statements(&p["PolicyDocument"], |s| s["Action"] != "*"),
    ),
    control(
        "IAM.21",
        "AWS::IAM::ManagedPolicy",
        "no policy allows all of a service",
        |p| {
            statements(&p["PolicyDocument"], |s| {
                words(&s["Action"])
                    .iter()
                    .all(|action| !action.ends_with(":*"))
            })
        },
    ),
    control("KMS.4†", "AWS::KMS::Key", "keys rotate", |p| {
        p["EnableKeyRotation"] == true
    }),
    control("S3.2", BUCKET, "buckets are private", |p| {
        p["PublicAccessBlockConfiguration"]
            .as_object()
            .is_some_and(|block| block.len() == 4 && block.values().all(|on| on == true))
    }),
    control(
        "S3.5",
        "AWS::S3::BucketPolicy",
        "buckets are spoken to over TLS",
        |p| {
            !statements(&p["PolicyDocument"], |s| {
                s["Condition"]["Bool"]["aws:SecureTransport"] != "false"
            })
        },
    ),
    control("S3.9", BUCKET, "access to buckets is logged", |p| {
        p.get("LoggingConfiguration").is_some()
    }),
    control("S3.12", BUCKET, "no access lists", |p| {
        p["OwnershipControls"]["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced"
    }),
    control("S3.13", BUCKET, "buckets have lifecycles", |p| {
        p.get("LifecycleConfiguration").is_some()
    }),
    control("S3.14†", BUCKET, "versions", |p| {
        p["VersioningConfiguration"]["Status"] == "Enabled"
    }),
    control("S3.17†", BUCKET, "a key of our own", |p| {
        p["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
            ["SSEAlgorithm"]
            == "aws:kms"
    }),
    control("SNS.1†", "AWS::SNS::Topic", "topics are encrypted", |p| {
        p.get("KmsMasterKeyId").is_some()
    }),
    control(
        "ACM.2",
        "AWS::CertificateManager::Certificate",
        "strong certificate keys",
        |p| {
            matches!(
                p["KeyAlgorithm"].as_str(),
                Some("EC_prime256v1" | "EC_secp384r1" | "RSA_2048")
            )
        },
    ),
    if_any(control(
        "WAF.10",
        "AWS::WAFv2::WebACL",
        "firewalls have rules",
        |p| p["Rules"].as_array().is_some_and(|rules| !rules.is_empty()),
    )),
    if_any(control(
        "WAF.12",
        "AWS::WAFv2::WebACL",
        "rules have metrics",
        |p| {
            p["Rules"].as_array().is_some_and(|rules| {
                rules
                    .iter()
                    .all(|rule| rule["VisibilityConfig"]["CloudWatchMetricsEnabled"] == true)
            })
        },
    )),
    if_any(control(
        "Backup.1",
        "AWS::Backup::BackupVault",
        "recovery points are encrypted",
        |p| p.get("EncryptionKeyArn").is_some(),
    )),
    control(
        "CKV_AWS_149",
        SECRET,
        "secrets have a key of our own",
        |p| p.get("KmsKeyId").is_some(),
    ),
];

pub(super) const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        id: "RDS.1",
        demand: "snapshots are private",
        place: "`cargo xtask doctor`",
    },
    Elsewhere {
        id: "EC2.2",
        demand: "the VPC's default security group allows nothing",
        place: "`cargo xtask doctor`: CloudFormation cannot empty it; nothing is in it",
    },
    Elsewhere {
        id: "EC2.7",
        demand: "new disks are encrypted",
        place: "`cargo xtask doctor`",
    },
    Elsewhere {
        id: "CloudFormation.1",
        demand: "stacks tell a topic",
        place: "given with every change of a stack",
    },
    Elsewhere {
        id: "CloudFormation.3†",
        demand: "stacks are protected from deletion",
        place: "set on every stack but migrate and service",
    },
    Elsewhere {
        id: "CloudFormation.4†",
        demand: "stacks have a role of their own",
        place: "`taskhub-cloudformation`, given with every change",
    },
    Elsewhere {
        id: "KMS.3",
        demand: "no key is about to be deleted",
        place: "`cargo xtask verify`",
    },
    Elsewhere {
        id: "SecretsManager.2–4",
        demand: "secrets rotate, are used, and were changed lately",
        place: "`cargo xtask secrets check`",
    },
    Elsewhere {
        id: "Account.1, CloudTrail.1, Config.1, GuardDuty.1, S3.1, SSM.4",
        demand: "the account is watched",
        place: "`cargo xtask doctor`",
    },
];

/// Whether something holds for every container of a task definition.
fn each(properties: &Value, holds: fn(&Value) -> bool) -> bool {
    let containers = properties["ContainerDefinitions"].as_array();
    containers.is_some_and(|containers| !containers.is_empty() && containers.iter().all(holds))
}

/// A variable may name secrets, never hold one.
fn no_secret(container: &Value) -> bool {
    let variables = container["Environment"].as_array();
    variables.into_iter().flatten().all(|variable| {
        let name = variable["Name"].as_str().unwrap_or_default();
        name == "TASKHUB_SECRETS" || !crate::contract::is_secret(name)
    })
}

fn has(properties: &Value, key: &str, value: &str) -> bool {
    let attributes = properties["LoadBalancerAttributes"].as_array();
    attributes
        .into_iter()
        .flatten()
        .any(|attribute| attribute["Key"] == key && attribute["Value"] == value)
}

fn statements(policy: &Value, holds: fn(&Value) -> bool) -> bool {
    policy["Statement"]
        .as_array()
        .is_some_and(|statements| statements.iter().all(holds))
}

/// One text or a list of them.
fn words(value: &Value) -> Vec<&str> {
    let list = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).collect()
}
