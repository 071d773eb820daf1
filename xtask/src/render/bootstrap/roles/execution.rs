//! What CloudFormation may do when it makes an environment's stacks: the actions of their resource types, on
//! TaskHub's own names wherever a service has names.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{allow, iam_arn, pass};
use crate::render::{
    iam::{arn, policy},
    template::{Template, attribute, reference, sub},
};

/// Resource type, what its actions are limited to, and the actions that make, change and delete it. Looking is
/// allowed by the read policy.
type Row = (&'static str, &'static str, &'static [&'static str]);

const ANYTHING: &str = "*";

/// The network's actions. EC2 has ids, no names.
const NETWORK: &[Row] = &[
    (
        "AWS::EC2::EIP",
        ANYTHING,
        &["ec2:AllocateAddress", "ec2:ReleaseAddress"],
    ),
    (
        "AWS::EC2::FlowLog",
        ANYTHING,
        &["ec2:CreateFlowLogs", "ec2:DeleteFlowLogs"],
    ),
    (
        "AWS::EC2::InternetGateway",
        ANYTHING,
        &["ec2:CreateInternetGateway", "ec2:DeleteInternetGateway"],
    ),
    (
        "AWS::EC2::NatGateway",
        ANYTHING,
        &["ec2:CreateNatGateway", "ec2:DeleteNatGateway"],
    ),
    (
        "AWS::EC2::Route",
        ANYTHING,
        &["ec2:CreateRoute", "ec2:DeleteRoute", "ec2:ReplaceRoute"],
    ),
    (
        "AWS::EC2::RouteTable",
        ANYTHING,
        &["ec2:CreateRouteTable", "ec2:DeleteRouteTable"],
    ),
    (
        "AWS::EC2::SecurityGroup",
        ANYTHING,
        &[
            "ec2:CreateSecurityGroup",
            "ec2:DeleteSecurityGroup",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress",
        ],
    ),
    (
        "AWS::EC2::SecurityGroupEgress",
        ANYTHING,
        &["ec2:UpdateSecurityGroupRuleDescriptionsEgress"],
    ),
    (
        "AWS::EC2::SecurityGroupIngress",
        ANYTHING,
        &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        ],
    ),
    (
        "AWS::EC2::Subnet",
        ANYTHING,
        &[
            "ec2:CreateSubnet",
            "ec2:DeleteSubnet",
            "ec2:ModifySubnetAttribute",
        ],
    ),
    (
        "AWS::EC2::SubnetRouteTableAssociation",
        ANYTHING,
        &[
            "ec2:AssociateRouteTable",
            "ec2:DisassociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
        ],
    ),
    (
        "AWS::EC2::VPC",
        ANYTHING,
        &["ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute"],
    ),
    (
        "AWS::EC2::VPCEndpoint",
        ANYTHING,
        &[
            "ec2:CreateVpcEndpoint",
            "ec2:DeleteVpcEndpoints",
            "ec2:ModifyVpcEndpoint",
        ],
    ),
    (
        "AWS::EC2::VPCGatewayAttachment",
        ANYTHING,
        &["ec2:AttachInternetGateway", "ec2:DetachInternetGateway"],
    ),
    // Tags of all of them.
    (
        "AWS::EC2::VPC",
        ANYTHING,
        &["ec2:CreateTags", "ec2:DeleteTags"],
    ),
];

