//! The data stack: what must not be lost, the secrets that lead to it, and who is told when it suffers.

mod backup;
mod cache;
mod database;
mod secrets;

use serde_json::{Value, json};

use super::template::{Intrinsic, Stack, Template, reference, secret_arn};
use crate::{contract::SECRETS, environments::Environment};

/// What other stacks lend.
struct Imports {
    key: Intrinsic,
    boundary: Intrinsic,
    topic: Intrinsic,
    subnets: Intrinsic,
    database_group: Intrinsic,
    cache_group: Intrinsic,
}

pub(crate) fn stack(environment: &Environment) -> Template {
    let mut template = Template::new(
        Stack::Data,
        Some(environment.name),
        "PostgreSQL, Valkey and the secrets that lead to them",
    );
    let imports = Imports {
        key: template.import(Stack::Bootstrap, "key-arn"),
        boundary: template.import(Stack::Bootstrap, "boundary-arn"),
        topic: template.import(Stack::Bootstrap, "topic-arn"),
        subnets: template.import(Stack::Network, "data-subnets"),
        database_group: template.import(Stack::Network, "database-security-group"),
        cache_group: template.import(Stack::Network, "cache-security-group"),
    };
    secrets::add(&mut template, environment, &imports);
    database::add(&mut template, environment, &imports);
    cache::add(&mut template, environment, &imports);
    if environment.database.backup_plan {
        backup::add(&mut template, environment, &imports);
    }
    for secret in SECRETS {
        template.export(&secret.parameter(), &secret_arn(secret.resource));
    }
    template.export("database", &reference("Database"));
    template.export("cache", &reference("Cache"));
    template
}

/// Forbids what loses data, whoever updates the stack. It is laid on the stack, not part of the template.
pub(crate) fn stack_policy() -> Value {
    let kept = [
        "AWS::RDS::DBInstance",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::SecretsManager::Secret",
        "AWS::Backup::BackupVault",
    ];
    json!({
        "Statement": [
            {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": ["Update:Replace", "Update:Delete"],
                "Principal": "*",
                "Resource": "*",
                "Condition": {"StringEquals": {"ResourceType": kept}},
            },
        ],
    })
}
