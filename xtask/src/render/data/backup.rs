//! Recovery points of the database in AWS Backup, which outlive the instance.

use serde_json::json;

use super::Imports;
use crate::{
    environments::Environment,
    render::{
        iam,
        template::{Template, attribute, reference, sub},
    },
};

/// Days for which a daily recovery point is kept.
const DAYS: u32 = 35;

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    let name = format!("taskhub-{}", environment.name);
    template
        .add(
            "BackupVault",
            "AWS::Backup::BackupVault",
            json!({"BackupVaultName": name, "EncryptionKeyArn": imports.key}),
        )
        .retained();
    plan(template, &name);
    role(template, &name, imports);
    template.add(
        "BackupSelection",
        "AWS::Backup::BackupSelection",
        json!({
            "BackupPlanId": reference("BackupPlan"),
            "BackupSelection": {
                "SelectionName": name,
                "IamRoleArn": attribute("BackupRole", "Arn"),
                "Resources": [attribute("Database", "DBInstanceArn")],
            },
        }),
    );
}

fn plan(template: &mut Template, name: &str) {
    template.add(
        "BackupPlan",
        "AWS::Backup::BackupPlan",
        json!({
            "BackupPlan": {
                "BackupPlanName": name,
                "BackupPlanRule": [{
                    "RuleName": "daily",
                    "TargetBackupVault": reference("BackupVault"),
                    "ScheduleExpression": "cron(0 4 * * ? *)",
                    "StartWindowMinutes": 60,
                    "CompletionWindowMinutes": 360,
                    "Lifecycle": {"DeleteAfterDays": DAYS},
                }],
            },
        }),
    );
}

fn role(template: &mut Template, name: &str, imports: &Imports) {
    let managed =
        "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup";
    template.add(
        "BackupRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": format!("{name}-backup"),
            "PermissionsBoundary": imports.boundary,
            "AssumeRolePolicyDocument": iam::policy(vec![json!({
                // Backup does not say for which of its resources it asks.
                "Effect": "Allow",
                "Principal": {"Service": "backup.amazonaws.com"},
                "Action": "sts:AssumeRole",
            })]),
            "ManagedPolicyArns": [sub(managed)],
        }),
    );
}
