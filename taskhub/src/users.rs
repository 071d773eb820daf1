//! People and their accounts (table `user_account`).

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Current, Error, Refusal, Result, Violation,
    changes::Actor,
    jobs::{self, Job},
    passwords::{self, Hasher},
    projects,
};

mod credentials;
mod deletion;
mod resets;
mod rules;
mod welcome;

pub(crate) use credentials::{Authenticated, authenticate};
pub use credentials::{PasswordChange, change_password};
pub(crate) use deletion::keep;
pub use deletion::{ERASURE_DELAY, erase, request_deletion};
pub use resets::{
    PasswordReset, RESET_LIFE, ResetCode, new_reset_codes, prune_resets, request_password_reset,
    reset_password,
};
pub use welcome::{Recipient, recipient};

pub use rules::{EMAIL_BYTES, USERNAME_CHARACTERS};

/// A person, as they see themselves.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct User {
    pub id: Uuid,
    /// Never changes, and is never given to another person.
    pub username: String,
    pub email: Option<String>,
    /// An IANA name.
    pub time_zone: String,
    /// One more with each change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What someone who registers writes.
#[derive(Debug)]
pub struct Registration {
    pub username: String,
    pub password: SecretString,
    pub email: Option<String>,
}

/// A registration that keeps every rule, its password hashed.
#[derive(Debug)]
pub struct NewUser {
    username: String,
    email: Option<String>,
    password_hash: SecretString,
}

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct UserChanges {
    pub email: Option<Option<String>>,
    pub time_zone: Option<String>,
}

impl NewUser {
    /// Checks a registration and hashes its password. Needs no database, so that none is held meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every broken rule, [`Error::Busy`] where too many passwords are being hashed.
    pub async fn prepare(hasher: &Hasher, registration: Registration) -> Result<Self> {
        let Registration {
            username,
            password,
            email,
        } = registration;
        let mut violations = Vec::new();
        violations.extend(rules::username(&username));
        violations.extend(email.as_deref().and_then(rules::email));
        let known: Vec<&str> = [Some(username.as_str()), email.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        violations.extend(passwords::violations("/password", &password, &known));
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(Self {
            password_hash: hasher.hash(&password).await?.into(),
            username,
            email,
        })
    }
}

/// Adds a user, with a workspace of their own and its inbox, and greets them where they gave an address.
///
/// # Errors
/// [`Refusal::AlreadyExists`] where the username is taken, be it by an account that was erased.
pub async fn register(
    db: &mut PgConnection,
    new: &NewUser,
    request_id: Option<&str>,
) -> Result<User> {
    let user = sqlx::query_as!(
        User,
        "
        insert into user_account (id, username, email, password_hash) values ($1, $2, $3, $4)
        returning id, username, email, time_zone, version, created_at, updated_at
        ",
        Uuid::now_v7(),
        new.username,
        new.email,
        new.password_hash.expose_secret(),
    )
    .fetch_one(&mut *db)
    .await
    .map_err(taken)?;
    let actor = Actor {
        user_id: user.id,
        request_id: request_id.map(str::to_owned),
    };
    projects::create_personal_workspace(db, user.id, &actor).await?;
    if user.email.is_some() {
        jobs::enqueue(db, &Job::WelcomeEmail { user_id: user.id }).await?;
    }
    Ok(user)
}

/// Whether somebody can have this username.
pub(crate) fn is_username(name: &str) -> bool {
    rules::username(name).is_none()
}

fn taken(error: sqlx::Error) -> Error {
    match error
        .as_database_error()
        .and_then(|error| error.constraint())
    {
        Some("user_account_username_key") => Refusal::AlreadyExists {
            what: "username".to_owned(),
            deleted: None,
        }
        .into(),
        _ => error.into(),
    }
}

/// The account of `user_id`.
///
/// # Errors
/// [`Refusal::NotFound`], also for one that is deleted.
pub async fn get(db: &PgPool, user_id: Uuid) -> Result<User> {
    sqlx::query_as!(
        User,
        "
        select id, username, email, time_zone, version, created_at, updated_at from user_account
        where id = $1 and deleted_at is null
        ",
        user_id,
    )
    .fetch_optional(db)
    .await?
    .ok_or(Refusal::NotFound.into())
}

/// Changes what `changes` names. With `versions`, only where the account is at one of them; without,
/// always. Changes that change nothing leave the version as it is.
///
/// # Errors
/// [`Error::Invalid`] with every broken rule, [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn update(
    db: &mut PgConnection,
    user_id: Uuid,
    changes: &UserChanges,
    versions: &[i64],
) -> Result<User> {
    check(changes)?;
    let before = locked(db, user_id, versions).await?;
    let email = changes
        .email
        .clone()
        .unwrap_or_else(|| before.email.clone());
    let time_zone = changes
        .time_zone
        .clone()
        .unwrap_or_else(|| before.time_zone.clone());
    if email == before.email && time_zone == before.time_zone {
        return Ok(before);
    }
    Ok(sqlx::query_as!(
        User,
        "
        update user_account set email = $2, time_zone = $3, version = version + 1, updated_at = now()
        where id = $1
        returning id, username, email, time_zone, version, created_at, updated_at
        ",
        user_id,
        email,
        time_zone,
    )
    .fetch_one(db)
    .await?)
}

/// The account, held until the transaction ends, if it is at one of `versions` or there are none.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
async fn locked(db: &mut PgConnection, user_id: Uuid, versions: &[i64]) -> Result<User> {
    let user = sqlx::query_as!(
        User,
        "
        select id, username, email, time_zone, version, created_at, updated_at from user_account
        where id = $1 and deleted_at is null
        for no key update
        ",
        user_id,
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or(Refusal::NotFound)?;
    if !versions.is_empty() && !versions.contains(&user.version) {
        return Err(Refusal::VersionMismatch {
            current_version: user.version,
            current: Current::User(Box::new(user)),
        }
        .into());
    }
    Ok(user)
}

fn check(changes: &UserChanges) -> Result<()> {
    let email = changes.email.as_ref().and_then(Option::as_deref);
    let time_zone = changes.time_zone.as_deref();
    let violations: Vec<Violation> = email
        .and_then(rules::email)
        .into_iter()
        .chain(time_zone.and_then(rules::time_zone))
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(violations))
    }
}
