//! Jobs that the clock asks for.
//!
//! Each slot yields one job, however many leaders there are: moving the slot on and adding its job
//! are one transaction, which holds the slot's row. Slots that nobody was there for yield one job
//! together, when somebody is.

use std::str::FromStr;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use croner::Cron;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Job, enqueueing::enqueue_slot};
use crate::Result;

/// What runs by the clock.
#[derive(Clone, Debug)]
pub struct Periodic {
    /// Never changes: it names the row that says when it is next due.
    pub name: &'static str,
    /// Minute, hour, day of the month, month, day of the week. A time that the change to summer time
    /// skips counts as the next one there is; one that comes twice counts once.
    pub schedule: &'static str,
    pub time_zone: Tz,
    pub job: Job,
}

/// Everything that runs by the clock, at times when little else does.
pub const PERIODIC: &[Periodic] = &[
    Periodic {
        name: "remove_old_sessions",
        schedule: "10 3 * * *",
        time_zone: Tz::UTC,
        job: Job::RemoveOldSessions {},
    },
    Periodic {
        name: "remove_old_jobs",
        schedule: "20 * * * *",
        time_zone: Tz::UTC,
        job: Job::RemoveOldJobs {},
    },
    Periodic {
        name: "remove_old_idempotency_keys",
        schedule: "40 * * * *",
        time_zone: Tz::UTC,
        job: Job::RemoveOldIdempotencyKeys {},
    },
    Periodic {
        name: "empty_trash",
        schedule: "50 3 * * *",
        time_zone: Tz::UTC,
        job: Job::EmptyTrash {},
    },
    Periodic {
        name: "index_tasks",
        schedule: "5,35 * * * *",
        time_zone: Tz::UTC,
        job: Job::IndexTasks {},
    },
];

impl Periodic {
    /// The first slot after `time`.
    ///
    /// # Errors
    /// Where the schedule is malformed or has no slot any more.
    pub fn next(&self, time: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
        let schedule = Cron::from_str(self.schedule)
            .with_context(|| format!("the schedule of {} is malformed", self.name))?;
        let next = schedule
            .find_next_occurrence(&time.with_timezone(&self.time_zone), false)
            .with_context(|| format!("{} is never due again", self.name))?;
        Ok(next.with_timezone(&Utc))
    }
}

/// Writes down when each of `periodic` is next due, where that is not written down or its schedule is
/// another by now. What other programs know is left to them.
///
/// # Errors
/// Where the database fails or a schedule is malformed.
pub async fn synchronise(db: &PgPool, periodic: &[Periodic]) -> Result<()> {
    let mut transaction = db.begin().await?;
    let now = now(&mut transaction).await?;
    for one in periodic {
        sqlx::query!(
            "
            insert into periodic (name, schedule, time_zone, next_at) values ($1, $2, $3, $4)
            on conflict (name) do update
            set schedule = excluded.schedule, time_zone = excluded.time_zone, next_at = excluded.next_at
            where (periodic.schedule, periodic.time_zone) is distinct from (excluded.schedule, excluded.time_zone)
            ",
            one.name,
            one.schedule,
            one.time_zone.name(),
            one.next(now)?,
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// Enqueues what of `periodic` is due, and gives the public ids. Several may do this at once.
///
/// # Errors
/// Where the database fails or a schedule is malformed.
pub async fn enqueue_due(db: &PgPool, periodic: &[Periodic]) -> Result<Vec<Uuid>> {
    let names: Vec<&str> = periodic.iter().map(|one| one.name).collect();
    let mut transaction = db.begin().await?;
    let due = sqlx::query!(
        r#"
        select name, next_at, now() as "now!" from periodic
        where name = any($1) and next_at <= now()
        for update skip locked
        "#,
        &names as &[&str],
    )
    .fetch_all(&mut *transaction)
    .await?;
    let mut ids = Vec::new();
    for slot in due {
        let Some(one) = periodic.iter().find(|one| one.name == slot.name) else {
            continue;
        };
        let at = slot.next_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let key = format!("{}:{at}", one.name);
        ids.push(enqueue_slot(&mut transaction, &one.job, &key).await?);
        sqlx::query!(
            "update periodic set next_at = $2 where name = $1",
            one.name,
            one.next(slot.now.max(slot.next_at))?,
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(ids)
}

async fn now(db: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(db)
        .await?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn slots(schedule: &'static str, from: &str, count: usize) -> Vec<String> {
        let periodic = Periodic {
            name: "test",
            schedule,
            time_zone: Tz::Europe__Vienna,
            job: Job::EmptyTrash {},
        };
        let mut time: DateTime<Utc> = from.parse().expect("a time");
        let mut slots = Vec::new();
        for _ in 0..count {
            time = periodic.next(time).expect("a slot");
            slots.push(time.to_rfc3339_opts(SecondsFormat::Secs, true));
        }
        slots
    }

    #[test]
    fn a_time_that_summer_time_skips_counts_as_the_next_there_is() {
        // On 29 March 2026 the clocks of Vienna go from 2:00 to 3:00, which is 1:00 UTC.
        assert_eq!(
            slots("30 2 * * *", "2026-03-27T12:00:00Z", 3),
            [
                "2026-03-28T01:30:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-30T00:30:00Z"
            ]
        );
    }

    #[test]
    fn a_time_that_comes_twice_counts_once() {
        // On 25 October 2026 the clocks of Vienna go from 3:00 back to 2:00, which is 1:00 UTC.
        assert_eq!(
            slots("30 2 * * *", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn every_hour_is_every_hour_however_the_clocks_change() {
        assert_eq!(
            slots("0 * * * *", "2026-10-24T23:30:00Z", 4),
            [
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-25T03:00:00Z"
            ]
        );
    }

    #[test]
    fn every_schedule_can_be_read_and_no_two_share_a_name() {
        let names: BTreeSet<_> = PERIODIC.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), PERIODIC.len());
        for one in PERIODIC {
            assert!(one.next(Utc::now()).expect("a slot") > Utc::now());
        }
    }
}
