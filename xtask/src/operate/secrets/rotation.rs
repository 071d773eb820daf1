//! New values for the secrets that are generated, without a failed request.

use std::{io::Write, time::Duration};

use anyhow::Context;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Rotating,
    phases::{Lives, Phase},
    stored,
};
use crate::{
    aws::{account::Account, lock, state, until},
    contract::{Task, other_role, settings},
    exit::{self, Exit, Failed},
    operate::deploy::{
        OnInterrupt, Rolling,
        log::Log,
        migration,
        session::{Place, Session},
    },
    progress::say,
    signals::Signals,
};

/// On the version in which `JWT_SECRET_PREVIOUS` is the next key and not the former one.
const ANNOUNCED: &str = "taskhub-announced";

/// The signing key, and PostgreSQL's password of the services, as long as the data stack makes them.
const KEY_LENGTH: i64 = 64;
const PASSWORD_LENGTH: i64 = 48;

/// Between two lines about a long wait.
const TELL: Duration = Duration::from_secs(60);

/// Whether this verb can rotate it.
///
/// # Errors
/// In words, with what can be done instead.
pub(super) fn may_be_rotated(secret: &str) -> Result<(), String> {
    match secret {
        "app" | "database-service" => Ok(()),
        "mail" => Err(
            "mail is the mail server's: make a new password there, then \
                       `cargo xtask secrets put`"
                .to_owned(),
        ),
        "cache" | "cache-password" | "database-owner" => Err(format!(
            "{secret} is set by CloudFormation when the data stack changes: docs/operations.md tells how it is rotated"
        )),
        _ => Err(format!(
            "there is no secret {secret} to rotate; there are app, database-service"
        )),
    }
}

pub(super) async fn rotate(rotating: &Rotating, signals: &Signals) -> anyhow::Result<()> {
    let account = until(signals, Account::open(&rotating.access)).await?;
    let bucket = until(signals, state::bucket(&account)).await?;
    if rotating.secret == "database-service" {
        return password(rotating, signals, &account, &bucket).await;
    }
    let lives = lives(&account)?;
    loop {
        let why = "rotating the key that signs access tokens";
        let patience = Duration::from_secs(rotating.lock_wait);
        let (phase, left) = lock::during(&account, &bucket, why, patience, signals, async |_| {
            key(&account, lives).await
        })
        .await?;
        say(format_args!("app: {}", phase.as_str()));
        let is_done = phase == Phase::Steady;
        if is_done || rotating.no_wait {
            return tell(rotating, phase.as_str(), (!is_done).then_some(left));
        }
        until(signals, wait(left)).await?;
    }
}

fn tell(rotating: &Rotating, stands: &str, left: Option<Duration>) -> anyhow::Result<()> {
    if let Some(left) = left {
        say(format_args!(
            "the same command goes on in {} s or later",
            left.as_secs()
        ));
    }
    if rotating.access.json {
        let whole = json!({
            "environment": rotating.access.environment.as_str(),
            "secret": rotating.secret,
            "stands": stands,
            "done": left.is_none(),
            "next_in_seconds": left.map(|left| left.as_secs()),
        });
        writeln!(std::io::stdout(), "{whole}")?;
    }
    Ok(())
}

async fn wait(left: Duration) -> anyhow::Result<()> {
    let mut left = left;
    while !left.is_zero() {
        say(format_args!(
            "            {} s until every process and token has it; interrupted, the same command goes on",
            left.as_secs()
        ));
        let now = left.min(TELL);
        sleep(now).await;
        left -= now;
    }
    Ok(())
}

/// As the API is told.
fn lives(account: &Account) -> anyhow::Result<Lives> {
    let settings = settings(Task::Api, account.environment())?;
    let seconds = |name: &str| -> anyhow::Result<Duration> {
        let text = settings.get(name).map(String::as_str).unwrap_or_default();
        Ok(Duration::from_secs(text.parse()?))
    };
    Ok(Lives {
        refresh: seconds("SECRETS_REFRESH_SECONDS")?,
        token: seconds("ACCESS_TOKEN_SECONDS")?,
    })
}

/// Does the next step of the signing key where it is due: the phase afterwards, and how long it must last.
async fn key(account: &Account, lives: Lives) -> anyhow::Result<(Phase, Duration)> {
    let name = stored::name(account, "app");
    let mut current = stored::current(account, &name).await?;
    let versions = stored::versions(account, &name).await?;
    let version = versions.iter().find(|version| version.id == current.id);
    let is_announced = version.is_some_and(|version| {
        let mut stages = version.stages.iter();
        stages.any(|stage| stage == ANNOUNCED)
    });
    let phase = Phase::of(&current.content, is_announced);
    let created = version.and_then(|version| version.created);
    let age = created.and_then(|created| (Utc::now() - created).to_std().ok());
    let left = phase.least(lives).saturating_sub(age.unwrap_or_default());
    if !left.is_zero() {
        return Ok((phase, left));
    }
    let fresh = match phase {
        Phase::Steady => stored::fresh(account, KEY_LENGTH).await?,
        Phase::Announced | Phase::Exchanged => String::new(),
    };
    let next = phase.advance(&mut current.content, &fresh);
    let label = (next == Phase::Announced).then_some(ANNOUNCED);
    stored::put(account, &name, current.content, label).await?;
    Ok((next, next.least(lives)))
}

/// Another role for API and worker, with a new password, which the migration makes. The former role can sign in until
/// the rotation after this one, so nobody is refused until every program has read the secret.
async fn password(
    rotating: &Rotating,
    signals: &Signals,
    account: &Account,
    bucket: &str,
) -> anyhow::Result<()> {
    let log = Log::new(rotating.access.json, 2);
    let rolling = Rolling {
        lock_wait: rotating.lock_wait,
        timeout: None,
        on_interrupt: OnInterrupt::Detach,
        url: None,
        alarms_known: true,
    };
    let place = Place {
        account,
        bucket,
        log: &log,
        rolling: &rolling,
        signals,
    };
    let id = format!("rotate-{}", Utc::now().format("%Y%m%dT%H%M%SZ"));
    let why = "rotating the services' password of the database";
    place
        .locked(why, &id, async |session| {
            log.step("rotate", exchanged(session, &id)).await
        })
        .await?;
    let refresh = lives(account)?.refresh.as_secs();
    say(format_args!(
        "API and worker sign in with it once they have read the secret, within {refresh} s; the former role can until the next \
         rotation"
    ));
    tell(rotating, "PostgreSQL has the new role", None)
}

async fn exchanged(session: &Session<'_>, id: &str) -> anyhow::Result<()> {
    let account = session.account;
    let name = stored::name(account, "database-service");
    let mut current = stored::current(account, &name).await?;
    let fresh = stored::fresh(account, PASSWORD_LENGTH).await?;
    let role = current.content.get("username").and_then(Value::as_str);
    let role = role.context("the secret names no role")?;
    let values = [("username", other_role(role)), ("password", fresh)];
    for (key, value) in values {
        current.content.insert(key.to_owned(), Value::String(value));
    }
    session.lock.is_held()?;
    let new = stored::put(account, &name, current.content, None).await?;
    let Err(error) = migration::run(session, id).await else {
        return Ok(());
    };
    if exit::of(&error) == Exit::MigrationFailed {
        // The role is made in the last statement, if at all.
        stored::put_back(account, &name, &new, &current.id).await?;
        return Err(Failed::because(
            Exit::MigrationFailed,
            format!("{error:#}; the former role is in the secret again"),
        ));
    }
    Err(error)
}
