//! What is there, and what becomes of it.

use serde::Serialize;
use serde_json::Value;

use crate::{
    aws::{account::Account, stacks},
    progress::say,
    render::template::Stack,
};

/// In the order in which they go: each needs those after it.
const ORDER: [Stack; 5] = [
    Stack::Service,
    Stack::Migrate,
    Stack::Platform,
    Stack::Data,
    Stack::Network,
];

/// Types that hold something which cannot be made again.
const HOLDS: [&str; 5] = [
    "AWS::Backup::BackupVault",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::SecretsManager::Secret",
];

/// A stack that is there.
#[derive(Serialize)]
pub(super) struct Listed {
    #[serde(skip)]
    pub(super) stack: Stack,
    /// `taskhub-staging-data`
    pub(super) name: String,
    pub(super) status: String,
    /// Whether it is deleted this time.
    pub(super) goes: bool,
    /// Resources that outlive it, by their logical ids and types.
    kept: Vec<String>,
    /// Those of which a snapshot stays.
    snapshots: Vec<String>,
    /// Those whose content is lost.
    lost: Vec<String>,
    /// Whether its template protects the database.
    #[serde(skip)]
    pub(super) protects_database: bool,
}

/// Every stack of the environment that is there.
///
/// # Errors
/// Where AWS does not say.
pub(super) async fn list(account: &Account, include_data: bool) -> anyhow::Result<Vec<Listed>> {
    let mut listed: Vec<Listed> = Vec::new();
    for stack in ORDER {
        let name = stack.name(account.environment().name);
        let Some(existing) = stacks::describe(account, &name).await? else {
            continue;
        };
        let has_data = || listed.iter().any(|other| other.stack == Stack::Data);
        let goes = match stack {
            Stack::Data => include_data,
            // Data lives in its subnets.
            Stack::Network => include_data || !has_data(),
            Stack::Bootstrap => false,
            Stack::Platform | Stack::Migrate | Stack::Service => true,
        };
        let template = stacks::template(account, &name).await?;
        listed.push(Listed::of(stack, name, existing.status, goes, &template));
    }
    Ok(listed)
}

impl Listed {
    fn of(stack: Stack, name: String, status: String, goes: bool, template: &Value) -> Self {
        let mut listed = Self {
            stack,
            name,
            status,
            goes,
            kept: Vec::new(),
            snapshots: Vec::new(),
            lost: Vec::new(),
            protects_database: false,
        };
        for (id, resource) in template["Resources"].as_object().into_iter().flatten() {
            let kind = resource["Type"].as_str().unwrap_or_default();
            let what = format!("{id} ({kind})");
            match resource["DeletionPolicy"].as_str() {
                Some(policy) if policy.starts_with("Retain") => listed.kept.push(what),
                Some("Snapshot") => listed.snapshots.push(what),
                _ if HOLDS.contains(&kind) => listed.lost.push(what),
                _ => {}
            }
            listed.protects_database |= resource["Properties"]["DeletionProtection"] == true;
        }
        listed
    }

    pub(super) fn tell(&self) {
        let does = if self.goes { "is deleted" } else { "stays" };
        say(format_args!("{} {does} ({})", self.name, self.status));
        if !self.goes {
            return;
        }
        let lists = [
            ("outlive it", &self.kept),
            ("leave a snapshot", &self.snapshots),
            ("lose what they hold", &self.lost),
        ];
        for (what, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            say(format_args!("  {what}: {}", list.join(", ")));
        }
    }
}
