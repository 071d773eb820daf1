//! Forgotten passwords: a code by e-mail, and a new password for it.

use std::time::Duration;

use anyhow::Context;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::rules;
use crate::{
    Error, Result, Violation,
    jobs::{self, Job},
    passwords::{self, Hasher},
    sessions::{self, EndReason},
};

/// How long a code can be used.
pub const RESET_LIFE: Duration = Duration::from_secs(30 * 60);

/// Tells a code from everything else, for people and for secret scanners.
const PREFIX: &str = "thp_";

/// More accounts of one address get no code.
const MAX_ACCOUNTS: i64 = 10;

/// A code, told once, and the account it is for.
#[derive(Debug)]
pub struct ResetCode {
    pub username: String,
    pub code: SecretString,
}

/// A new password in exchange for a code, both checked.
#[derive(Debug)]
pub struct PasswordReset {
    code_hash: [u8; 32],
    user_id: Uuid,
    new_hash: SecretString,
}

/// Has codes sent to `email` for the accounts with that address, if there are any. Does the same and
/// takes as long where there are none: the job finds out.
///
/// # Errors
/// [`Error::Invalid`] where it is no address.
pub async fn request_password_reset(db: &mut PgConnection, email: &str) -> Result<()> {
    if let Some(violation) = rules::email(email) {
        return Err(Error::Invalid(vec![violation]));
    }
    let email = email.to_owned();
    jobs::enqueue(db, &Job::PasswordResetEmail { email }).await?;
    Ok(())
}

/// A new code for each account with this address, in whatever case. Earlier ones stay good: their
/// letters may still be on the way.
///
/// # Errors
/// Where the database fails.
pub async fn new_reset_codes(db: &mut PgConnection, email: &str) -> Result<Vec<ResetCode>> {
    let accounts = sqlx::query!(
        "
        select id, username from user_account
        where lower(email) = lower($1) and deleted_at is null
        order by username
        limit $2
        ",
        email,
        MAX_ACCOUNTS,
    )
    .fetch_all(&mut *db)
    .await?;
    let mut codes = Vec::new();
    for account in accounts {
        let code = random_code()?;
        sqlx::query!(
            "
            insert into password_reset (hash, user_id, expires_at)
            values ($1, $2, now() + make_interval(secs => $3))
            ",
            &hash(&code)[..],
            account.id,
            RESET_LIFE.as_secs_f64(),
        )
        .execute(&mut *db)
        .await?;
        codes.push(ResetCode {
            username: account.username,
            code,
        });
    }
    Ok(codes)
}

impl PasswordReset {
    /// Checks code and password and hashes the password; holds no connection meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every broken rule, among them a code that is wrong, used or too old;
    /// [`Error::Busy`] where too many passwords are being hashed.
    pub async fn prepare(
        db: &PgPool,
        hasher: &Hasher,
        code: &SecretString,
        new: &SecretString,
    ) -> Result<Self> {
        let code_hash = hash(code);
        let account = sqlx::query!(
            "
            select user_account.id, username, email
            from password_reset join user_account on user_account.id = user_id
            where hash = $1 and expires_at > now() and deleted_at is null
            ",
            &code_hash[..],
        )
        .fetch_optional(db)
        .await?
        .ok_or_else(|| Error::Invalid(vec![bad_code()]))?;
        let known: Vec<&str> = [Some(account.username.as_str()), account.email.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let violations = passwords::violations("/new_password", new, &known);
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(Self {
            code_hash,
            user_id: account.id,
            new_hash: hasher.hash(new).await?.into(),
        })
    }
}

/// Sets the new password, ends every session of the account, uses up all its codes, and gives its id.
///
/// # Errors
/// [`Error::Invalid`] where the code has been used since it was checked.
pub async fn reset_password(db: &mut PgConnection, reset: &PasswordReset) -> Result<Uuid> {
    // Whoever deletes the code resets the password; a twin finds none.
    let user_id = sqlx::query_scalar!(
        "
        with used as (
            delete from password_reset where hash = $1 and user_id = $2 and expires_at > now()
            returning user_id
        )
        update user_account set password_hash = $3, version = version + 1, updated_at = now()
        from used
        where user_account.id = used.user_id and deleted_at is null
        returning user_account.id
        ",
        &reset.code_hash[..],
        reset.user_id,
        reset.new_hash.expose_secret(),
    )
    .fetch_optional(&mut *db)
    .await?
    .ok_or_else(|| Error::Invalid(vec![bad_code()]))?;
    sqlx::query!("delete from password_reset where user_id = $1", user_id)
        .execute(&mut *db)
        .await?;
    sessions::end_others(db, user_id, None, EndReason::PasswordReset).await?;
    tracing::info!(%user_id, "a password was reset");
    Ok(user_id)
}

/// Removes up to `limit` codes whose time is over, and tells how many.
///
/// # Errors
/// Where the database fails.
pub async fn prune_resets(db: &PgPool, limit: i64) -> Result<u64> {
    Ok(sqlx::query!(
        "
        delete from password_reset where hash in (
            select hash from password_reset where expires_at < now()
            limit $1
            for update skip locked
        )
        ",
        limit,
    )
    .execute(db)
    .await?
    .rows_affected())
}

fn random_code() -> Result<SecretString> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system has no random numbers")?;
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)).into())
}

/// SHA-256, as it is stored: a code of 256 random bits needs nothing slower.
fn hash(code: &SecretString) -> [u8; 32] {
    Sha256::digest(code.expose_secret()).into()
}

fn bad_code() -> Violation {
    Violation {
        pointer: "/code".to_owned(),
        code: "invalid-code",
        detail: "is wrong, was used or is older than 30 minutes".to_owned(),
    }
}
