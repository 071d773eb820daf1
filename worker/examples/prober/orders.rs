//! What can be asked of the prober.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgTransaction, postgres::PgConnectOptions};
use taskhub::{
    database,
    jobs::{
        self, Job,
        probe::{Mode, Probe},
    },
};
use uuid::Uuid;

use crate::facts;

/// What an order that changes one row, or a few, may take. Longer than the lock timeout of the server.
const LIMIT: Duration = Duration::from_secs(6);

/// What an order about everything there is may take.
const LONG_LIMIT: Duration = Duration::from_secs(300);

/// What whoever enqueues writes in the same transaction, as the change that causes a job.
const CAUSES: &str = "create table if not exists probe_cause (probe_id uuid not null)";

/// A history of leases and of successes that does not come from the code which is tried.
const LEASES: &str = "
    create table if not exists probe_lease (
        token uuid primary key,
        job_id uuid not null,
        attempt integer not null,
        worker_id text,
        begun_at timestamptz not null default clock_timestamp(),
        until timestamptz not null,
        ended_at timestamptz
    );

    create table if not exists probe_success (
        job_id uuid not null,
        attempt integer not null,
        worker_id text,
        at timestamptz not null default clock_timestamp()
    );

    create or replace function probe_success() returns trigger language plpgsql as $$
    begin
        insert into probe_success (job_id, attempt, worker_id) values (new.public_id, new.attempt, new.worker_id);
        return null;
    end
    $$;

    -- Also where it was done already.
    create or replace trigger probe_success after update of state on job for each row
    when (new.state = 'done')
    execute function probe_success();

    create or replace function probe_lease() returns trigger language plpgsql as $$
    begin
        if new.lease_token is not null then
            insert into probe_lease (token, job_id, attempt, worker_id, until)
            values (new.lease_token, new.public_id, new.attempt, new.worker_id, new.lease_until)
            on conflict (token) do update set until = excluded.until;
        end if;
        if old.lease_token is distinct from new.lease_token then
            update probe_lease set ended_at = clock_timestamp() where token = old.lease_token;
        end if;
        return null;
    end
    $$;

    create or replace trigger probe_lease after update on job for each row
    when (old.lease_token is distinct from new.lease_token or old.lease_until is distinct from new.lease_until)
    execute function probe_lease();
";

#[derive(Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Brings the schema up to date and makes the tables of the probes.
    Prepare {},
    /// Has the database write down who holds which job until when.
    Watch {},
    /// Adds jobs and their causes in one transaction, which is committed or, on purpose, is not.
    Enqueue {
        probes: Vec<Probe>,
        commit: bool,
    },
    /// Adds so many jobs that only touch the database, in one transaction.
    Bulk {
        count: u32,
        /// Each is to be done in a transaction of its own.
        #[serde(default)]
        apart: bool,
    },
    /// Has what runs by the clock under this name fall due now.
    Slot {
        name: String,
    },
    Cancel {
        job: Uuid,
    },
    /// Has a job that was cancelled tried anew.
    Retry {
        job: Uuid,
    },
    /// Counts what has not ended yet.
    Live {},
    /// Has everything that is for later fall due.
    Hurry {},
    /// Tells everything.
    Facts {},
    /// Carries out statements that ask nothing.
    Execute {
        sql: String,
    },
    /// Answers a question whose answer is one JSON value.
    Query {
        sql: String,
    },
}

/// Why an order failed, and whether it may have had its effect all the same.
pub(crate) struct Failure {
    in_doubt: bool,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn answer(&self) -> Value {
        let outcome = if self.in_doubt { "unknown" } else { "failed" };
        json!({ "outcome": outcome, "error": format!("{:#}", self.error) })
    }
}

/// Of a statement that commits by itself nobody knows whether it did.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            in_doubt: true,
            error: error.into(),
        }
    }
}

impl Order {
    /// Whether workers are told of it, as the API tells them of what a request enqueued.
    pub(crate) fn rings(&self) -> bool {
        matches!(self, Self::Enqueue { .. } | Self::Bulk { .. })
    }

    pub(crate) fn limit(&self) -> Duration {
        match self {
            Self::Enqueue { .. } | Self::Slot { .. } | Self::Cancel { .. } | Self::Retry { .. } => {
                LIMIT
            }
            Self::Prepare {}
            | Self::Watch {}
            | Self::Bulk { .. }
            | Self::Live {}
            | Self::Hurry {}
            | Self::Facts {}
            | Self::Execute { .. }
            | Self::Query { .. } => LONG_LIMIT,
        }
    }

