//! What CloudFormation may do when it makes an environment's stacks: the actions of their resource types, on
//! TaskHub's own names wherever a service has names.

mod actions;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{allow, iam_arn, pass};
use crate::render::{
    iam::{arn, policy},
    template::{Template, attribute, reference, sub},
};
use actions::{ANYTHING, DATA, NETWORK, SERVICES};

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
