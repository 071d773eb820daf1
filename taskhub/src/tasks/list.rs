//! Lists of tasks: filtered, in any of eight orders, a page at a time.

mod by_completion;
mod by_due;
mod due;
mod words;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use self::words::Way;
use super::{Priority, Status, Task, row::Row};
use crate::{Result, changes::Actor};

/// Nobody waits for more than this to be counted.
pub const COUNTED: i64 = 10_000;

/// What a [`Row`] is read from, where `task` is the table.
const COLUMNS: &str = "id, project_id, parent_id, title, description, status, priority, due_date, due_local, due_at, \
    due_time_zone, start_date, start_local, start_at, start_time_zone, labels, position, created_at, created_by, \
    updated_at, completed_at, completed_by, deleted_at, version, seq, \
    (select deleted_at from task as parent where parent.id = task.parent_id) as parent_deleted_at, \
    (select array[count(*), count(*) filter (where child.status in ('todo', 'in_progress'))] \
        from task as child where child.parent_id = task.id and child.deleted_at is null) as children";

/// Which tasks. Empty lists and `None` allow everything; different fields all have to hold, of the
/// values of one field any may.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub project_ids: Vec<Uuid>,
    pub parent_ids: Vec<Uuid>,
    /// Those without a parent, beside those of `parent_ids`.
    pub top_level: bool,
    pub statuses: Vec<Status>,
    pub priorities: Vec<Priority>,
    pub labels: Vec<String>,
    /// Leaves out what has any of these.
    pub not_labels: Vec<String>,
    pub due: Vec<Due>,
    /// Due earlier than this for the reader.
    pub due_before: Option<DateTime<Utc>>,
    /// At this time or later.
    pub due_after: Option<DateTime<Utc>>,
    /// At this time or later.
    pub updated_after: Option<DateTime<Utc>>,
    /// At this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// At this time or later.
    pub completed_after: Option<DateTime<Utc>>,
    /// Earlier than this.
    pub completed_before: Option<DateTime<Utc>>,
    /// What is sought in title and description, as people type it into a search box: see [`crate::search::Query`].
    pub words: Option<String>,
    pub include_deleted: bool,
    /// Where the reader is: decides what "today" is, and when days and wall-clock times are.
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
    /// By the moment at which it is due for the reader.
    Due,
    /// What is not done comes last in both directions.
    CompletedAt,
    /// From `none` to `urgent`.
    Priority,
    Position,
    /// As in a dictionary, by the first hundred characters.
    Title,
    /// How well a task fits the words that are sought. Only with [`Filter::words`] and descending.
    Relevance,
}

/// An order that columns tell.
#[derive(Clone, Copy, Debug)]
struct Order {
    /// What is sorted by, never null.
    key: &'static str,
    /// From its text.
    cast: &'static str,
    descending: bool,
    /// Whether an index holds it.
    indexed: bool,
}

/// The last task of a page. It stands for "whatever comes after it", so that tasks that come and go
/// meanwhile neither repeat nor hide others.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Position {
    /// What the task is sorted by, as PostgreSQL writes it, or as [`by_due`] does.
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
    let Some(order) = sort.order() else {
        let way = words::way(db, actor, filter).await?;
        let descending = sort.descending;
        return if sort.key == SortKey::CompletedAt {
            by_completion::list(db, actor, filter, way, descending, after, limit).await
        } else {
            by_due::list(db, actor, filter, way, descending, after, limit).await
        };
    };
    if sort.key == SortKey::Relevance {
        return words::most_relevant(db, actor, filter, order, after, limit).await;
    }
    if filter.words.is_some() {
        return words::list(db, actor, filter, order, after, limit).await;
    }
    let mut query = select(order);
    push_conditions(&mut query, actor, filter, Way::Each);
    push_after(&mut query, order, after);
    push_order(&mut query, order);
    // One more than asked for tells whether there is a next page.
    query.push(" limit ").push_bind(i64::from(limit) + 1);
    let listed: Vec<Listed> = query.build_query_as().fetch_all(db).await?;
    Ok(Page::new(listed, limit))
}

