//! Requests that may be repeated: the answer is kept in the transaction of the effect, under the
//! caller's key (draft-ietf-httpapi-idempotency-key-header-07).

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Connection, PgConnection, PgPool, types::Json};

use crate::{Error, Refusal, Result};

/// What makes two requests the same.
#[derive(Clone, Debug)]
pub struct Key {
    /// Whose key it is: `user:<id>`, or `name:<username>` where nobody is signed in yet.
    pub principal: String,
    /// Method and path template, such as `POST /v1/tasks/{id}/complete`.
    pub operation: String,
    /// 1 to 255 visible ASCII characters, chosen by the caller.
    pub key: String,
    /// Of the canonical request, and keyed: a request may hold a password, which a plain digest in a
    /// table would give away to a patient reader. One by each key of ours, so that a repetition is known
    /// across a change of keys: see [`Keys::seals`](crate::tokens::Keys::seals). The first is kept.
    pub fingerprints: Vec<[u8; 32]>,
    /// For how long the answer is kept.
    pub keep: Duration,
}

/// What was done, now or the first time.
#[derive(Debug)]
pub struct Once<T> {
    pub value: T,
    pub replayed: bool,
}

#[derive(serde::Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Done(T),
    Refused(Refusal),
}

/// Runs `effect` in a transaction and commits it; with a key, at most once for that key.
///
/// A refusal is an answer too and is kept; every other failure leaves no trace, so that a repetition
/// tries anew.
///
/// # Errors
/// [`Error::IdempotencyInProgress`] while a twin is at work, [`Error::IdempotencyKeyReused`] where
/// the key stands for another request, a [`Refusal`] now or [as it was the first
/// time](Error::RefusedBefore), and whatever else `effect` fails with.
pub async fn once<T, F>(db: &PgPool, key: Option<&Key>, effect: F) -> Result<Once<T>>
where
    T: Serialize + DeserializeOwned + Send,
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T>> + Send,
{
    let mut transaction = db.begin().await?;
    let Some(key) = key else {
        let value = effect(&mut transaction).await?;
        transaction.commit().await?;
        return Ok(Once {
            value,
            replayed: false,
        });
    };
    if let Some(outcome) = recall(&mut transaction, key).await? {
        // Ended before the answer goes out: whoever has it and repeats the request finds the key free.
        transaction.rollback().await?;
        return match outcome {
            Outcome::Done(value) => Ok(Once {
                value,
                replayed: true,
            }),
            Outcome::Refused(refusal) => Err(Error::RefusedBefore(refusal)),
        };
    }
    // The effect's own transaction level: a refusal may come from a failed statement.
    let mut savepoint = transaction.begin().await?;
    let outcome = match effect(&mut savepoint).await {
        Ok(value) => {
            savepoint.commit().await?;
            Outcome::Done(value)
        }
        Err(Error::Refused(refusal)) => {
            savepoint.rollback().await?;
            Outcome::Refused(refusal)
        }
        Err(error) => return Err(error),
    };
    keep(&mut transaction, key, &outcome).await?;
    transaction.commit().await?;
    match outcome {
        Outcome::Done(value) => Ok(Once {
            value,
            replayed: false,
        }),
        Outcome::Refused(refusal) => Err(refusal.into()),
    }
}

/// The kept outcome, if there is one; otherwise the key is this transaction's until it ends.
async fn recall<T: DeserializeOwned + Send>(
    db: &mut PgConnection,
    key: &Key,
) -> Result<Option<Outcome<T>>> {
    // A lock first, so that a twin is told at once instead of waiting on the index.
    let mine = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended(concat_ws(' ', $1::text, $2::text, $3::text), 0)) as "mine!""#,
        key.principal,
        key.operation,
        key.key,
    )
    .fetch_one(&mut *db)
    .await?;
    if !mine {
        return Err(Error::IdempotencyInProgress);
    }
    let kept = sqlx::query!(
        r#"
        select fingerprint, outcome as "outcome: Json<serde_json::Value>"
        from idempotency_key
        where principal = $1 and operation = $2 and key = $3 and expires_at > now()
        "#,
        key.principal,
        key.operation,
        key.key,
    )
    .fetch_optional(&mut *db)
    .await?;
    let Some(kept) = kept else { return Ok(None) };
    let same = |fingerprint: &[u8; 32]| kept.fingerprint == fingerprint;
    if !key.fingerprints.iter().any(same) {
        return Err(Error::IdempotencyKeyReused);
    }
    let outcome = serde_json::from_value(kept.outcome.0).map_err(anyhow::Error::from)?;
    Ok(Some(outcome))
}

/// Removes up to `limit` answers whose time is over, and tells how many.
///
/// # Errors
/// Where the database fails.
pub async fn remove_expired(db: &PgPool, limit: i64) -> Result<u64> {
    // By their places in the table: the key is long, and nothing else names a row.
    Ok(sqlx::query!(
        "
        delete from idempotency_key where ctid = any (array(
            select ctid from idempotency_key where expires_at < now()
            limit $1
            for update skip locked
        ))
        ",
        limit,
    )
    .execute(db)
    .await?
    .rows_affected())
}

async fn keep<T: Serialize>(db: &mut PgConnection, key: &Key, outcome: &Outcome<T>) -> Result<()> {
    let outcome = serde_json::to_value(outcome).map_err(anyhow::Error::from)?;
    sqlx::query!(
        r#"
        insert into idempotency_key (principal, operation, key, fingerprint, outcome, expires_at)
        values ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
        on conflict (principal, operation, key) do update set
            fingerprint = excluded.fingerprint, outcome = excluded.outcome,
            created_at = now(), expires_at = excluded.expires_at
        "#,
        key.principal,
        key.operation,
        key.key,
        key.fingerprints.first().map(|fingerprint| &fingerprint[..]),
        outcome,
        key.keep.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}
