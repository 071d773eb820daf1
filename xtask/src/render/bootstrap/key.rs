//! The one key of the account's TaskHub.

use serde_json::{Value, json};

use crate::render::{
    iam,
    template::{Template, reference, sub},
};

/// What needs it, and for what it may.
const READ_AND_WRITE: &[&str] = &[
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:ReEncrypt*",
];

pub(super) fn add(template: &mut Template) {
    template
        .add(
            "Key",
            "AWS::KMS::Key",
            json!({
                "Description": "Everything that TaskHub keeps",
                "EnableKeyRotation": true,
                "PendingWindowInDays": 30,
                "KeyPolicy": iam::policy(vec![account(), logs(), publishers(), rules()]),
            }),
        )
        .retained();
    template.add(
        "KeyAlias",
        "AWS::KMS::Alias",
        json!({"AliasName": "alias/taskhub", "TargetKeyId": reference("Key")}),
    );
}

/// The account's own policies decide; without this nobody could change the key any more.
fn account() -> Value {
    json!({
        "Sid": "Account",
        "Effect": "Allow",
        "Principal": {"AWS": sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
        "Action": "kms:*",
        "Resource": "*",
    })
}

fn logs() -> Value {
    json!({
        "Sid": "Logs",
        "Effect": "Allow",
        "Principal": {"Service": sub("logs.${AWS::Region}.${AWS::URLSuffix}")},
        "Action": READ_AND_WRITE,
        "Resource": "*",
        "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": iam::arn("logs", "log-group:*")}},
    })
}

/// What publishes to the operators' topic.
fn publishers() -> Value {
    json!({
        "Sid": "Publishers",
        "Effect": "Allow",
        "Principal": {"Service": [
            "budgets.amazonaws.com",
            "cloudwatch.amazonaws.com",
            "events.rds.amazonaws.com",
        ]},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": reference("AWS::AccountId")}},
    })
}

/// `EventBridge` publishes too, but does not say for whom: with a condition its messages would be lost silently.
fn rules() -> Value {
    json!({
        "Sid": "Rules",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
    })
}
