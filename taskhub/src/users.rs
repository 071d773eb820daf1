//! People and their accounts (table `user_account`).

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use email_address::{EmailAddress, Options};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Error, Refusal, Result, Violation,
    changes::Actor,
    jobs::{self, Job},
    passwords::{self, Hasher},
    projects,
    sessions::{self, EndReason},
};

mod deletion;

pub(crate) use deletion::keep;
pub use deletion::{ERASURE_DELAY, erase, request_deletion};

/// RFC 5321, 4.5.3.1.3, less the angle brackets of a path.
const MAX_EMAIL_LENGTH: usize = 254;

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
    password_hash: String,
}

/// Someone who knew the password.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) password_hash: String,
}

/// A new password in place of the current one, both checked.
#[derive(Debug)]
pub struct PasswordChange {
    current_hash: String,
    new_hash: String,
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
        violations.extend(username_violation(&username));
        violations.extend(email.as_deref().and_then(email_violation));
        let known: Vec<&str> = [Some(username.as_str()), email.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        violations.extend(passwords::violations("/password", &password, &known));
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(Self {
            password_hash: hasher.hash(&password).await?,
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
        new.password_hash,
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
    tracing::info!(user_id = %user.id, "registered");
    Ok(user)
}

fn taken(error: sqlx::Error) -> Error {
    match error
        .as_database_error()
        .and_then(|error| error.constraint())
    {
        Some("user_account_username_key") => Refusal::AlreadyExists {
            what: "username".to_owned(),
        }
        .into(),
        _ => error.into(),
    }
}

/// Who has this username and password. Takes as long where nobody has, and holds no connection while
/// the password is checked.
///
/// # Errors
/// [`Error::InvalidLogin`], and [`Error::Busy`] where too many passwords are being checked.
pub(crate) async fn authenticate(
    db: &PgPool,
    hasher: &Hasher,
    username: &str,
    password: &SecretString,
) -> Result<Authenticated> {
    let account = sqlx::query!(
        r#"select id, password_hash as "password_hash!" from user_account where username = $1 and erased_at is null"#,
        username,
    )
    .fetch_optional(db)
    .await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.as_str());
    let right = hasher.verify(password, hash).await?;
    let Some(account) = account.filter(|_| right) else {
        tracing::info!("a sign-in was refused");
        return Err(Error::InvalidLogin);
    };
    Ok(Authenticated {
        user_id: account.id,
        username: username.to_owned(),
        password_hash: renew(db, hasher, account.id, password, account.password_hash).await?,
    })
}

/// The account's hash, made with the present cost where it was not, and stored.
async fn renew(
    db: &PgPool,
    hasher: &Hasher,
    user_id: Uuid,
    password: &SecretString,
    hash: String,
) -> Result<String> {
    if !hasher.is_outdated(&hash) {
        return Ok(hash);
    }
    let renewed = hasher.hash(password).await?;
    // Not where the password was changed meanwhile.
    sqlx::query!(
        "update user_account set password_hash = $3 where id = $1 and password_hash = $2",
        user_id,
        hash,
        renewed,
    )
    .execute(db)
    .await?;
    Ok(renewed)
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
    let before = sqlx::query_as!(
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
    if !versions.is_empty() && !versions.contains(&before.version) {
        return Err(Refusal::VersionMismatch {
            current_version: before.version,
            current: serde_json::to_value(&before).map_err(anyhow::Error::from)?,
        }
        .into());
    }
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

fn check(changes: &UserChanges) -> Result<()> {
    let email = changes.email.as_ref().and_then(Option::as_deref);
    let time_zone = changes.time_zone.as_deref();
    let violations: Vec<Violation> = email
        .and_then(email_violation)
        .into_iter()
        .chain(time_zone.and_then(time_zone_violation))
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(violations))
    }
}

impl PasswordChange {
    /// Checks both passwords and hashes the new one; holds no connection meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every broken rule, among them a wrong current password;
    /// [`Refusal::NotFound`]; [`Error::Busy`] where too many passwords are being hashed.
    pub async fn prepare(
        db: &PgPool,
        hasher: &Hasher,
        user_id: Uuid,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<Self> {
        let account = sqlx::query!(
            r#"
            select username, email, password_hash as "password_hash!" from user_account
            where id = $1 and deleted_at is null
            "#,
            user_id,
        )
        .fetch_optional(db)
        .await?
        .ok_or(Refusal::NotFound)?;
        let known: Vec<&str> = [Some(account.username.as_str()), account.email.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let mut violations = passwords::violations("/new_password", new, &known);
        if !hasher.verify(current, Some(&account.password_hash)).await? {
            tracing::info!(%user_id, "a change of password was refused");
            violations.push(wrong_password());
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(Self {
            current_hash: account.password_hash,
            new_hash: hasher.hash(new).await?,
        })
    }
}

/// Carries out a change of password and ends every session but `session_id`.
///
/// # Errors
/// [`Error::Invalid`] where the password has been changed since it was checked.
pub async fn change_password(
    db: &mut PgConnection,
    user_id: Uuid,
    session_id: Uuid,
    change: &PasswordChange,
) -> Result<()> {
    let done = sqlx::query!(
        "
        update user_account set password_hash = $3, version = version + 1, updated_at = now()
        where id = $1 and password_hash = $2
        ",
        user_id,
        change.current_hash,
        change.new_hash,
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::Invalid(vec![wrong_password()]));
    }
    sessions::end_others(db, user_id, Some(session_id), EndReason::PasswordChanged).await?;
    tracing::info!(%user_id, "the password was changed");
    Ok(())
}

fn wrong_password() -> Violation {
    Violation {
        pointer: "/current_password".to_owned(),
        code: "wrong-password",
        detail: "is not the current password".to_owned(),
    }
}

fn username_violation(username: &str) -> Option<Violation> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    let valid = (3..=50).contains(&username.len()) && username.bytes().all(allowed);
    (!valid).then(|| Violation {
        pointer: "/username".to_owned(),
        code: "invalid-username",
        detail: "must be 3 to 50 of the characters a-z, 0-9, `_`, `.` and `-`".to_owned(),
    })
}

/// Whether mail can be addressed to it (RFC 5321); that somebody reads it there is another question.
fn email_violation(email: &str) -> Option<Violation> {
    let options = Options::default()
        .without_display_text()
        .without_domain_literal();
    let valid = email.len() <= MAX_EMAIL_LENGTH
        // A quoted local part may hold almost anything, for the sake of nobody.
        && !email.contains(|character: char| character == '"' || character.is_control() || character.is_whitespace())
        && EmailAddress::parse_with_options(email, options).is_ok();
    (!valid).then(|| Violation {
        pointer: "/email".to_owned(),
        code: "invalid-email",
        detail: format!("must be an e-mail address of at most {MAX_EMAIL_LENGTH} bytes"),
    })
}

fn time_zone_violation(name: &str) -> Option<Violation> {
    name.parse::<Tz>().is_err().then(|| Violation {
        pointer: "/time_zone".to_owned(),
        code: "unknown-time-zone",
        detail: "must be the name of an IANA time zone, such as Europe/Vienna".to_owned(),
    })
}