const DATA: &[Row] = &[
    (
        "AWS::Backup::BackupPlan",
        ANYTHING,
        &[
            "backup:CreateBackupPlan",
            "backup:DeleteBackupPlan",
            "backup:UpdateBackupPlan",
            "backup:TagResource",
            "backup:UntagResource",
        ],
    ),
    (
        "AWS::Backup::BackupSelection",
        ANYTHING,
        &[
            "backup:CreateBackupSelection",
            "backup:DeleteBackupSelection",
        ],
    ),
    (
        "AWS::Backup::BackupVault",
        "backup:backup-vault:taskhub-*",
        &[
            "backup:CreateBackupVault",
            "backup:DeleteBackupVault",
            "backup-storage:MountCapsule",
        ],
    ),
    (
        "AWS::ElastiCache::ParameterGroup",
        "elasticache:*:taskhub-*",
        &[
            "elasticache:CreateCacheParameterGroup",
            "elasticache:DeleteCacheParameterGroup",
            "elasticache:ModifyCacheParameterGroup",
        ],
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "elasticache:*:taskhub-*",
        &[
            "elasticache:CreateReplicationGroup",
            "elasticache:DeleteReplicationGroup",
            "elasticache:ModifyReplicationGroup",
            "elasticache:IncreaseReplicaCount",
            "elasticache:DecreaseReplicaCount",
            "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource",
        ],
    ),
    (
        "AWS::ElastiCache::SubnetGroup",
        "elasticache:*:taskhub-*",
        &[
            "elasticache:CreateCacheSubnetGroup",
            "elasticache:DeleteCacheSubnetGroup",
            "elasticache:ModifyCacheSubnetGroup",
        ],
    ),
    (
        "AWS::ElastiCache::User",
        "elasticache:*:taskhub-*",
        &[
            "elasticache:CreateUser",
            "elasticache:DeleteUser",
            "elasticache:ModifyUser",
        ],
    ),
    (
        "AWS::ElastiCache::UserGroup",
        "elasticache:*:taskhub-*",
        &[
            "elasticache:CreateUserGroup",
            "elasticache:DeleteUserGroup",
            "elasticache:ModifyUserGroup",
        ],
    ),
    (
        "AWS::RDS::DBInstance",
        "rds:*:taskhub-*",
        &[
            "rds:CreateDBInstance",
            "rds:DeleteDBInstance",
            "rds:ModifyDBInstance",
            "rds:RebootDBInstance",
            "rds:CreateDBSnapshot",
            "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource",
        ],
    ),
    (
        "AWS::RDS::DBParameterGroup",
        "rds:pg:*",
        &[
            "rds:CreateDBParameterGroup",
            "rds:DeleteDBParameterGroup",
            "rds:ModifyDBParameterGroup",
            "rds:ResetDBParameterGroup",
        ],
    ),
    (
        "AWS::RDS::DBSubnetGroup",
        "rds:*:taskhub-*",
        &[
            "rds:CreateDBSubnetGroup",
            "rds:DeleteDBSubnetGroup",
            "rds:ModifyDBSubnetGroup",
        ],
    ),
    (
        "AWS::RDS::EventSubscription",
        "rds:*:taskhub-*",
        &[
            "rds:CreateEventSubscription",
            "rds:DeleteEventSubscription",
            "rds:ModifyEventSubscription",
        ],
    ),
    (
        "AWS::SecretsManager::Secret",
        "secretsmanager:secret:taskhub/*",
        &[
            "secretsmanager:CreateSecret",
            "secretsmanager:DeleteSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
            "secretsmanager:UpdateSecret",
            "secretsmanager:TagResource",
            "secretsmanager:UntagResource",
        ],
    ),
    (
        "AWS::SecretsManager::Secret",
        ANYTHING,
        &["secretsmanager:GetRandomPassword"],
    ),
    (
        "AWS::SecretsManager::SecretTargetAttachment",
        "secretsmanager:secret:taskhub/*",
        &["secretsmanager:PutSecretValue"],
    ),
];

