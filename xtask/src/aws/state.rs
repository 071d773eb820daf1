//! The state bucket: the lock and the ledger of releases.

use aws_sdk_s3::{Client, primitives::ByteStream};

use super::{
    account::Account,
    errors::{code, explained},
    parameters,
};
use crate::{
    exit::{Exit, Failed},
    render::template::Stack,
};

/// Its name.
///
/// # Errors
/// [`Exit::Refused`] where the account has none yet.
pub(crate) async fn bucket(account: &Account) -> anyhow::Result<String> {
    let kept = parameters::kept(account, Stack::Bootstrap, "state-bucket").await?;
    kept.ok_or_else(|| {
        let name = account.environment().name;
        Failed::because(
            Exit::Refused,
            format!(
                "account {} has no state bucket in {}: `cargo xtask bootstrap --env {name}` makes it",
                account.id,
                account.environment().region
            ),
        )
    })
}

/// An object's text and its version, or nothing where it is not there.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn get(
    account: &Account,
    bucket: &str,
    key: &str,
) -> anyhow::Result<Option<(String, String)>> {
    let answer = Client::new(&account.config)
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if code(&error) == "NoSuchKey" => return Ok(None),
        Err(error) => return Err(explained(&format!("reading s3://{bucket}/{key}"), error)),
    };
    let tag = answer.e_tag.unwrap_or_default();
    let bytes = answer.body.collect().await?.into_bytes();
    Ok(Some((String::from_utf8(bytes.to_vec())?, tag)))
}

/// Writes an object.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn put(
    account: &Account,
    bucket: &str,
    key: &str,
    text: String,
) -> anyhow::Result<()> {
    Client::new(&account.config)
        .put_object()
        .bucket(bucket)
        .key(key)
        .content_type("application/json")
        .body(ByteStream::from(text.into_bytes()))
        .send()
        .await
        .map_err(|error| explained(&format!("writing s3://{bucket}/{key}"), error))?;
    Ok(())
}

/// The folders directly below `prefix`, in order.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn folders(
    account: &Account,
    bucket: &str,
    prefix: &str,
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pages = Client::new(&account.config)
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .delimiter("/")
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| explained(&format!("listing s3://{bucket}/{prefix}"), error))?;
        for folder in page.common_prefixes.unwrap_or_default() {
            let path = folder.prefix.unwrap_or_default();
            let name = path.trim_start_matches(prefix).trim_end_matches('/');
            found.push(name.to_owned());
        }
    }
    Ok(found)
}
