//! The ledger: what was released, when, by whom, and what came of it. One folder of the state bucket for each
//! release, `releases/<environment>/<id>/`.

pub(crate) use super::release::{Outcome, Release};
use super::{account::Account, state};

fn folder(account: &Account) -> String {
    format!("releases/{}/", account.environment().name)
}

/// Writes what is known of a release.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn record(
    account: &Account,
    bucket: &str,
    release: &Release,
) -> anyhow::Result<()> {
    let key = format!("{}{}/release.json", folder(account), release.id);
    state::put(
        account,
        bucket,
        &key,
        serde_json::to_string_pretty(release)?,
    )
    .await
}

/// Keeps the service stack's template, which a rollback applies again.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn keep_template(
    account: &Account,
    bucket: &str,
    id: &str,
    template: String,
) -> anyhow::Result<()> {
    let key = format!("{}{id}/service.template.json", folder(account));
    state::put(account, bucket, &key, template).await
}

/// The service stack's template of a release.
///
/// # Errors
/// Where the ledger does not have it.
pub(crate) async fn template(
    account: &Account,
    bucket: &str,
    id: &str,
) -> anyhow::Result<serde_json::Value> {
    let key = format!("{}{id}/service.template.json", folder(account));
    let found = state::get(account, bucket, &key).await?;
    let (text, _) = found.ok_or_else(|| anyhow::anyhow!("s3://{bucket}/{key} is not there"))?;
    Ok(serde_json::from_str(&text)?)
}

/// The newest releases, newest first.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn newest(
    account: &Account,
    bucket: &str,
    limit: usize,
) -> anyhow::Result<Vec<Release>> {
    let prefix = folder(account);
    let mut ids = state::folders(account, bucket, &prefix).await?;
    ids.sort();
    let mut releases = Vec::new();
    for id in ids.iter().rev().take(limit) {
        let key = format!("{prefix}{id}/release.json");
        if let Some((text, _)) = state::get(account, bucket, &key).await? {
            releases.push(serde_json::from_str(&text)?);
        }
    }
    Ok(releases)
}