const SERVICES: &[Row] = &[
    (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        ANYTHING,
        &[
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:PutScheduledAction",
            "application-autoscaling:DeleteScheduledAction",
        ],
    ),
    (
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        ANYTHING,
        &[
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:DeleteScalingPolicy",
        ],
    ),
    ("AWS::Budgets::Budget", ANYTHING, &["budgets:ModifyBudget"]),
    (
        "AWS::CertificateManager::Certificate",
        ANYTHING,
        &[
            "acm:RequestCertificate",
            "acm:DeleteCertificate",
            "acm:AddTagsToCertificate",
            "acm:UpdateCertificateOptions",
        ],
    ),
    (
        "AWS::CloudWatch::Alarm",
        "cloudwatch:alarm:*",
        &[
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:TagResource",
        ],
    ),
    (
        "AWS::CloudWatch::Dashboard",
        ANYTHING,
        &["cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"],
    ),
    (
        "AWS::ECS::Cluster",
        ANYTHING,
        &[
            "ecs:CreateCluster",
            "ecs:DeleteCluster",
            "ecs:UpdateCluster",
            "ecs:PutClusterCapacityProviders",
            "ecs:TagResource",
            "ecs:UntagResource",
        ],
    ),
    (
        "AWS::ECS::Service",
        "ecs:service/taskhub-*",
        &[
            "ecs:CreateService",
            "ecs:DeleteService",
            "ecs:UpdateService",
        ],
    ),
    (
        "AWS::ECS::TaskDefinition",
        ANYTHING,
        &["ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"],
    ),
    (
        "AWS::ElasticLoadBalancingV2::Listener",
        "elasticloadbalancing:*/taskhub-*",
        &[
            "elasticloadbalancing:CreateListener",
            "elasticloadbalancing:DeleteListener",
            "elasticloadbalancing:ModifyListener*",
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "elasticloadbalancing:*/taskhub-*",
        &[
            "elasticloadbalancing:CreateLoadBalancer",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "elasticloadbalancing:SetSecurityGroups",
            "elasticloadbalancing:SetSubnets",
            "elasticloadbalancing:SetIpAddressType",
            "elasticloadbalancing:SetWebAcl",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags",
        ],
    ),
    (
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        "elasticloadbalancing:*/taskhub-*",
        &[
            "elasticloadbalancing:CreateTargetGroup",
            "elasticloadbalancing:DeleteTargetGroup",
            "elasticloadbalancing:ModifyTargetGroup*",
        ],
    ),
    (
        "AWS::Events::Rule",
        "events:rule/taskhub-*",
        &[
            "events:PutRule",
            "events:DeleteRule",
            "events:PutTargets",
            "events:RemoveTargets",
        ],
    ),
    (
        "AWS::Logs::LogGroup",
        "logs:log-group:*",
        &[
            "logs:CreateLogGroup",
            "logs:DeleteLogGroup",
            "logs:PutRetentionPolicy",
            "logs:AssociateKmsKey",
            "logs:TagResource",
            "logs:UntagResource",
            "logs:CreateLogDelivery",
            "logs:PutResourcePolicy",
        ],
    ),
    (
        "AWS::Logs::MetricFilter",
        "logs:log-group:*",
        &["logs:PutMetricFilter", "logs:DeleteMetricFilter"],
    ),
    (
        "AWS::Route53::RecordSet",
        ANYTHING,
        &["route53:ChangeResourceRecordSets"],
    ),
    (
        "AWS::SSM::Parameter",
        "ssm:parameter/taskhub/*",
        &[
            "ssm:PutParameter",
            "ssm:DeleteParameter*",
            "ssm:AddTagsToResource",
            "ssm:RemoveTagsFromResource",
        ],
    ),
    (
        "AWS::WAFv2::LoggingConfiguration",
        ANYTHING,
        &[
            "wafv2:PutLoggingConfiguration",
            "wafv2:DeleteLoggingConfiguration",
        ],
    ),
    (
        "AWS::WAFv2::WebACL",
        ANYTHING,
        &[
            "wafv2:CreateWebACL",
            "wafv2:DeleteWebACL",
            "wafv2:UpdateWebACL",
            "wafv2:TagResource",
        ],
    ),
    (
        "AWS::WAFv2::WebACLAssociation",
        ANYTHING,
        &["wafv2:AssociateWebACL", "wafv2:DisassociateWebACL"],
    ),
];

/// Whether CloudFormation can make a resource of this type. Roles have rules of their own.
pub(crate) fn may_be_made(kind: &str) -> bool {
    let mut rows = [NETWORK, DATA, SERVICES].into_iter().flatten();
    kind == "AWS::IAM::Role" || rows.any(|(row, ..)| *row == kind)
}

pub(super) fn add(template: &mut Template) {
    for (id, name, rows) in [
        ("NetworkPolicy", "network", NETWORK),
        ("DataPolicy", "data", DATA),
        ("ServicesPolicy", "services", SERVICES),
    ] {
        let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, resource, actions) in rows {
            by_resource.entry(resource).or_default().extend(*actions);
        }
        let statements = by_resource.into_iter().map(|(resource, mut actions)| {
            actions.sort_unstable();
            actions.dedup();
            let mut statement = allow(json!(actions), limited(resource));
            if resource == ANYTHING {
                statement["Condition"] =
                    json!({"StringEquals": {"aws:RequestedRegion": regions()}});
            }
            statement
        });
        template.add(
            id,
            "AWS::IAM::ManagedPolicy",
            json!({
                "ManagedPolicyName": format!("taskhub-cloudformation-{name}"),
                "Description": "What CloudFormation may make, change and delete for TaskHub",
                "PolicyDocument": policy(statements.collect()),
            }),
        );
    }
    roles_policy(template);
    template.add(
        "ExecutionRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": "taskhub-cloudformation",
            "Description": "CloudFormation has it while it changes an environment's stacks",
            "AssumeRolePolicyDocument": policy(vec![json!({
                "Effect": "Allow",
                "Principal": {"Service": "cloudformation.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")}},
            })]),
            "ManagedPolicyArns": [
                reference("ReadPolicy"),
                reference("NetworkPolicy"),
                reference("DataPolicy"),
                reference("ServicesPolicy"),
                reference("RolesPolicy"),
            ],
        }),
    );
}

