//! A secret as Secrets Manager has it. Its content is never shown.

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
    },
    exit::{Exit, Failed},
};

/// One version, without its value.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    pub(super) id: String,
    /// `AWSCURRENT`, …
    pub(super) stages: Vec<String>,
    pub(super) created: Option<DateTime<Utc>>,
    /// The day of it.
    last_read: Option<DateTime<Utc>>,
}

impl Version {
    /// When, what it is and when it was last read.
    pub(super) fn line(&self) -> String {
        let day = |time: Option<DateTime<Utc>>| {
            time.map_or_else(|| "-".to_owned(), |time| time.format("%F").to_string())
        };
        let created = self.created.map(|time| time.format("%F %H:%M:%S UTC"));
        let created = created.map_or_else(|| "-".to_owned(), |time| time.to_string());
        format!(
            "  {created}  {}  {}  last read {}",
            self.id,
            self.stages.join(", "),
            day(self.last_read)
        )
    }
}

/// The content of the current version.
pub(super) struct Current {
    pub(super) id: String,
    pub(super) content: Map<String, Value>,
}

/// `taskhub/staging/app`.
pub(super) fn name(account: &Account, secret: &str) -> String {
    format!("taskhub/{}/{secret}", account.environment().name)
}

/// # Errors
/// [`Exit::Refused`] where the secret is not there or is no JSON object.
pub(super) async fn current(account: &Account, name: &str) -> anyhow::Result<Current> {
    let client = Client::new(&account.config);
    let answer = client.get_secret_value().secret_id(name).send().await;
    let answer = answer.map_err(|error| absent_or("reading", name, error))?;
    let text = answer.secret_string.unwrap_or_default();
    // The parser's message would show a piece of the text.
    let content = serde_json::from_str(&text).map_err(|_| {
        Failed::because(
            Exit::Refused,
            format!("{name} is no JSON object: it is not touched"),
        )
    })?;
    Ok(Current {
        id: answer.version_id.unwrap_or_default(),
        content,
    })
}

/// Makes `content` the current version, which bears `label` too, and gives the version's id.
///
/// # Errors
/// Where AWS does not take it.
pub(super) async fn put(
    account: &Account,
    name: &str,
    content: Map<String, Value>,
    label: Option<&str>,
) -> anyhow::Result<String> {
    let stages = ["AWSCURRENT"].into_iter().chain(label);
    let answer = Client::new(&account.config)
        .put_secret_value()
        .secret_id(name)
        .secret_string(Value::Object(content).to_string())
        .set_version_stages(Some(stages.map(str::to_owned).collect()))
        .send()
        .await
        .map_err(|error| absent_or("writing", name, error))?;
    Ok(answer.version_id.unwrap_or_default())
}

/// Makes a former version the current one again.
///
/// # Errors
/// Where AWS does not take it.
pub(super) async fn put_back(
    account: &Account,
    name: &str,
    from: &str,
    to: &str,
) -> anyhow::Result<()> {
    Client::new(&account.config)
        .update_secret_version_stage()
        .secret_id(name)
        .version_stage("AWSCURRENT")
        .remove_from_version_id(from)
        .move_to_version_id(to)
        .send()
        .await
        .map_err(|error| absent_or("taking back", name, error))?;
    Ok(())
}

/// The newest first.
///
/// # Errors
/// Where AWS does not say.
pub(super) async fn versions(account: &Account, name: &str) -> anyhow::Result<Vec<Version>> {
    let client = Client::new(&account.config);
    let mut found = Vec::new();
    let mut token = None;
    loop {
        let answer = client
            .list_secret_version_ids()
            .secret_id(name)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| absent_or("listing the versions of", name, error))?;
        for version in answer.versions.unwrap_or_default() {
            let time = |time: Option<aws_sdk_secretsmanager::primitives::DateTime>| {
                time.and_then(|time| DateTime::from_timestamp(time.secs(), 0))
            };
            found.push(Version {
                id: version.version_id.unwrap_or_default(),
                stages: version.version_stages.unwrap_or_default(),
                created: time(version.created_date),
                last_read: time(version.last_accessed_date),
            });
        }
        token = answer.next_token;
        if token.is_none() {
            break;
        }
    }
    found.sort_by_key(|version| std::cmp::Reverse(version.created));
    Ok(found)
}

/// A value as Secrets Manager makes it for the stack: letters and digits.
///
/// # Errors
/// Where AWS refuses.
pub(super) async fn fresh(account: &Account, length: i64) -> anyhow::Result<String> {
    let answer = Client::new(&account.config)
        .get_random_password()
        .password_length(length)
        .exclude_punctuation(true)
        .send()
        .await
        .map_err(|error| explained("making a new value", error))?;
    let value = answer.random_password.unwrap_or_default();
    anyhow::ensure!(!value.is_empty(), "Secrets Manager made an empty value");
    Ok(value)
}

fn absent_or<E>(tried: &str, name: &str, error: SdkError<E>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if code(&error) == "ResourceNotFoundException" {
        return Failed::because(
            Exit::Refused,
            format!("{name} is not there: deploy the data stack first"),
        );
    }
    explained(&format!("{tried} the secret {name}"), error)
}
