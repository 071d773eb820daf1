//! Lists of tasks: filtered, in any of six orders, a page at a time.

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Priority, Status, Task, row::Row};
use crate::{Result, changes::Actor};

/// Nobody waits for more than this to be counted.
const COUNTED: i64 = 10_000;

/// Which tasks. Empty lists and `None` allow everything; different fields all have to hold, of the
/// values of one field any may.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub project_ids: Vec<Uuid>,
    pub parent_ids: Vec<Uuid>,
    pub statuses: Vec<Status>,
    pub priorities: Vec<Priority>,
    pub labels: Vec<String>,
    /// Leaves out what has any of these.
    pub not_labels: Vec<String>,
    pub due: Vec<Due>,
    /// Earlier than this. A day counts from its beginning.
    pub due_before: Option<DateTime<Utc>>,
    /// At this time or later.
    pub due_after: Option<DateTime<Utc>>,
    /// At this time or later.
    pub updated_after: Option<DateTime<Utc>>,
    /// At this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Words of title or description, as people type them into a search box: quotes, `or`, `-`.
    pub words: Option<String>,
    pub include_deleted: bool,
    /// Where the actor is: decides what "today" is, and when days and wall-clock times are.
    pub time_zone: Tz,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due {
    None,
    Any,
    /// Not yet done or cancelled, and its time has passed; a day has passed once it is over.
    Overdue,
    Today,
}

/// The order of a list. Ties are broken by id in the same direction; what is never due comes last in
/// both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sort {
    pub key: SortKey,
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SortKey {
    CreatedAt,
    UpdatedAt,
    Due,
    /// From `none` to `urgent`.
    Priority,
    Position,
    /// As in a dictionary, by the first hundred characters.
    Title,
}

/// The last task of a page. It stands for "whatever comes after it", so that tasks that come and go
/// meanwhile neither repeat nor hide others.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Position {
    /// What the task is sorted by, as PostgreSQL writes it.
    pub key: String,
    pub id: Uuid,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub tasks: Vec<Task>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    pub total: i64,
    /// Whether there are more than were counted.
    pub is_lower_bound: bool,
}

#[derive(sqlx::FromRow)]
struct Listed {
    #[sqlx(flatten)]
    row: Row,
    sort_key: String,
}

/// Up to `limit` tasks that come after `after`, which has to be of the same sort.
///
/// # Errors
/// Only where the database fails.
pub async fn list(
    db: &mut PgConnection,
    actor: &Actor,
    filter: &Filter,
    sort: Sort,
    after: Option<&Position>,
    limit: u8,
) -> Result<Page> {
    let (key, cast) = sort.expression();
    let direction = if sort.descending { " desc" } else { "" };
    let mut query = QueryBuilder::new(
        "select id, project_id, parent_id, title, description, status, priority, due_date, due_local, due_at, \
         due_time_zone, start_date, start_local, start_at, start_time_zone, labels, position, created_at, created_by, \
         updated_at, completed_at, completed_by, deleted_at, version, seq, (",
    );
    query.push(key).push(")::text as sort_key");
    push_conditions(&mut query, actor, filter);
    if let Some(after) = after {
        query.push(" and (").push(key).push(", id)");
        query.push(if sort.descending { " < (" } else { " > (" });
        query.push_bind(after.key.clone()).push("::text").push(cast);
        query.push(", ").push_bind(after.id).push(")");
    }
    query
        .push(" order by ")
        .push(key)
        .push(direction)
        .push(", id")
        .push(direction);
    // One more than asked for tells whether there is a next page.
    query.push(" limit ").push_bind(i64::from(limit) + 1);
    let mut listed: Vec<Listed> = query.build_query_as().fetch_all(db).await?;
    let more = listed.len() > usize::from(limit);
    listed.truncate(limit.into());
    let next = listed.last().filter(|_| more).map(|last| Position {
        key: last.sort_key.clone(),
        id: last.row.id,
    });
    let tasks = listed.into_iter().map(|listed| listed.row.into()).collect();
    Ok(Page { tasks, next })
}

/// How many tasks there are, exactly up to 10,000.
///
/// # Errors
/// Only where the database fails.
pub async fn count(db: &mut PgConnection, actor: &Actor, filter: &Filter) -> Result<Count> {
    let mut query = QueryBuilder::new("select count(*) from (select 1");
    push_conditions(&mut query, actor, filter);
    query
        .push(" limit ")
        .push_bind(COUNTED + 1)
        .push(") as counted");
    let total: i64 = query.build_query_scalar().fetch_one(db).await?;
    Ok(Count {
        total: total.min(COUNTED),
        is_lower_bound: total > COUNTED,
    })
}

