//! The list in the order of completion: first what is done, then what is not, in both directions.
//!
//! Both parts stand in `task_completed_idx`, one after the other, so a page is read from one of them or from both.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::{PgConnection, QueryBuilder};
use uuid::Uuid;

use super::{COLUMNS, Filter, Page, Position, push_conditions, words::Way};
use crate::{
    Error, Result,
    changes::Actor,
    tasks::{Status, Task, row::Row},
};

/// The key of the tasks that are not done, in a cursor.
const OPEN: &str = "open";

/// The tasks of one part that come after a place.
enum Part {
    Done(Option<(DateTime<Utc>, Uuid)>),
    Open(Option<Uuid>),
}

struct Reader<'r> {
    actor: &'r Actor,
    filter: &'r Filter,
    way: Way,
    descending: bool,
}

/// As [`super::list`], which calls it.
pub(super) async fn list(
    db: &mut PgConnection,
    actor: &Actor,
    filter: &Filter,
    way: Way,
    descending: bool,
    after: Option<&Position>,
    limit: u8,
) -> Result<Page> {
    let reader = Reader {
        actor,
        filter,
        way,
        descending,
    };
    // One more than asked for tells whether there is a next page.
    let most = usize::from(limit) + 1;
    let mut next = after.map_or(Ok(Part::Done(None)), Part::after)?;
    let mut tasks = Vec::new();
    if let Part::Done(_) = next {
        tasks = reader.read(db, &next, most).await?;
        next = Part::Open(None);
    }
    if tasks.len() < most && filter.allows_open() {
        let rest = most - tasks.len();
        tasks.extend(reader.read(db, &next, rest).await?);
    }
    let more = tasks.len() == most;
    tasks.truncate(limit.into());
    let next = tasks.last().filter(|_| more).map(position);
    Ok(Page { tasks, next })
}

fn position(task: &Task) -> Position {
    let key = task.completed_at.map_or_else(
        || OPEN.to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Micros, true),
    );
    Position { key, id: task.id }
}

impl Part {
    fn after(position: &Position) -> Result<Self> {
        if position.key == OPEN {
            return Ok(Self::Open(Some(position.id)));
        }
        let at = position.key.parse().map_err(|_| Error::InvalidCursor)?;
        Ok(Self::Done(Some((at, position.id))))
    }
}

impl Filter {
    /// Whether a task that is not done can pass.
    fn allows_open(&self) -> bool {
        let bounded = self.completed_after.is_some() || self.completed_before.is_some();
        let only_done = self.statuses.iter().all(|status| *status == Status::Done);
        !bounded && (self.statuses.is_empty() || !only_done)
    }
}

impl Reader<'_> {
    async fn read(&self, db: &mut PgConnection, part: &Part, most: usize) -> Result<Vec<Task>> {
        let (direction, comparison) = if self.descending {
            (" desc", " < ")
        } else {
            ("", " > ")
        };
        let mut query = QueryBuilder::new("select ");
        query.push(COLUMNS);
        push_conditions(&mut query, self.actor, self.filter, self.way);
        match part {
            Part::Done(after) => {
                query.push(" and completed_at is not null");
                if let Some((at, id)) = after {
                    query.push(" and (completed_at, id)").push(comparison);
                    query.push("(").push_bind(*at).push(", ");
                    query.push_bind(*id).push(")");
                }
            }
            Part::Open(after) => {
                query.push(" and completed_at is null");
                if let Some(id) = after {
                    query.push(" and id").push(comparison).push_bind(*id);
                }
            }
        }
        query.push(format!(
            " order by completed_at{direction}, id{direction} limit {most}"
        ));
        let rows: Vec<Row> = query.build_query_as().fetch_all(db).await?;
        Ok(rows.into_iter().map(Task::from).collect())
    }
}
