//! Values of the rendered templates that somebody must notice when they are wrong.

/// By resource type: a path from the resource, and wrong values as JSON, of which an empty text takes it away.
type Protected = (
    &'static str,
    &'static [(&'static str, &'static [&'static str])],
);

/// What no rule finds, and why that is right. None at present.
pub(super) const SURVIVORS: &[(&str, &str)] = &[];

pub(super) const PROTECTED: &[Protected] = &[
    (
        "AWS::ECS::Cluster",
        &[(
            "Properties/ClusterSettings/[Name=containerInsights]/Value",
            &["\"disabled\""],
        )],
    ),
    (
        "AWS::ECS::Service",
        &[
            (
                "Properties/AvailabilityZoneRebalancing",
                &["\"DISABLED\"", ""],
            ),
            (
                "Properties/DeploymentConfiguration/Alarms/Enable",
                &["false"],
            ),
            (
                "Properties/DeploymentConfiguration/Alarms/Rollback",
                &["false"],
            ),
            (
                "Properties/DeploymentConfiguration/DeploymentCircuitBreaker/Enable",
                &["false", ""],
            ),
            (
                "Properties/DeploymentConfiguration/DeploymentCircuitBreaker/Rollback",
                &["false", ""],
            ),
            (
                "Properties/DeploymentConfiguration/MaximumPercent",
                &["100"],
            ),
            (
                "Properties/DeploymentConfiguration/MinimumHealthyPercent",
                &["0", "50", ""],
            ),
            ("Properties/LoadBalancers/*/ContainerName", &["\"web\""]),
            ("Properties/LoadBalancers/*/ContainerPort", &["8080"]),
            (
                "Properties/NetworkConfiguration/AwsvpcConfiguration/AssignPublicIp",
                &["\"ENABLED\"", ""],
            ),
            ("Properties/PlatformVersion", &["\"1.3.0\""]),
        ],
    ),
    (
        "AWS::ECS::TaskDefinition",
        &[
            (
                "Properties/ContainerDefinitions/*/HealthCheck/Timeout",
                &["60"],
            ),
            (
                "Properties/ContainerDefinitions/*/LinuxParameters/Capabilities/Drop",
                &["[\"NET_RAW\"]", ""],
            ),
            (
                "Properties/ContainerDefinitions/*/LinuxParameters/InitProcessEnabled",
                &["false"],
            ),
            ("Properties/ContainerDefinitions/*/LogConfiguration", &[""]),
            (
                "Properties/ContainerDefinitions/*/LogConfiguration/Options/awslogs-group",
                &["\"/elsewhere\"", ""],
            ),
            (
                "Properties/ContainerDefinitions/*/LogConfiguration/Options/mode",
                &["\"blocking\"", ""],
            ),
            ("Properties/ContainerDefinitions/*/Memory", &[""]),
            (
                "Properties/ContainerDefinitions/*/PortMappings/[Name=http]/ContainerPort",
                &["8080"],
            ),
            ("Properties/ContainerDefinitions/*/Privileged", &["true"]),
            (
                "Properties/ContainerDefinitions/*/ReadonlyRootFilesystem",
                &["false", ""],
            ),
            (
                "Properties/ContainerDefinitions/*/StopTimeout",
                &["2", "200", ""],
            ),
            (
                "Properties/ContainerDefinitions/*/User",
                &["\"root\"", "\"0\"", ""],
            ),
            (
                "Properties/ContainerDefinitions/*/Environment/*/Name",
                &["\"DB_PASSWORD\""],
            ),
            (
                "Properties/ContainerDefinitions/*/Environment/*/Value",
                &["\"postgres://app:secret@db/taskhub\""],
            ),
            ("Properties/Cpu", &[""]),
            ("Properties/Memory", &[""]),
            ("Properties/NetworkMode", &["\"host\"", "\"bridge\"", ""]),
            ("Properties/RequiresCompatibilities", &["[\"EC2\"]"]),
            (
                "Properties/RuntimePlatform/CpuArchitecture",
                &["\"RISCV\"", ""],
            ),
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        &[
            (
                "Properties/LoadBalancerAttributes/[Key=access_logs.s3.bucket]",
                &[""],
            ),
            (
                "Properties/LoadBalancerAttributes/[Key=access_logs.s3.enabled]/Value",
                &["\"false\""],
            ),
            (
                "Properties/LoadBalancerAttributes/[Key=deletion_protection.enabled]/Value",
                &["\"false\""],
            ),
            (
                "Properties/LoadBalancerAttributes/[Key=routing.http.desync_mitigation_mode]/Value",
                &["\"monitor\""],
            ),
            (
                "Properties/LoadBalancerAttributes/[Key=routing.http.drop_invalid_header_fields.enabled]/Value",
                &["\"false\""],
            ),
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::Listener",
        &[
            (
                "Properties/SslPolicy",
                &[
                    "\"ELBSecurityPolicy-2016-08\"",
                    "\"ELBSecurityPolicy-TLS-1-1-2017-01\"",
                    "",
                ],
            ),
            (
                "Properties/DefaultActions/[Type=redirect]/Type",
                &["\"forward\""],
            ),
            (
                "Properties/DefaultActions/[Type=redirect]/RedirectConfig/Protocol",
                &["\"HTTP\""],
            ),
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        &[
            ("Properties/HealthCheckIntervalSeconds", &["300", "3"]),
            ("Properties/HealthCheckPath", &["\"/\"", ""]),
            ("Properties/HealthCheckTimeoutSeconds", &["120"]),
            ("Properties/HealthyThresholdCount", &["10"]),
            ("Properties/Matcher/HttpCode", &["\"200-599\""]),
            ("Properties/Port", &["80"]),
            (
                "Properties/TargetGroupAttributes/[Key=deregistration_delay.timeout_seconds]/Value",
                &["\"300\"", "\"0\""],
            ),
            ("Properties/TargetType", &["\"instance\""]),
            ("Properties/UnhealthyThresholdCount", &["10"]),
        ],
    ),
    (
        "AWS::RDS::DBInstance",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            ("Properties/AutoMinorVersionUpgrade", &["false"]),
            ("Properties/BackupRetentionPeriod", &["0", "1"]),
            ("Properties/CopyTagsToSnapshot", &["false"]),
            ("Properties/DBSubnetGroupName", &[""]),
            ("Properties/DeleteAutomatedBackups", &["true"]),
            ("Properties/DeletionProtection", &["false", ""]),
            (
                "Properties/EnableCloudwatchLogsExports",
                &["[\"upgrade\"]", ""],
            ),
            ("Properties/EnableIAMDatabaseAuthentication", &["false"]),
            ("Properties/EnablePerformanceInsights", &["false"]),
            ("Properties/KmsKeyId", &[""]),
            ("Properties/MasterUserPassword", &["\"hunter2\""]),
            ("Properties/MasterUsername", &["\"postgres\"", "\"admin\""]),
            ("Properties/MaxAllocatedStorage", &[""]),
            ("Properties/MonitoringInterval", &["0"]),
            ("Properties/MultiAZ", &["false"]),
            ("Properties/Port", &["\"5432\"", ""]),
            ("Properties/PubliclyAccessible", &["true", ""]),
            ("Properties/StorageEncrypted", &["false", ""]),
            ("Properties/StorageType", &["\"gp2\"", "\"standard\""]),
            ("Properties/VPCSecurityGroups", &[""]),
        ],
    ),
    (
        "AWS::RDS::DBParameterGroup",
        &[
            (
                "Properties/Parameters/idle_in_transaction_session_timeout",
                &[""],
            ),
            ("Properties/Parameters/log_connections", &["\"0\""]),
            ("Properties/Parameters/log_lock_waits", &["\"0\"", ""]),
            ("Properties/Parameters/log_min_duration_statement", &[""]),
            ("Properties/Parameters/password_encryption", &["\"md5\""]),
            ("Properties/Parameters/rds.force_ssl", &["\"0\"", ""]),
        ],
    ),
    (
        "AWS::RDS::EventSubscription",
        &[
            ("Properties/SnsTopicArn", &[""]),
            ("Properties/SourceType", &["\"db-snapshot\""]),
        ],
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            ("Properties/AtRestEncryptionEnabled", &["false", ""]),
            ("Properties/AutoMinorVersionUpgrade", &["false"]),
            ("Properties/AutomaticFailoverEnabled", &["false"]),
            ("Properties/CacheSubnetGroupName", &["\"default\"", ""]),
            ("Properties/Engine", &["\"redis\""]),
            ("Properties/EngineVersion", &["\"5.0.6\"", "\"99.0\""]),
            ("Properties/KmsKeyId", &[""]),
            ("Properties/LogDeliveryConfigurations", &["[]", ""]),
            ("Properties/MultiAZEnabled", &["false"]),
            ("Properties/NumCacheClusters", &["1"]),
            ("Properties/Port", &["6379", ""]),
            ("Properties/SecurityGroupIds", &[""]),
            ("Properties/SnapshotRetentionLimit", &["0", ""]),
            ("Properties/TransitEncryptionEnabled", &["false", ""]),
            ("Properties/TransitEncryptionMode", &["\"preferred\"", ""]),
            ("Properties/UserGroupIds", &["[]", ""]),
        ],
    ),
    (
        "AWS::ElastiCache::ParameterGroup",
        &[(
            "Properties/Properties/maxmemory-policy",
            &["\"allkeys-lru\""],
        )],
    ),
    (
        "AWS::ElastiCache::User",
        &[
            (
                "Properties/AuthenticationMode/Type",
                &["\"no-password-required\""],
            ),
            (
                "Properties/AuthenticationMode/Passwords/*",
                &["\"hunter2\""],
            ),
        ],
    ),
    (
        "AWS::KMS::Key",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            ("Properties/EnableKeyRotation", &["false", ""]),
            (
                "Properties/KeyPolicy/Statement/*/Principal",
                &["\"*\"", "{\"AWS\": \"*\"}"],
            ),
            ("Properties/PendingWindowInDays", &["1"]),
        ],
    ),
    (
        "AWS::SecretsManager::Secret",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            ("Properties/KmsKeyId", &[""]),
        ],
    ),
    (
        "AWS::Logs::LogGroup",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("Properties/KmsKeyId", &[""]),
            ("Properties/RetentionInDays", &["1", ""]),
        ],
    ),
    (
        "AWS::CloudWatch::Alarm",
        &[
            ("Properties/AlarmActions", &["[]", ""]),
            ("Properties/AlarmDescription", &[""]),
            ("Properties/TreatMissingData", &[""]),
        ],
    ),
    ("AWS::SNS::Topic", &[("Properties/KmsMasterKeyId", &[""])]),
    (
        "AWS::IAM::Role",
        &[
            (
                "Properties/AssumeRolePolicyDocument/Statement/*/Condition",
                &[""],
            ),
            (
                "Properties/AssumeRolePolicyDocument/Statement/*/Principal",
                &["\"*\"", "{\"AWS\": \"*\"}"],
            ),
            ("Properties/PermissionsBoundary", &[""]),
            (
                "Properties/Policies/*/PolicyDocument/Statement/*/Action",
                &["\"*\"", "[\"secretsmanager:*\"]"],
            ),
        ],
    ),
    (
        "AWS::EC2::SecurityGroup",
        &[
            ("Properties/SecurityGroupEgress", &[""]),
            (
                "Properties/SecurityGroupEgress/*/CidrIp",
                &["\"0.0.0.0/0\""],
            ),
        ],
    ),
    (
        "AWS::EC2::SecurityGroupIngress",
        &[
            ("Properties/Description", &[""]),
            ("Properties/SourceSecurityGroupId", &[""]),
        ],
    ),
    (
        "AWS::EC2::SecurityGroupEgress",
        &[
            ("Properties/IpProtocol", &["\"-1\""]),
            ("Properties/FromPort", &[""]),
        ],
    ),
    (
        "AWS::EC2::Subnet",
        &[("Properties/MapPublicIpOnLaunch", &["true", ""])],
    ),
    (
        "AWS::EC2::VPCEndpoint",
        &[(
            "Properties/ServiceName/Fn::Sub",
            &["\"com.amazonaws.elsewhere\""],
        )],
    ),
    (
        "AWS::EC2::FlowLog",
        &[("Properties/TrafficType", &["\"ACCEPT\""])],
    ),
    (
        "AWS::EC2::NatGateway",
        &[
            ("Properties/SubnetId", &[""]),
            ("Properties/AllocationId", &[""]),
        ],
    ),
    (
        "AWS::ECR::Repository",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            (
                "Properties/EncryptionConfiguration/EncryptionType",
                &["\"AES256\""],
            ),
            (
                "Properties/ImageScanningConfiguration/ScanOnPush",
                &["false"],
            ),
            ("Properties/ImageTagMutability", &["\"MUTABLE\"", ""]),
            ("Properties/LifecyclePolicy", &[""]),
        ],
    ),
    (
        "AWS::S3::Bucket",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("UpdateReplacePolicy", &["\"Delete\"", ""]),
            ("Properties/BucketEncryption", &[""]),
            ("Properties/LifecycleConfiguration", &[""]),
            (
                "Properties/OwnershipControls/Rules/*/ObjectOwnership",
                &["\"ObjectWriter\""],
            ),
            ("Properties/PublicAccessBlockConfiguration", &[""]),
            (
                "Properties/PublicAccessBlockConfiguration/BlockPublicAcls",
                &["false"],
            ),
            (
                "Properties/PublicAccessBlockConfiguration/BlockPublicPolicy",
                &["false"],
            ),
            (
                "Properties/PublicAccessBlockConfiguration/IgnorePublicAcls",
                &["false"],
            ),
            (
                "Properties/PublicAccessBlockConfiguration/RestrictPublicBuckets",
                &["false"],
            ),
            (
                "Properties/VersioningConfiguration/Status",
                &["\"Suspended\""],
            ),
        ],
    ),
    (
        "AWS::S3::BucketPolicy",
        &[(
            "Properties/PolicyDocument/Statement/[Effect=Deny]/Condition",
            &[""],
        )],
    ),
    (
        "AWS::Backup::BackupVault",
        &[
            ("DeletionPolicy", &["\"Delete\"", ""]),
            ("Properties/EncryptionKeyArn", &[""]),
        ],
    ),
    (
        "AWS::WAFv2::WebACL",
        &[
            ("Properties/Rules", &["[]"]),
            (
                "Properties/Rules/*/VisibilityConfig/CloudWatchMetricsEnabled",
                &["false"],
            ),
            (
                "Properties/VisibilityConfig/CloudWatchMetricsEnabled",
                &["false"],
            ),
        ],
    ),
    // Resources that must be there at all.
    (
        "AWS::WAFv2::WebACLAssociation",
        &[("Type", &["\"AWS::CloudFormation::WaitConditionHandle\""])],
    ),
    (
        "AWS::WAFv2::LoggingConfiguration",
        &[("Type", &["\"AWS::CloudFormation::WaitConditionHandle\""])],
    ),
    (
        "AWS::Backup::BackupSelection",
        &[("Type", &["\"AWS::CloudFormation::WaitConditionHandle\""])],
    ),
];
