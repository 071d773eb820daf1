//! Who may change what: CloudFormation itself, pipelines, and people who look. Nobody has administrator's rights,
//! and no role that is made here or by a stack can exceed the boundary.

mod execution;
mod pipelines;

use serde_json::{Value, json};

pub(crate) use execution::may_be_made;

use crate::render::{
    iam::{allow, arn, policy},
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
    boundary(template);
    template.add(
        "ReadPolicy",
        "AWS::IAM::ManagedPolicy",
        json!({
            "ManagedPolicyName": "taskhub-read",
            "Description": "Looks at everything but secrets and data",
            "PolicyDocument": policy(vec![
                allow(json!(READ), json!("*")),
                allow(json!(["s3:GetObject", "s3:ListBucket"]), state(&["", "/*"])),
                allow(json!(["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]), json!(arn("ssm", "parameter/taskhub/*"))),
                allow(json!("kms:Decrypt"), json!(attribute("Key", "Arn"))),
            ]),
        }),
    );
    execution::add(template);
    pipelines::add(template);
    read_role(template);
}

/// The most that a role of a stack can be allowed, whatever its own policy says.
fn boundary(template: &mut Template) {
    let mut decrypt = allow(
        json!([
            "kms:CreateGrant",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKey*",
            "kms:ReEncrypt*"
        ]),
        json!(attribute("Key", "Arn")),
    );
    decrypt["Condition"] = json!({"StringLike": {"kms:ViaService": [
        sub("secretsmanager.${AWS::Region}.${AWS::URLSuffix}"),
        sub("rds.${AWS::Region}.${AWS::URLSuffix}"),
        sub("backup.${AWS::Region}.${AWS::URLSuffix}"),
    ]}});
    let statements = vec![
        allow(json!("ecr:GetAuthorizationToken"), json!("*")),
        allow(
            json!([
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer"
            ]),
            json!(attribute("Repository", "Arn")),
        ),
        allow(
            json!([
                "logs:CreateLogGroup",
                "logs:CreateLogStream",
                "logs:Describe*",
                "logs:GetLogEvents",
                "logs:PutLogEvents",
                "logs:PutRetentionPolicy"
            ]),
            json!([
                arn("logs", "log-group:/taskhub/*"),
                arn("logs", "log-group:RDS*")
            ]),
        ),
        allow(
            json!([
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue"
            ]),
            json!(arn("secretsmanager", "secret:taskhub/*")),
        ),
        decrypt,
        allow(
            json!([
                "rds:AddTagsToResource",
                "rds:CopyDBSnapshot",
                "rds:CreateDBSnapshot",
                "rds:DeleteDBSnapshot",
                "rds:Describe*",
                "rds:ListTagsForResource",
                "rds:ModifyDBInstance"
            ]),
            json!([arn("rds", "db:taskhub-*"), arn("rds", "snapshot:*")]),
        ),
        allow(
            json!([
                "backup:CopyIntoBackupVault",
                "backup:DescribeBackupVault",
                "backup:CopyFromBackupVault"
            ]),
            json!(arn("backup", "backup-vault:taskhub-*")),
        ),
        allow(json!("tag:GetResources"), json!("*")),
    ];
    template.add(
        "Boundary",
        "AWS::IAM::ManagedPolicy",
        json!({
            "ManagedPolicyName": "taskhub-boundary",
            "Description": "The most that a role of TaskHub can be allowed",
            "PolicyDocument": policy(statements),
        }),
    );
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
        }),
    );
}

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
fn pass(roles: Value, services: &[&str]) -> Value {
    let mut statement = allow(json!("iam:PassRole"), roles);
    statement["Condition"] = json!({"StringEquals": {"iam:PassedToService": services}});
    statement
}
