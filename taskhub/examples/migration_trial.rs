//! Applies migrations as files and tells what they locked, for `cargo xtask release check`.
//!
//! An example, because it is built with the features of the tests' dependencies, which are there already, and is
//! never shipped. Files, because an older release's migrations are in no program that is built here.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::{
    Connection, PgConnection,
    migrate::{Migrate, Migration, Migrator},
    postgres::PgConnectOptions,
};
use taskhub::database;
use tokio::time::sleep;

/// Between two looks at the locks.
const LOOK: Duration = Duration::from_millis(2);

#[derive(Parser)]
struct Arguments {
    database_url: SecretString,
    #[command(subcommand)]
    order: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Applies what the database lacks of a folder; one JSON object on stdout
    Migrate { folder: PathBuf },
    /// Adds tasks to the projects that there are, a change for each, and as many finished jobs
    Seed { rows: i64 },
}

#[derive(Serialize)]
struct Done {
    migrations: Vec<Applied>,
    /// Why the next one could not be applied.
    error: Option<String>,
}

#[derive(Serialize)]
struct Applied {
    version: i64,
    seconds: f64,
    locks: Vec<Lock>,
}

/// A lock on a table or index that was there before, which keeps others from reading or writing.
#[derive(Serialize)]
struct Lock {
    relation: String,
    mode: String,
    /// From when it was asked for, for whoever comes then waits behind it, until it was released: at most this.
    seconds: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // A migration may take longer than a request may.
    let options = database::connect_options(&arguments.database_url, "taskhub-migrate")?
        .options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    match arguments.order {
        Order::Migrate { folder } => {
            let done = migrate(&options, &folder).await?;
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&done)?)?;
        }
        Order::Seed { rows } => seed(&options, rows).await?,
    }
    Ok(())
}

async fn migrate(options: &PgConnectOptions, folder: &Path) -> anyhow::Result<Done> {
    let migrator = Migrator::new(folder).await?;
    let mut db = PgConnection::connect_with(options).await?;
    let mut watching = PgConnection::connect_with(options).await?;
    db.ensure_migrations_table("_sqlx_migrations").await?;
    let applied = db.list_applied_migrations("_sqlx_migrations").await?;
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut db)
        .await?;
    let mut done = Done {
        migrations: Vec::new(),
        error: None,
    };
    let all: Vec<Migration> = migrator.iter().cloned().collect();
    for (index, migration) in all.iter().enumerate() {
        let version = migration.version;
        if applied.iter().any(|applied| applied.version == version) {
            continue;
        }
        let mut next = Migrator::with_migrations(all[..=index].to_vec());
        next.set_ignore_missing(true);
        let begun = Instant::now();
        let mut watch = Watch::default();
        let outcome = tokio::select! {
            outcome = next.run(&mut db) => outcome,
            error = watch.follow(&mut watching, pid) => return Err(error.into()),
        };
        if let Err(error) = outcome {
            done.error = Some(format!("{version}: {error}"));
            break;
        }
        done.migrations.push(Applied {
            version,
            seconds: begun.elapsed().as_secs_f64(),
            locks: watch.end(),
        });
    }
    Ok(done)
}

/// Which locks a connection has or waits for, as far as two looks can tell.
struct Watch {
    /// When nothing was locked at the earliest look before.
    last: Instant,
    held: HashMap<(String, String), Instant>,
    released: HashMap<(String, String), Duration>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            last: Instant::now(),
            held: HashMap::new(),
            released: HashMap::new(),
        }
    }
}

impl Watch {
    /// Looks again and again; gives up only where it cannot look.
    async fn follow(&mut self, db: &mut PgConnection, pid: i32) -> sqlx::Error {
        loop {
            // What the migration makes is not visible from here, and nobody waits for it.
            let locks: sqlx::Result<Vec<(String, String)>> = sqlx::query_as(
                "select distinct class.relname::text, lock.mode from pg_locks as lock
                 join pg_class as class on class.oid = lock.relation
                 where lock.pid = $1
                   and lock.database = (select oid from pg_database where datname = current_database())
                   and class.relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
                   and class.relname not like '\\_sqlx\\_migrations%'
                   and lock.mode in ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')",
            )
            .bind(pid)
            .fetch_all(&mut *db)
            .await;
            match locks {
                Ok(locks) => self.saw(&locks),
                Err(error) => return error,
            }
            sleep(LOOK).await;
        }
    }

    fn saw(&mut self, locks: &[(String, String)]) {
        let now = Instant::now();
        for lock in locks {
            self.held.entry(lock.clone()).or_insert(self.last);
        }
        self.held.retain(|lock, since| {
            let is_held = locks.contains(lock);
            if !is_held {
                let longest = self.released.entry(lock.clone()).or_default();
                *longest = (*longest).max(now - *since);
            }
            is_held
        });
        self.last = now;
    }

    /// Everything is released now.
    fn end(mut self) -> Vec<Lock> {
        self.saw(&[]);
        let mut locks: Vec<Lock> = self
            .released
            .into_iter()
            .map(|((relation, mode), longest)| Lock {
                relation,
                mode,
                seconds: longest.as_secs_f64(),
            })
            .collect();
        locks.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
        locks
    }
}

async fn seed(options: &PgConnectOptions, rows: i64) -> anyhow::Result<()> {
    let mut db = PgConnection::connect_with(options).await?;
    let mut transaction = db.begin().await?;
    for statement in [
        "insert into task (id, workspace_id, project_id, title, position, seq, created_by)
         select gen_random_uuid(), workspace_id, project.id, 'One of many, number ' || number, '', last_seq + number, owner_id
         from project join workspace on workspace.id = workspace_id,
              generate_series(1, $1 / (select count(*) from project)) as number",
        "insert into change (workspace_id, seq, entity, entity_id, version, op, fields, after)
         select workspace_id, seq, 'task', id, 1, 'created', '{title}', jsonb_build_object('title', title)
         from task where title like 'One of many%' and $1 > 0",
        "update workspace set last_seq = last_seq + $1",
        "insert into job (kind, args_version, args, state, finished_at)
         select 'welcome_email', 1, '{}', 'done', now() from generate_series(1, $1)",
    ] {
        sqlx::query(statement)
            .bind(rows)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    sqlx::query("analyze").execute(&mut db).await?;
    Ok(())
}
