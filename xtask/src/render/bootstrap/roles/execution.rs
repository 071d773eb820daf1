//! What CloudFormation may do when it makes an environment's stacks: the actions of their resource types, on
//! TaskHub's own names wherever a service has names.

mod actions;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{allow, iam_arn, pass, when};
use crate::{
    environments::Name,
    render::{
        iam::{arn, policy},
        template::{Template, attribute, reference, sub},
    },
};
use actions::{DATA, NETWORK, Row, SERVICES};

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
        let statements = statements(rows);
        add_policy(
            template,
            id,
            name,
            "What CloudFormation may make, change and delete for TaskHub",
            statements,
        );
    }
    let description = "Roles of TaskHub's stacks, all within the boundary, and the use of its key";
    add_policy(template, "RolesPolicy", "roles", description, roles());
    add_role(template);
}

fn add_policy(
    template: &mut Template,
    id: &str,
    name: &str,
    description: &str,
    statements: Vec<Value>,
) {
    template.add(
        id,
        "AWS::IAM::ManagedPolicy",
        json!({
            "ManagedPolicyName": format!("taskhub-cloudformation-{name}"),
            "Description": description,
            "PolicyDocument": policy(statements),
        }),
    );
}

fn add_role(template: &mut Template) {
    let policies = [
        "ReadPolicy",
        "NetworkPolicy",
        "DataPolicy",
        "ServicesPolicy",
        "RolesPolicy",
    ];
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
            "ManagedPolicyArns": policies.map(reference),
        }),
    );
}

/// One statement for each limit, with the actions of all rows that have it.
fn statements(rows: &[Row]) -> Vec<Value> {
    let mut by_limit: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, limit, actions) in rows {
        by_limit.entry(limit).or_default().extend(*actions);
    }
    let statements = by_limit.into_iter().map(|(limit, actions)| {
        let actions: Vec<&str> = actions.into_iter().collect();
        match limit.split_once(':') {
            Some((service, resource)) => allow(&actions, arn(service, resource)),
            None => when(
                allow(&actions, limit),
                json!({"StringEquals": {"aws:RequestedRegion": regions()}}),
            ),
        }
    });
    statements.collect()
}

/// This region, and the one where the services that know no regions are.
fn regions() -> Value {
    json!([reference("AWS::Region"), "us-east-1"])
}

/// Roles of stacks: only with the boundary, only of our names, only for the services that need them.
fn roles() -> Vec<Value> {
    const CREATE: &[&str] = &[
        "iam:CreateRole",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    ];
    const CHANGE: &[&str] = &[
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:TagRole",
        "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy",
        "iam:UpdateRole",
    ];
    const USE_KEY: &[&str] = &[
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey*",
    ];
    let ours = Name::ALL.map(|name| iam_arn(&format!("role/taskhub-{name}-*")));
    let managed = [
        "AmazonRDSEnhancedMonitoringRole",
        "AWSBackupServiceRolePolicyForBackup",
    ]
    .map(|policy| {
        sub(format!(
            "arn:${{AWS::Partition}}:iam::aws:policy/service-role/{policy}"
        ))
    });
    let boundary = json!({"StringEquals": {"iam:PermissionsBoundary": reference("Boundary")}});
    vec![
        when(allow(CREATE, &ours), boundary),
        when(
            allow(&["iam:AttachRolePolicy", "iam:DetachRolePolicy"], &ours),
            json!({"ArnLike": {"iam:PolicyARN": managed}}),
        ),
        allow(CHANGE, &ours),
        pass(&ours, PASSED_TO),
        when(
            allow(
                &["iam:CreateServiceLinkedRole"],
                iam_arn("role/aws-service-role/*"),
            ),
            json!({"StringEquals": {"iam:AWSServiceName": LINKED}}),
        ),
        allow(USE_KEY, attribute("Key", "Arn")),
    ]
}

/// Services that get roles of stacks.
const PASSED_TO: &[&str] = &[
    "backup.amazonaws.com",
    "ecs-tasks.amazonaws.com",
    "ecs.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
];

/// Services that make themselves a role when they are first used.
const LINKED: &[&str] = &[
    "backup.amazonaws.com",
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "elasticache.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "rds.amazonaws.com",
    "wafv2.amazonaws.com",
];