/// This region, and the one where the services that know no regions are.
fn regions() -> Value {
    json!([reference("AWS::Region"), "us-east-1"])
}

fn limited(resource: &str) -> Value {
    match resource.split_once(':') {
        Some((service, rest)) => json!(arn(service, rest)),
        None => json!(resource),
    }
}

/// Roles of stacks: only with the boundary, only of our names, only for the services that need them.
fn roles_policy(template: &mut Template) {
    let ours = json!([
        super::iam_arn("role/taskhub-staging-*"),
        super::iam_arn("role/taskhub-production-*"),
    ]);
    let mut create = allow(
        json!([
            "iam:CreateRole",
            "iam:PutRolePolicy",
            "iam:PutRolePermissionsBoundary"
        ]),
        ours.clone(),
    );
    create["Condition"] =
        json!({"StringEquals": {"iam:PermissionsBoundary": reference("Boundary")}});
    let mut attach = allow(
        json!(["iam:AttachRolePolicy", "iam:DetachRolePolicy"]),
        ours.clone(),
    );
    attach["Condition"] = json!({"ArnLike": {"iam:PolicyARN": [
        sub("arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"),
        sub("arn:${AWS::Partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"),
    ]}});
    let change = allow(
        json!([
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole"
        ]),
        ours.clone(),
    );
    let services = [
        "backup.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "ecs.amazonaws.com",
        "monitoring.rds.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
    ];
    let mut linked = allow(
        json!("iam:CreateServiceLinkedRole"),
        iam_arn("role/aws-service-role/*"),
    );
    linked["Condition"] = json!({"StringEquals": {"iam:AWSServiceName": [
        "backup.amazonaws.com",
        "ecs.amazonaws.com",
        "ecs.application-autoscaling.amazonaws.com",
        "elasticache.amazonaws.com",
        "elasticloadbalancing.amazonaws.com",
        "rds.amazonaws.com",
        "wafv2.amazonaws.com",
    ]}});
    let key = allow(
        json!([
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey*"
        ]),
        json!(attribute("Key", "Arn")),
    );
    template.add(
        "RolesPolicy",
        "AWS::IAM::ManagedPolicy",
        json!({
            "ManagedPolicyName": "taskhub-cloudformation-roles",
            "Description": "Roles of TaskHub's stacks, all within the boundary, and the use of its key",
            "PolicyDocument": policy(vec![create, attach, change, pass(ours, &services), linked, key]),
        }),
    );
}
