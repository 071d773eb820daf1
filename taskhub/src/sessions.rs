//! Signed-in devices (tables `session` and `refresh_token`): how they begin, go on and end, and whom an
//! access token stands for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Error, Refusal, Result,
    passwords::Hasher,
    scopes::{Scope, Scopes},
    tokens::{Claims, Keys, RefreshToken},
    users::{self, Authenticated},
};

mod refresh;

pub use refresh::refresh;

/// After which even a session in daily use ends (ASVS 10.4.8).
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// In characters; the rest of a longer one is cut off.
const MAX_USER_AGENT_LENGTH: usize = 300;

/// A signed-in device, as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: Uuid,
    pub user_agent: Option<String>,
    /// Names with spaces between.
    pub scope: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// What someone who signs in shows.
#[derive(Debug)]
pub struct Login {
    pub username: String,
    pub password: SecretString,
    /// What the session may do.
    pub scopes: Scopes,
    /// Whether this username is an operator's, whose sessions may have the scope `admin`.
    pub is_operator: bool,
    pub excess: Excess,
    pub user_agent: Option<String>,
}

/// What happens where somebody asks for a scope that they may not have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Excess {
    #[default]
    Refused,
    /// The session may do the rest, if there is any (RFC 6749, 3.3).
    LeftOut,
}

/// A pair of tokens, told once.
#[derive(Debug)]
pub struct Grant {
    pub session_id: Uuid,
    pub access_token: SecretString,
    pub access_token_expires_in: Duration,
    pub refresh_token: SecretString,
    pub refresh_token_expires_in: Duration,
    pub scopes: Scopes,
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user_id: Uuid,
    pub username: String,
    pub session_id: Uuid,
    pub time_zone: Tz,
    pub scopes: Scopes,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EndReason {
    Logout,
    Revoked,
    PasswordChanged,
    PasswordReset,
    RefreshTokenReused,
    AccountDeleted,
}

impl EndReason {
    /// As it is stored.
    fn name(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Revoked => "revoked",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::AccountDeleted => "account_deleted",
        }
    }
}

/// Signs someone in. An account that waits for its erasure is kept after all.
///
/// # Errors
/// [`Error::InvalidLogin`], [`Error::Busy`] where too many passwords are being checked, and
/// [`Error::Invalid`] at `/scope` where somebody who is no operator asks for the scope `admin` and it is not
/// left out, or nothing is left without it.
pub async fn start(db: &PgPool, hasher: &Hasher, keys: &Keys, login: &Login) -> Result<Grant> {
    // Another sign-in may store the password's hash anew in between.
    for _ in 0..3 {
        let account = users::authenticate(db, hasher, &login.username, &login.password).await?;
        // After the password, so that nobody else learns who the operators are.
        let scopes = granted(login)?;
        if let Some(grant) = open(db, keys, &account, login, &scopes).await? {
            tracing::info!(user_id = %account.user_id, session_id = %grant.session_id, "signed in");
            return Ok(grant);
        }
    }
    Err(Error::InvalidLogin)
}

/// What of the scopes asked for the session gets.
fn granted(login: &Login) -> Result<Scopes> {
    if login.is_operator || !login.scopes.allow(Scope::Admin) {
        return Ok(login.scopes.clone());
    }
    let rest = login.scopes.without(Scope::Admin);
    rest.filter(|_| login.excess == Excess::LeftOut)
        .ok_or_else(|| {
            let detail = "`admin` is for the operators that ADMIN_USERS names";
            Error::invalid("/scope", "not-allowed", detail)
        })
}

