//! The contract's secrets. Whoever verifies need not be allowed to read them.

use aws_sdk_secretsmanager::{Client, operation::describe_secret::DescribeSecretOutput};

use super::checks::Check;
use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
    },
    contract::SECRETS,
    environments::Name,
};

/// One check for each secret.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn all(account: &Account) -> anyhow::Result<Vec<Check>> {
    let client = Client::new(&account.config);
    let mut checks = Vec::new();
    for secret in SECRETS {
        let name = format!("taskhub/{}/{}", account.environment().name, secret.name);
        let answer = client.describe_secret().secret_id(&name).send().await;
        let wrong = match answer {
            Ok(described) => {
                // Those that come from the operator; the stack fills in all others.
                let is_given = secret.holds.contains(&"MAIL_URL");
                wrong_with(&described, is_given, account.environment().name)
            }
            Err(error) if code(&error) == "ResourceNotFoundException" => {
                Some("is not there: deploy the data stack".to_owned())
            }
            Err(error) => return Err(explained(&format!("looking at the secret {name}"), error)),
        };
        checks.push(Check::of(format!("secret {name}"), wrong));
    }
    Ok(checks)
}

fn wrong_with(
    described: &DescribeSecretOutput,
    is_given: bool,
    environment: Name,
) -> Option<String> {
    if described.deleted_date.is_some() {
        return Some(
            "is about to be deleted: `aws secretsmanager restore-secret` takes that back"
                .to_owned(),
        );
    }
    let stages: Vec<&String> = described
        .version_ids_to_stages
        .iter()
        .flatten()
        .flat_map(|(_, stages)| stages)
        .collect();
    let has = |stage: &str| stages.iter().any(|name| *name == stage);
    if !has("AWSCURRENT") {
        return Some("has no value".to_owned());
    }
    let versions = described.version_ids_to_stages.iter().flatten();
    let pending = versions
        .filter(|(_, stages)| stages.iter().any(|stage| stage == "AWSPENDING"))
        .any(|(_, stages)| !stages.iter().any(|stage| stage == "AWSCURRENT"));
    if pending {
        return Some("is being rotated: wait for its end, or take AWSPENDING away".to_owned());
    }
    // The stack makes it empty; whatever is put in later leaves a former version behind.
    (is_given && !has("AWSPREVIOUS")).then(|| {
        format!(
            "is as empty as the stack made it: `cargo xtask secrets put --env {environment} mail MAIL_URL`"
        )
    })
}