impl Sort {
    /// What is sorted by, never null, and the cast of its text.
    fn expression(self) -> (&'static str, &'static str) {
        match self.key {
            SortKey::CreatedAt => ("created_at", "::timestamptz"),
            SortKey::UpdatedAt => ("updated_at", "::timestamptz"),
            SortKey::Due if self.descending => (
                "coalesce(nullif(due_order(due_date, due_local, due_at), 'infinity'), '-infinity')",
                "::timestamp",
            ),
            SortKey::Due => ("due_order(due_date, due_local, due_at)", "::timestamp"),
            SortKey::Priority => (
                "array_position('{none,low,medium,high,urgent}'::text[], priority)",
                "::integer",
            ),
            SortKey::Position => ("position", r#" collate "C""#),
            SortKey::Title => (r#"left(title, 100) collate "und-x-icu""#, ""),
        }
    }
}

/// The tables and every condition but the page's.
fn push_conditions(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter) {
    // A subquery and not a join, so that the indexes' order is the list's.
    query.push(" from task where workspace_id = (select id from workspace where owner_id = ");
    query.push_bind(actor.user_id).push(")");
    if !filter.include_deleted {
        query.push(" and deleted_at is null");
    }
    if !filter.project_ids.is_empty() {
        query
            .push(" and project_id = any (")
            .push_bind(filter.project_ids.clone())
            .push(")");
    }
    if !filter.parent_ids.is_empty() {
        query
            .push(" and parent_id = any (")
            .push_bind(filter.parent_ids.clone())
            .push(")");
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<_> = filter
            .statuses
            .iter()
            .map(|status| status.as_str())
            .collect();
        query
            .push(" and status = any (")
            .push_bind(statuses)
            .push(")");
    }
    if !filter.priorities.is_empty() {
        let priorities: Vec<_> = filter
            .priorities
            .iter()
            .map(|priority| priority.as_str())
            .collect();
        query
            .push(" and priority = any (")
            .push_bind(priorities)
            .push(")");
    }
    if !filter.labels.is_empty() {
        query
            .push(" and labels && ")
            .push_bind(filter.labels.clone());
    }
    if !filter.not_labels.is_empty() {
        query
            .push(" and not labels && ")
            .push_bind(filter.not_labels.clone());
    }
    if let Some(time) = filter.updated_after {
        query.push(" and updated_at >= ").push_bind(time);
    }
    if let Some(time) = filter.created_after {
        query.push(" and created_at >= ").push_bind(time);
    }
    if let Some(words) = &filter.words {
        query.push(" and task_words(title, description) @@ websearch_to_tsquery('simple', ");
        query.push_bind(words.clone()).push(")");
    }
    push_due(query, filter);
}

fn push_due(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let zone = filter.time_zone;
    if let Some(time) = filter.due_before {
        query.push(" and ");
        push_due_before(query, time, time.with_timezone(&zone).naive_local());
    }
    if let Some(time) = filter.due_after {
        query.push(" and ");
        push_due_from(query, time, time.with_timezone(&zone).naive_local());
    }
    let now = Utc::now();
    let local = now.with_timezone(&zone).naive_local();
    for (index, due) in filter.due.iter().enumerate() {
        query.push(if index == 0 { " and (" } else { " or " });
        match due {
            Due::None => {
                query.push("due_order(due_date, due_local, due_at) = 'infinity'");
            }
            Due::Any => {
                query.push("due_order(due_date, due_local, due_at) < 'infinity'");
            }
            Due::Overdue => {
                query.push("(status in ('todo', 'in_progress') and ");
                push_due_before(query, now, local);
                query.push(" and due_date is distinct from ");
                query.push_bind(local.date()).push(")");
            }
            Due::Today => {
                let today = local.date().and_time(NaiveTime::MIN);
                let tomorrow = today + Days::new(1);
                query.push("(");
                push_due_from(query, instant(today, zone), today);
                query.push(" and ");
                push_due_before(query, instant(tomorrow, zone), tomorrow);
                query.push(")");
            }
        }
    }
    if !filter.due.is_empty() {
        query.push(")");
    }
}

/// Due before `time`, which is `local` on the actor's clock.
fn push_due_before(query: &mut QueryBuilder<Postgres>, time: DateTime<Utc>, local: NaiveDateTime) {
    // The first condition follows from the second, no zone being a day away from UTC; but an index
    // knows it.
    query.push("(due_order(due_date, due_local, due_at) < ");
    query.push_bind(time.naive_utc() + Days::new(1));
    query.push(" and coalesce(due_at < ").push_bind(time);
    query.push(", coalesce(due_local, due_date::timestamp) < ");
    query.push_bind(local).push("))");
}

/// Due at `time` or later, as [`push_due_before`].
fn push_due_from(query: &mut QueryBuilder<Postgres>, time: DateTime<Utc>, local: NaiveDateTime) {
    query.push("(due_order(due_date, due_local, due_at) >= ");
    query.push_bind(time.naive_utc() - Days::new(1));
    query.push(" and coalesce(due_at >= ").push_bind(time);
    query.push(", coalesce(due_local, due_date::timestamp) >= ");
    query.push_bind(local).push("))");
}

/// The instant of a wall-clock time; of two the earlier, and in a gap of the clock its end or nearly.
fn instant(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let in_zone = local.and_local_timezone(zone).earliest();
    let after_gap = || {
        (local + TimeDelta::hours(1))
            .and_local_timezone(zone)
            .earliest()
    };
    in_zone
        .or_else(after_gap)
        .map_or_else(|| local.and_utc(), |time| time.to_utc())
}