/// The session itself; none where the password checked is no longer the account's.
async fn open(
    db: &PgPool,
    keys: &Keys,
    account: &Authenticated,
    login: &Login,
    scopes: &Scopes,
) -> Result<Option<Grant>> {
    let mut transaction = db.begin().await?;
    // The lock makes a change of password end this session too, or prevent it.
    let unchanged = sqlx::query_scalar!(
        r#"
        select deleted_at is not null as "deleted!" from user_account
        where id = $1 and password_hash = $2
        for no key update
        "#,
        account.user_id,
        account.password_hash.expose_secret(),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(deleted) = unchanged else {
        return Ok(None);
    };
    if deleted {
        users::keep(&mut transaction, account.user_id).await?;
    }
    let session_id = Uuid::now_v7();
    let refresh_token = RefreshToken::random()?;
    let lifetime = keys.lifetimes.refresh_token.min(LONGEST);
    sqlx::query!(
        "
        with session as (
            insert into session (id, user_id, scope, user_agent, expires_at)
            values ($1, $2, $3, $4, now() + make_interval(secs => $5))
        )
        insert into refresh_token (hash, session_id, generation) values ($6, $1, 0)
        ",
        session_id,
        account.user_id,
        scopes.to_string(),
        login.user_agent.as_deref().map(shorten),
        lifetime.as_secs_f64(),
        &refresh_token.hash()[..],
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Some(Grant {
        session_id,
        access_token: keys.access_token(&account.username, session_id, scopes)?,
        access_token_expires_in: keys.lifetimes.access_token,
        refresh_token: refresh_token.into_secret(),
        refresh_token_expires_in: lifetime,
        scopes: scopes.clone(),
    }))
}

/// Who shows these claims, if their session and account still live.
///
/// # Errors
/// [`Error::RevokedToken`] where one of them does not.
pub async fn identify(db: &PgPool, claims: &Claims) -> Result<Caller> {
    let row = sqlx::query!(
        "
        select user_account.id, user_account.username, user_account.time_zone, session.scope
        from session join user_account on user_account.id = session.user_id
        where session.id = $1 and session.ended_at is null and session.expires_at > now()
          and user_account.username = $2 and user_account.deleted_at is null
        ",
        claims.sid,
        claims.sub,
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::RevokedToken)?;
    Ok(Caller {
        user_id: row.id,
        username: row.username,
        session_id: claims.sid,
        // A zone that this release no longer knows must not lock anybody out.
        time_zone: row.time_zone.parse().unwrap_or(Tz::UTC),
        scopes: Scopes::stored(&row.scope),
    })
}

/// The living sessions of `user_id`, most recently used first.
pub async fn list(db: &PgPool, user_id: Uuid) -> Result<Vec<Session>> {
    Ok(sqlx::query_as!(
        Session,
        "
        select id, user_agent, scope, created_at, last_used_at, expires_at from session
        where user_id = $1 and ended_at is null and expires_at > now()
        order by last_used_at desc, id desc
        ",
        user_id,
    )
    .fetch_all(db)
    .await?)
}

/// Ends a session of `user_id`; one that has ended already stays as it is.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn end(
    db: &mut PgConnection,
    user_id: Uuid,
    session_id: Uuid,
    reason: EndReason,
) -> Result<()> {
    let found = sqlx::query_scalar!(
        r#"select true as "found!" from session where id = $1 and user_id = $2"#,
        session_id,
        user_id,
    )
    .fetch_optional(&mut *db)
    .await?;
    if found.is_none() {
        return Err(Refusal::NotFound.into());
    }
    end_one(db, session_id, reason).await
}

/// Ends every session of `user_id` but `kept`.
pub async fn end_others(
    db: &mut PgConnection,
    user_id: Uuid,
    kept: Option<Uuid>,
    reason: EndReason,
) -> Result<()> {
    sqlx::query!(
        "
        update session set ended_at = now(), end_reason = $3
        where user_id = $1 and ended_at is null and id is distinct from $2
        ",
        user_id,
        kept,
        reason.name(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Ends the session of a token that its holder gives up, an access or a refresh token (RFC 7009).
/// A token that means nothing is fine: it is of no use already.
pub async fn revoke(db: &PgPool, keys: &Keys, token: &SecretString) -> Result<()> {
    let mut db = db.acquire().await?;
    if let Ok(token) = RefreshToken::parse(token) {
        let session_id = sqlx::query_scalar!(
            "select session_id from refresh_token where hash = $1",
            &token.hash()[..],
        )
        .fetch_optional(&mut *db)
        .await?;
        if let Some(session_id) = session_id {
            end_one(&mut db, session_id, EndReason::Revoked).await?;
        }
    } else if let Ok(claims) = keys.verify(token.expose_secret()) {
        end_one(&mut db, claims.sid, EndReason::Revoked).await?;
    }
    Ok(())
}

async fn end_one(db: &mut PgConnection, session_id: Uuid, reason: EndReason) -> Result<()> {
    sqlx::query!(
        "update session set ended_at = now(), end_reason = $2 where id = $1 and ended_at is null",
        session_id,
        reason.name(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes up to `limit` sessions that ended, or could no longer be refreshed, 30 days ago, and tells how
/// many. Until then their tokens are recognised as theirs.
///
/// # Errors
/// Where the database fails.
pub async fn prune(db: &PgPool, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "
        delete from session where id in (
            select id from session where least(ended_at, expires_at) < now() - interval '30 days'
            limit $1
            for update skip locked
        )
        ",
        limit,
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected())
}

/// A user agent without what could disturb a log or a screen.
fn shorten(user_agent: &str) -> String {
    user_agent
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_USER_AGENT_LENGTH)
        .collect()
}
