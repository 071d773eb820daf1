//! What operators hold back: a queue or a kind of which no job begins until somebody resumes it.
//!
//! Every claim looks at the table in its own statement, so a pause counts for all workers at once, with
//! Redis and without. Jobs that run already finish.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Rules;
use crate::{Error, Result};

/// What can be paused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "scope", content = "name", rename_all = "snake_case")]
pub enum Target {
    /// Every job of the queue.
    Queue(String),
    /// Every job of the kind, in whatever queue.
    Kind(String),
}

/// A queue or kind that is paused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pause {
    pub target: Target,
    pub paused_at: DateTime<Utc>,
    /// The operator.
    pub paused_by: Option<Uuid>,
    /// Their name.
    pub paused_by_username: Option<String>,
    pub reason: Option<String>,
}

impl Target {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Queue(name) => ("queue", name),
            Self::Kind(name) => ("kind", name),
        }
    }
}

/// Holds back every job of `target`. One that is paused already stays as it is, with the operator and
/// the reason of the first time.
///
/// # Errors
/// [`Error::Invalid`] for a kind that this program does not know and of which there is no job.
pub async fn pause(
    db: &mut PgConnection,
    target: &Target,
    operator: Uuid,
    reason: Option<&str>,
) -> Result<()> {
    if let Target::Kind(kind) = target
        && Rules::of(kind).is_none()
        && !exists(&mut *db, kind).await?
    {
        return Err(Error::invalid(
            "/name",
            "unknown-kind",
            "there is no such kind of job",
        ));
    }
    let (scope, name) = target.parts();
    sqlx::query!(
        "
        insert into job_pause (scope, name, paused_by, reason) values ($1, $2, $3, $4)
        on conflict (scope, name) do nothing
        ",
        scope,
        name,
        operator,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Lets the jobs of `target` begin again, and tells whether it was paused.
///
/// # Errors
/// Where the database fails.
pub async fn resume(db: &mut PgConnection, target: &Target) -> Result<bool> {
    let (scope, name) = target.parts();
    let resumed = sqlx::query!(
        "delete from job_pause where scope = $1 and name = $2",
        scope,
        name,
    )
    .execute(db)
    .await?;
    Ok(resumed.rows_affected() > 0)
}

/// All there are, the kinds first.
///
/// # Errors
/// Where the database fails.
pub async fn list(db: &PgPool) -> Result<Vec<Pause>> {
    let rows = sqlx::query!(
        r#"
        select scope, name, paused_at, paused_by, username as "paused_by_username?", reason
        from job_pause left join user_account on user_account.id = paused_by
        where scope > ''
        order by scope, name
        "#
    )
    .fetch_all(db)
    .await?;
    let pauses = rows.into_iter().map(|row| Pause {
        target: match row.scope.as_str() {
            "queue" => Target::Queue(row.name),
            _ => Target::Kind(row.name),
        },
        paused_at: row.paused_at,
        paused_by: row.paused_by,
        paused_by_username: row.paused_by_username,
        reason: row.reason,
    });
    Ok(pauses.collect())
}

/// Whether a job of this kind waits: one of a release that this program does not know.
async fn exists(db: &mut PgConnection, kind: &str) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        select exists (
            select from (select kind from job where state in ('scheduled', 'ready') limit 10000) as waiting
            where kind = $1
        ) as "exists!"
        "#,
        kind,
    )
    .fetch_one(db)
    .await?)
}
