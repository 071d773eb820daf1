//! Who may change what: CloudFormation itself, pipelines, and people who look. Nobody has administrator's rights,
//! and no role that is made here or by a stack can exceed the boundary.

mod execution;
mod pipelines;

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use execution::may_be_made;

use crate::render::{
    iam::{allow, arn, policy, when},
    template::{Template, attribute, reference, sub},
};

/// What can be looked at without reading a secret or a user's data.
const READ: &[&str] = &[
    "acm:Describe*",
    "acm:List*",
    "application-autoscaling:Describe*",
    "backup:Describe*",
    "backup:Get*",
    "backup:List*",
    "budgets:View*",
    "cloudformation:BatchDescribe*",
    "cloudformation:Describe*",
    "cloudformation:Detect*",
    "cloudformation:Get*",
    "cloudformation:List*",
    "cloudformation:Validate*",
    "cloudwatch:Describe*",
    "cloudwatch:Get*",
    "cloudwatch:List*",
    "ec2:Describe*",
    "ecr:Describe*",
    "ecr:Get*",
    "ecr:List*",
    "ecs:Describe*",
    "ecs:List*",
    "elasticache:Describe*",
    "elasticache:List*",
    "elasticloadbalancing:Describe*",
    "events:Describe*",
    "events:List*",
    "iam:Get*",
    "iam:List*",
    "iam:SimulatePrincipalPolicy",
    "kms:Describe*",
    "kms:Get*",
    "kms:List*",
    "logs:Describe*",
    "logs:List*",
    "rds:Describe*",
    "rds:List*",
    "route53:Get*",
    "route53:List*",
    "secretsmanager:Describe*",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:List*",
    "servicequotas:Get*",
    "servicequotas:List*",
    "sns:Get*",
    "sns:List*",
    "ssm:Describe*",
    "ssm:List*",
    "tag:Get*",
    "wafv2:Describe*",
    "wafv2:Get*",
    "wafv2:List*",
];

pub(super) fn add(template: &mut Template) {
    const GET_PARAMETER: &[&str] = &[
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:GetParametersByPath",
    ];
    template.add(
        "ReadPolicy",
        "AWS::IAM::ManagedPolicy",
        json!({
            "ManagedPolicyName": "taskhub-read",
            "Description": "Looks at everything but secrets and data",
            "PolicyDocument": policy(vec![
                allow(READ, "*"),
                allow(&["s3:GetObject", "s3:ListBucket"], state(&["", "/*"])),
                allow(GET_PARAMETER, arn("ssm", "parameter/taskhub/*")),
                allow(&["kms:Decrypt"], attribute("Key", "Arn")),
            ]),
        }),
    );
    execution::add(template);
    pipelines::add(template);
    read_role(template);
}

/// For people of the account who have shown a second factor.
fn read_role(template: &mut Template) {
    template.add(
        "ReadRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": "taskhub-read",
            "Description": "Looks at everything but secrets and data",
            "AssumeRolePolicyDocument": policy(vec![json!({
                "Effect": "Allow",
                "Principal": {"AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
                "Action": "sts:AssumeRole",
                "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
            })]),
            "ManagedPolicyArns": [reference("ReadPolicy")],
            // Of people alone: what tasks write may name users, and the read policy is a pull request's too.
            "Policies": [{"PolicyName": "taskhub", "PolicyDocument": policy(vec![allow(
                READ_LOGS,
                arn("logs", "log-group:/taskhub/*"),
            )])}],
        }),
    );
}

/// What tasks have written.
const READ_LOGS: &[&str] = &["logs:FilterLogEvents", "logs:GetLogEvents"];

/// Of the operators' bucket, with something behind its ARN.
fn state(suffixes: &[&str]) -> Value {
    let arns: Vec<_> = suffixes
        .iter()
        .map(|suffix| sub(format!("${{StateBucket.Arn}}{suffix}")))
        .collect();
    json!(arns)
}

/// An ARN of IAM, which knows no regions.
fn iam_arn(resource: &str) -> Value {
    json!(sub(format!(
        "arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{resource}"
    )))
}

/// Lets a role be handed to services of AWS, and to no others.
fn pass(roles: impl Serialize, services: &[&str]) -> Value {
    let to = json!({"StringEquals": {"iam:PassedToService": services}});
    when(allow(&["iam:PassRole"], roles), to)
}
