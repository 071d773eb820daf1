//! The most that a role of a stack can be allowed, whatever its own policy says.

use serde_json::{Value, json};

use crate::render::{
    iam::{PULL, READ_SECRET, allow, arn, policy, when},
    template::{Template, attribute, sub},
};

pub(super) fn add(template: &mut Template) {
    let mut statements = tasks();
    statements.extend(database());
    statements.push(key());
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

fn tasks() -> Vec<Value> {
    const LOG: &[&str] = &[
        "logs:CreateLogGroup",
        "logs:CreateLogStream",
        "logs:Describe*",
        "logs:GetLogEvents",
        "logs:PutLogEvents",
        "logs:PutRetentionPolicy",
    ];
    let groups = [
        arn("logs", "log-group:/taskhub/*"),
        // RDS's enhanced monitoring.
        arn("logs", "log-group:RDS*"),
    ];
    vec![
        allow(&["ecr:GetAuthorizationToken"], "*"),
        allow(PULL, attribute("Repository", "Arn")),
        allow(LOG, groups),
        allow(READ_SECRET, arn("secretsmanager", "secret:taskhub/*")),
    ]
}

/// What AWS Backup does with the database.
fn database() -> Vec<Value> {
    const SNAPSHOT: &[&str] = &[
        "rds:AddTagsToResource",
        "rds:CopyDBSnapshot",
        "rds:CreateDBSnapshot",
        "rds:DeleteDBSnapshot",
        "rds:Describe*",
        "rds:ListTagsForResource",
        "rds:ModifyDBInstance",
    ];
    const VAULT: &[&str] = &[
        "backup:CopyFromBackupVault",
        "backup:CopyIntoBackupVault",
        "backup:DescribeBackupVault",
    ];
    vec![
        allow(
            SNAPSHOT,
            [arn("rds", "db:taskhub-*"), arn("rds", "snapshot:*")],
        ),
        allow(VAULT, arn("backup", "backup-vault:taskhub-*")),
        allow(&["tag:GetResources"], "*"),
    ]
}

/// Through these services alone.
fn key() -> Value {
    const USE: &[&str] = &[
        "kms:CreateGrant",
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:GenerateDataKey*",
        "kms:ReEncrypt*",
    ];
    let services = ["backup", "rds", "secretsmanager"]
        .map(|service| sub(format!("{service}.${{AWS::Region}}.${{AWS::URLSuffix}}")));
    when(
        allow(USE, attribute("Key", "Arn")),
        json!({"StringEquals": {"kms:ViaService": services}}),
    )
}
