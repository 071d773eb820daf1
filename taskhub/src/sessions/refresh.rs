//! How a session goes on: one refresh token is exchanged for the next.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{EndReason, Grant, LONGEST, end_one};
use crate::{
    Error, Result,
    scopes::Scopes,
    tokens::{Keys, RefreshToken},
};

/// Exchanges a refresh token for the next pair.
///
/// A token that was exchanged before gives the same next one again, because an answer can get lost and a
/// client can sleep before it asks again. That ends once the next one is exchanged in turn, and at the
/// latest after [`Lifetimes::refresh_retry`](crate::tokens::Lifetimes). A second use after that means that
/// somebody stole the token: the session ends.
///
/// # Errors
/// [`Error::InvalidToken`] where it is none of ours, [`Error::ExpiredToken`], and [`Error::RevokedToken`]
/// where the session has ended, now or before.
pub async fn refresh(db: &PgPool, keys: &Keys, token: &SecretString) -> Result<Grant> {
    let shown = RefreshToken::parse(token)?;
    let hash = shown.hash();
    let mut transaction = db.begin().await?;
    // The lock comes by itself and first: what follows must see what the previous holder did.
    let session = sqlx::query!(
        r#"
        select session.id, session.user_id, session.scope, user_account.username,
            session.ended_at is not null as "ended!", session.expires_at <= now() as "expired!"
        from session join user_account on user_account.id = session.user_id
        where session.id = (select session_id from refresh_token where hash = $1)
        for update of session
        "#,
        &hash[..],
    )
    .fetch_optional(&mut *transaction)
    .await?
    .ok_or(Error::InvalidToken)?;
    if session.ended {
        return Err(Error::RevokedToken);
    }
    if session.expired {
        return Err(Error::ExpiredToken);
    }
    let Some(next) = exchange(&mut transaction, keys, session.id, &shown).await? else {
        end_one(&mut transaction, session.id, EndReason::RefreshTokenReused).await?;
        // The end of the session is the one effect of this failure.
        transaction.commit().await?;
        tracing::warn!(user_id = %session.user_id, session_id = %session.id, "a refresh token was used twice, its session ended");
        return Err(Error::RevokedToken);
    };
    let lifetime = prolong(&mut transaction, keys, session.id).await?;
    transaction.commit().await?;
    let scopes = Scopes::stored(&session.scope);
    Ok(Grant {
        session_id: session.id,
        access_token: keys.access_token(&session.username, session.id, &scopes)?,
        access_token_expires_in: keys.lifetimes.access_token,
        refresh_token: next.into_secret(),
        refresh_token_expires_in: lifetime,
        scopes,
    })
}

/// The token that follows; none where the one shown must not be used any more. Needs the session's lock.
async fn exchange(
    db: &mut PgConnection,
    keys: &Keys,
    session_id: Uuid,
    shown: &RefreshToken,
) -> Result<Option<RefreshToken>> {
    let hash = shown.hash();
    let token = sqlx::query!(
        r#"
        select shown.generation, next.hash as "next_hash?", next.sealed,
            shown.used_at > now() - make_interval(secs => $2) and next.used_at is null as "again"
        from refresh_token as shown
        left join refresh_token as next
            on next.session_id = shown.session_id and next.generation = shown.generation + 1
        where shown.hash = $1
        "#,
        &hash[..],
        keys.lifetimes.refresh_retry.as_secs_f64(),
    )
    .fetch_one(&mut *db)
    .await?;
    let generation = token.generation + 1;
    let derived = keys.following(session_id, generation, &hash);
    if let Some(next_hash) = token.next_hash {
        if token.again != Some(true) {
            return Ok(None);
        }
        let sealed = token.sealed.map(|sealed| shown.unseal(&sealed));
        let mut candidates = sealed.into_iter().chain(derived);
        let next = candidates.find(|next| next.hash()[..] == next_hash);
        // Without a seal and without the key that derived it, it is lost. That is nobody's theft.
        return next.map(Some).ok_or(Error::InvalidToken);
    }
    let Some(next) = derived.into_iter().next() else {
        return Ok(None);
    };
    // Once the token shown is used, the one before it gives it to nobody any more.
    sqlx::query!(
        "
        with shown as (update refresh_token set used_at = now(), sealed = null where hash = $1)
        insert into refresh_token (hash, session_id, generation, sealed) values ($2, $3, $4, $5)
        ",
        &hash[..],
        &next.hash()[..],
        session_id,
        generation,
        &shown.seal(&next)[..],
    )
    .execute(db)
    .await?;
    Ok(Some(next))
}

/// Moves the end of a session on and tells how far it is away.
async fn prolong(db: &mut PgConnection, keys: &Keys, session_id: Uuid) -> Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"
        update session set
            last_used_at = now(),
            expires_at = least(now() + make_interval(secs => $2), created_at + make_interval(secs => $3))
        where id = $1
        returning extract(epoch from expires_at - now())::float8 as "seconds!"
        "#,
        session_id,
        keys.lifetimes.refresh_token.as_secs_f64(),
        LONGEST.as_secs_f64(),
    )
    .fetch_one(db)
    .await?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
