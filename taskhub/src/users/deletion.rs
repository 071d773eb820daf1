//! The end of an account: asked for, regretted, carried out.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Acquire, PgConnection, Postgres};
use uuid::Uuid;

use crate::{
    Result,
    jobs::{self, Job},
    sessions::{self, EndReason},
};

/// How long a deleted account can be kept after all, by signing in.
pub const ERASURE_DELAY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Deletes the account of `user_id`: at once for every token, for good at the time given back. With
/// `versions`, only where the account is at one of them.
///
/// # Errors
/// [`Refusal::NotFound`](crate::Refusal::NotFound), also where it is deleted already, and
/// [`Refusal::VersionMismatch`](crate::Refusal::VersionMismatch).
pub async fn request_deletion(
    db: &mut PgConnection,
    user_id: Uuid,
    versions: &[i64],
) -> Result<DateTime<Utc>> {
    super::locked(db, user_id, versions).await?;
    let erased_at = sqlx::query_scalar!(
        r#"
        update user_account set deleted_at = now(), version = version + 1, updated_at = now()
        where id = $1
        returning deleted_at + make_interval(secs => $2) as "erased_at!"
        "#,
        user_id,
        ERASURE_DELAY.as_secs_f64(),
    )
    .fetch_one(&mut *db)
    .await?;
    sessions::end_others(db, user_id, None, EndReason::AccountDeleted).await?;
    let options = jobs::Options {
        when: jobs::When::After(ERASURE_DELAY),
        ..jobs::Options::default()
    };
    jobs::enqueue_with(db, &Job::EraseAccount { user_id }, &options).await?;
    Ok(erased_at)
}

/// Takes a deletion back.
pub(crate) async fn keep(db: &mut PgConnection, user_id: Uuid) -> Result<()> {
    sqlx::query!(
        "
        update user_account set deleted_at = null, version = version + 1, updated_at = now()
        where id = $1 and erased_at is null
        ",
        user_id,
    )
    .execute(&mut *db)
    .await?;
    // A later deletion must not inherit the earlier one's date.
    jobs::call_off(db, &Job::EraseAccount { user_id }).await?;
    Ok(())
}

/// Erases an account whose time is over and tells whether it did: everything it owned and everything
/// personal goes. What stays is the username, so that nobody else is ever taken for this person.
///
/// Does nothing where the deletion was taken back, is not due, or was carried out before. Inside a
/// caller's transaction it is a part of it.
pub async fn erase(
    db: impl Acquire<'_, Database = Postgres> + Send,
    user_id: Uuid,
) -> Result<bool> {
    let mut transaction = db.begin().await?;
    let erased = sqlx::query!(
        "
        with former as materialized (
            select id, username, email from user_account
            where id = $1 and erased_at is null and deleted_at <= now() - make_interval(secs => $2)
            for no key update
        ), erased as (
            update user_account set
                email = null, password_hash = null, time_zone = 'UTC', erased_at = now(),
                version = version + 1, updated_at = now()
            from former
            where user_account.id = former.id
        )
        select username, email from former
        ",
        user_id,
        ERASURE_DELAY.as_secs_f64(),
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(erased) = erased else {
        return Ok(false);
    };
    // Projects, tasks and changes go with their workspace, tokens with their session.
    sqlx::query!("delete from workspace where owner_id = $1", user_id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("delete from session where user_id = $1", user_id)
        .execute(&mut *transaction)
        .await?;
    // Kept answers repeat what was in their requests.
    sqlx::query!(
        "delete from idempotency_key where principal in ($1, $2)",
        format!("user:{user_id}"),
        format!("name:{}", erased.username),
    )
    .execute(&mut *transaction)
    .await?;
    forget_jobs(&mut transaction, user_id, erased.email).await?;
    transaction.commit().await?;
    tracing::info!(%user_id, "an account was erased");
    Ok(true)
}

/// Jobs that failed may tell the address, in their arguments or in the mail server's own words.
async fn forget_jobs(db: &mut PgConnection, user_id: Uuid, email: Option<String>) -> Result<()> {
    let mut jobs = vec![Job::WelcomeEmail { user_id }];
    if let Some(email) = email {
        let others = sqlx::query_scalar!(
            r#"select exists (select from user_account where lower(email) = lower($1) and deleted_at is null) as "exists!""#,
            email,
        )
        .fetch_one(&mut *db)
        .await?;
        // Another account with this address may still wait for its letter.
        if !others {
            jobs.push(Job::PasswordResetEmail { email });
        }
    }
    jobs::housekeeping::forget(db, &jobs).await
}
