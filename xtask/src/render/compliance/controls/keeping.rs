//! What keeps something.

use super::{Control, control, if_any, some, statements, tells_of};

const DATABASE: &str = "AWS::RDS::DBInstance";
const CACHE: &str = "AWS::ElastiCache::ReplicationGroup";
const SECRET: &str = "AWS::SecretsManager::Secret";
const BUCKET: &str = "AWS::S3::Bucket";

const EVENTS: &str = "AWS::RDS::EventSubscription";

pub(super) const CONTROLS: &[Control] = &[
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
    some(control(
        "RDS.20",
        EVENTS,
        "people are told of the instance's failures",
        |p| tells_of(p, "db-instance", "failure"),
    )),
    some(control(
        "RDS.21",
        EVENTS,
        "people are told of changed parameters",
        |p| tells_of(p, "db-parameter-group", "configuration change"),
    )),
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
    control(
        "SecretsManager.1",
        "AWS::SecretsManager::RotationSchedule",
        "secrets rotate by themselves",
        |_| true,
    ),
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