/// How many tasks there are, exactly up to 10,000.
///
/// # Errors
/// Only where the database fails.
pub async fn count(db: &mut PgConnection, actor: &Actor, filter: &Filter) -> Result<Count> {
    let mut query = QueryBuilder::new("select count(*) from (select 1");
    push_conditions(&mut query, actor, filter, Way::Index);
    query
        .push(" limit ")
        .push_bind(COUNTED + 1)
        .push(") as counted");
    let total: i64 = if filter.words.is_some() {
        let mut db = words::with_room(db).await?;
        let total = query.build_query_scalar().fetch_one(&mut *db).await?;
        db.commit().await?;
        total
    } else {
        query.build_query_scalar().fetch_one(db).await?
    };
    Ok(Count {
        total: total.min(COUNTED),
        is_lower_bound: total > COUNTED,
    })
}

impl Sort {
    /// `None` where no single column tells the order: that by due time depends on the reader, and what is not
    /// done comes last in both directions.
    fn order(self) -> Option<Order> {
        let (key, cast, indexed) = match self.key {
            SortKey::CreatedAt => ("created_at", "::timestamptz", true),
            SortKey::UpdatedAt => ("updated_at", "::timestamptz", true),
            SortKey::Due | SortKey::CompletedAt => return None,
            SortKey::Priority => (
                "array_position('{none,low,medium,high,urgent}'::text[], priority)",
                "::integer",
                false,
            ),
            SortKey::Position => ("position", r#" collate "C""#, true),
            SortKey::Title => (r#"left(title, 100) collate "und-x-icu""#, "", false),
            SortKey::Relevance => (words::RELEVANCE, "::real", false),
        };
        Some(Order {
            key,
            cast,
            descending: self.descending,
            indexed,
        })
    }
}

impl Page {
    /// Of what was listed, which is one task more than the page has where there is a next one.
    fn new(mut listed: Vec<Listed>, limit: u8) -> Self {
        let more = listed.len() > usize::from(limit);
        listed.truncate(limit.into());
        let next = listed.last().filter(|_| more).map(|last| Position {
            key: last.sort_key.clone(),
            id: last.row.id,
        });
        let tasks = listed.into_iter().map(|listed| listed.row.into()).collect();
        Self { tasks, next }
    }
}

fn select(order: Order) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("select ");
    query.push(COLUMNS).push(", (").push(order.key);
    query.push(")::text as sort_key");
    query
}

/// Only what comes after a page.
fn push_after(query: &mut QueryBuilder<Postgres>, order: Order, after: Option<&Position>) {
    let Some(after) = after else { return };
    query.push(" and (").push(order.key).push(", id)");
    query.push(if order.descending { " < (" } else { " > (" });
    query.push_bind(after.key.clone()).push("::text");
    query
        .push(order.cast)
        .push(", ")
        .push_bind(after.id)
        .push(")");
}

fn push_order(query: &mut QueryBuilder<Postgres>, order: Order) {
    let key = order.key;
    let direction = if order.descending { " desc" } else { "" };
    query.push(format!(" order by {key}{direction}, id{direction}"));
}

/// The tables and every condition but the page's. Words are found in this way, if the index is of use.
fn push_conditions(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter, way: Way) {
    if way == Way::Index && words::is_indexed(filter) {
        words::push_indexed(query, actor, filter);
        push_own_conditions(query, actor, filter);
    } else {
        push_own(query, actor, filter);
        push_filters(query, actor, filter, Way::Each);
    }
}

/// The actor's tasks.
fn push_own(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter) {
    query.push(" from task");
    push_own_conditions(query, actor, filter);
}

fn push_own_conditions(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter) {
    // A subquery and not a join, so that the indexes' order is the list's.
    query.push(" where workspace_id = (select id from workspace where owner_id = ");
    query.push_bind(actor.user_id).push(")");
    if !filter.include_deleted {
        query.push(" and deleted_at is null");
    }
}

/// The conditions that a person chose.
fn push_filters(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter, way: Way) {
    if !filter.project_ids.is_empty() {
        query
            .push(" and project_id = any (")
            .push_bind(filter.project_ids.clone())
            .push(")");
    }
    if filter.top_level || !filter.parent_ids.is_empty() {
        query.push(" and (");
        if filter.top_level {
            query.push("parent_id is null or ");
        }
        query
            .push("parent_id = any (")
            .push_bind(filter.parent_ids.clone())
            .push("))");
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
    if let Some(time) = filter.completed_after {
        query.push(" and completed_at >= ").push_bind(time);
    }
    if let Some(time) = filter.completed_before {
        query.push(" and completed_at < ").push_bind(time);
    }
    words::push_found(query, actor, filter, way);
    due::push_conditions(query, filter);
}