    pub(crate) async fn carry_out(
        self,
        options: &PgConnectOptions,
        db: &mut PgConnection,
    ) -> Result<Value, Failure> {
        match self {
            Self::Prepare {} => prepare(options, db).await?,
            Self::Watch {} => {
                sqlx::raw_sql(LEASES).execute(db).await?;
            }
            Self::Enqueue { probes, commit } => return enqueue(db, &probes, commit).await,
            Self::Bulk { count, apart } => {
                // Without a wait, slow ones differ in nothing but that they are done by themselves.
                let mode = if apart { Mode::Slow } else { Mode::Database };
                bulk(db, count, mode).await?;
            }
            Self::Slot { name } => return Ok(slot(db, &name).await?),
            Self::Cancel { job } => jobs::cancel(db, job).await.map(drop)?,
            Self::Retry { job } => retry(db, job).await?,
            Self::Live {} => return Ok(json!({ "live": live(db).await? })),
            Self::Hurry {} => hurry(db).await?,
            Self::Facts {} => return Ok(facts::all(db).await?),
            Self::Execute { sql } => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await?;
            }
            Self::Query { sql } => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql));
                return Ok(query.fetch_one(db).await?);
            }
        }
        Ok(json!({ "outcome": "committed" }))
    }
}

async fn prepare(options: &PgConnectOptions, db: &mut PgConnection) -> anyhow::Result<()> {
    database::migrate(options, None).await?;
    sqlx::raw_sql(CAUSES).execute(&mut *db).await?;
    sqlx::raw_sql(jobs::probe::TABLE).execute(db).await?;
    Ok(())
}

/// Up to the commit nothing can have happened; a commit that fails may have.
async fn enqueue(db: &mut PgConnection, probes: &[Probe], commit: bool) -> Result<Value, Failure> {
    let (transaction, jobs) = added(db, probes).await.map_err(|error| Failure {
        in_doubt: false,
        error,
    })?;
    if commit {
        transaction.commit().await?;
        return Ok(json!({ "outcome": "committed", "jobs": jobs }));
    }
    drop(transaction);
    Ok(json!({ "outcome": "rolled_back" }))
}

async fn added<'db>(
    db: &'db mut PgConnection,
    probes: &[Probe],
) -> anyhow::Result<(PgTransaction<'db>, Vec<Uuid>)> {
    let mut transaction = db.begin().await?;
    for probe in probes {
        sqlx::query("insert into probe_cause (probe_id) values ($1)")
            .bind(probe.id)
            .execute(&mut *transaction)
            .await?;
    }
    let jobs: Vec<Job> = probes.iter().cloned().map(Job::Probe).collect();
    let ids = jobs::enqueue_all(&mut transaction, &jobs).await?;
    Ok((transaction, ids))
}

async fn bulk(db: &mut PgConnection, count: u32, mode: Mode) -> anyhow::Result<()> {
    let jobs: Vec<Job> = (0..count)
        .map(|_| {
            Job::Probe(Probe {
                id: Uuid::now_v7(),
                mode,
                workspace_id: None,
                sink: None,
                milliseconds: 0,
            })
        })
        .collect();
    let mut transaction = db.begin().await?;
    jobs::enqueue_all(&mut transaction, &jobs).await?;
    transaction.commit().await?;
    Ok(())
}

/// Of one that was done instead, a retry would be right and would leave a second effect.
async fn retry(db: &mut PgConnection, job: Uuid) -> anyhow::Result<()> {
    let mut transaction = db.begin().await?;
    let state: String = sqlx::query_scalar("select state from job where public_id = $1 for update")
        .bind(job)
        .fetch_one(&mut *transaction)
        .await?;
    anyhow::ensure!(state == "cancelled", "the job is {state}");
    jobs::retry(&mut transaction, job).await?;
    transaction.commit().await?;
    Ok(())
}

/// Gives the slot's key; none where the last one is still to be seen to.
async fn slot(db: &mut PgConnection, name: &str) -> anyhow::Result<Value> {
    let key: Option<String> = sqlx::query_scalar(
        r#"
        update periodic set next_at = date_trunc('second', now())
        where name = $1 and next_at > now()
        returning 'periodic:' || name || ':' || to_char(next_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        "#,
    )
    .bind(name)
    .fetch_optional(db)
    .await?;
    Ok(json!({ "outcome": "committed", "key": key }))
}

async fn live(db: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(*) from job where state in ('scheduled', 'ready', 'running')",
    )
    .fetch_one(db)
    .await?)
}

async fn hurry(db: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::raw_sql("update job set run_at = now() where state = 'scheduled' and run_at > now()")
        .execute(db)
        .await?;
    Ok(())
}
