//! The list in the order of the moments at which tasks are due for the reader.
//!
//! No index can hold that order, because each reader has a time zone of their own. But the index
//! `task_due_form_idx` holds the tasks of each form (instants, wall-clock times, days) in an order of
//! their own, and a page is merged from the beginnings of those three ranges. Where the clocks go
//! forward, wall-clock times are not in the order of their moments: 02:30, which is skipped, is half an
//! hour later than 03:00. So a range is cut there, and its parts are merged too.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{COLUMNS, Filter, Page, Position, push_conditions, words::Way};
use crate::{
    Error, Result,
    changes::Actor,
    due::{Clock, Stretch},
    tasks::{Task, row::Row},
};

/// What the index sorts the tasks of one form by: an instant's time in UTC, a wall-clock time, the
/// beginning of a day.
const ORDER: &str = "due_order(due_date, due_local, due_at)";

/// The smallest step between two times that are stored.
const TICK: TimeDelta = TimeDelta::microseconds(1);

/// The forms of due times, by their numbers in `due_form`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Form {
    Never = 0,
    At = 1,
    Local = 2,
    Date = 3,
}

/// Where a task stands in the list.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// `None` is after every moment, in both directions.
    moment: Option<DateTime<Utc>>,
    id: Uuid,
}

/// A part of the index whose entries are to be merged.
#[derive(Clone, Copy, Debug)]
struct Range {
    form: Form,
    stretch: Stretch,
    /// Leaves out the entries of this time (`None` for never) up to this id, or from it on in a
    /// descending list.
    cut: Option<(Option<NaiveDateTime>, Uuid)>,
}

#[derive(sqlx::FromRow)]
struct Found {
    #[sqlx(flatten)]
    row: Row,
    range: i32,
}

/// Reads ranges of the index.
struct Reader<'r> {
    actor: &'r Actor,
    filter: &'r Filter,
    way: Way,
    clock: Clock,
    descending: bool,
    /// The most tasks that a range gives.
    most: usize,
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
    let clock = Clock::new(filter.time_zone);
    let after = after
        .map(|position| Place::read(position, clock))
        .transpose()?;
    let most = usize::from(limit) + 1;
    let reader = Reader {
        actor,
        filter,
        way,
        clock,
        descending,
        most,
    };
    let mut tasks = match after {
        Some(Place { moment: None, .. }) => Vec::new(),
        Some(_) | None => reader.due(db, after).await?,
    };
    if tasks.len() < most {
        let never = Range {
            form: Form::Never,
            stretch: Stretch {
                from: None,
                to: None,
            },
            cut: after
                .filter(|place| place.moment.is_none())
                .map(|place| (None, place.id)),
        };
        let found = reader.read(db, &[never], most - tasks.len()).await?;
        tasks.extend(found.into_iter().map(|found| (None, found.row.into())));
    }
    let more = tasks.len() == most;
    tasks.truncate(limit.into());
    let next = tasks
        .last()
        .filter(|_| more)
        .map(|(moment, task): &(_, Task)| {
            Place {
                moment: *moment,
                id: task.id,
            }
            .write(clock)
        });
    let tasks = tasks.into_iter().map(|(_, task)| task).collect();
    Ok(Page { tasks, next })
}

impl Place {
    /// As the key of a cursor: the moment and the reader's zone.
    fn write(self, clock: Clock) -> Position {
        let moment = self.moment.map_or("never".to_owned(), |moment| {
            moment.to_rfc3339_opts(SecondsFormat::Micros, true)
        });
        Position {
            key: format!("{moment} {}", clock.zone().name()),
            id: self.id,
        }
    }

    /// # Errors
    /// [`Error::InvalidCursor`] where the reader had another zone then: the order was another one.
    fn read(position: &Position, clock: Clock) -> Result<Self> {
        let (moment, zone) = position.key.split_once(' ').ok_or(Error::InvalidCursor)?;
        if zone != clock.zone().name() {
            return Err(Error::InvalidCursor);
        }
        let moment = match moment {
            "never" => None,
            moment => Some(moment.parse().map_err(|_| Error::InvalidCursor)?),
        };
        Ok(Self {
            moment,
            id: position.id,
        })
    }
}

impl Reader<'_> {
    /// What is due after `after`, the first `most` of it, with its moments.
    async fn due(
        &self,
        db: &mut PgConnection,
        after: Option<Place>,
    ) -> Result<Vec<(Option<DateTime<Utc>>, Task)>> {
        let after = after.and_then(|place| Some((place.moment?, place.id)));
        let ranges = self.ranges(after);
        let mut found = self.read(db, &ranges, self.most).await?;
        let others = self.overlooked(&ranges, &found);
        if !others.is_empty() {
            found.extend(self.read(db, &others, self.most).await?);
        }
        let mut tasks: Vec<_> = found
            .into_iter()
            .map(|found| {
                let task = Task::from(found.row);
                (task.due.as_ref().map(|due| self.clock.due(due)), task)
            })
            .collect();
        tasks.sort_by_key(|(moment, task)| (*moment, task.id));
        if self.descending {
            tasks.reverse();
        }
        tasks.truncate(self.most);
        Ok(tasks)
    }

    /// The ranges that hold what comes after a place.
    fn ranges(&self, after: Option<(DateTime<Utc>, Uuid)>) -> Vec<Range> {
        let whole = Stretch {
            from: None,
            to: None,
        };
        let Some((moment, id)) = after else {
            return [Form::At, Form::Local, Form::Date]
                .map(|form| Range {
                    form,
                    stretch: whole,
                    cut: None,
                })
                .into();
        };
        let at = Range {
            form: Form::At,
            stretch: whole,
            cut: Some((Some(moment.naive_utc()), id)),
        };
        let stretches = if self.descending {
            self.clock.before(moment + TICK)
        } else {
            self.clock.since(moment)
        };
        let local = stretches.into_iter().flat_map(|stretch| {
            let edge = if self.descending {
                stretch.to.map(|to| to - TICK)
            } else {
                stretch.from
            };
            let edge = edge.filter(|edge| self.clock.moment(*edge) == moment);
            let cut = edge.map(|edge| (Some(edge), id));
            [Form::Local, Form::Date].map(|form| Range { form, stretch, cut })
        });
        [at].into_iter().chain(local).collect()
    }

    /// What a range that gave as much as it may left out, although its moment lies before that of the
    /// last task it gave: wall-clock times on the other side of a change of the clocks.
    fn overlooked(&self, ranges: &[Range], found: &[Found]) -> Vec<Range> {
        let mut given: BTreeMap<usize, Vec<&Row>> = BTreeMap::new();
        for found in found {
            let range = usize::try_from(found.range).unwrap_or_default();
            given.entry(range).or_default().push(&found.row);
        }
        let mut others = Vec::new();
        for (range, rows) in given {
            // Only the range without an end goes over other changes than that at its beginning.
            let Some(range) = ranges.get(range) else {
                continue;
            };
            let end = if self.descending {
                range.stretch.from
            } else {
                range.stretch.to
            };
            if rows.len() < self.most || end.is_some() {
                continue;
            }
            let times = rows.iter().filter_map(|row| match range.form {
                Form::Local => row.due_local,
                Form::Date => row.due_date.map(|date| date.and_time(NaiveTime::MIN)),
                Form::At | Form::Never => None,
            });
            let last = if self.descending {
                times.min()
            } else {
                times.max()
            };
            let Some(last) = last else { continue };
            others.extend(self.beyond(last).into_iter().map(|stretch| Range {
                form: range.form,
                stretch,
                cut: None,
            }));
        }
        others
    }

    /// The wall-clock times that come after `last` in the index and not after it in the list.
    fn beyond(&self, last: NaiveDateTime) -> Vec<Stretch> {
        let moment = self.clock.moment(last);
        let mut stretches = if self.descending {
            self.clock.since(moment)
        } else {
            self.clock.before(moment + TICK)
        };
        stretches.retain(|stretch| {
            if self.descending {
                stretch.to.is_some_and(|to| to <= last)
            } else {
                stretch.from.is_some_and(|from| from > last)
            }
        });
        stretches
    }

    /// The first tasks of each range, at most `most` of each.
    async fn read(
        &self,
        db: &mut PgConnection,
        ranges: &[Range],
        most: usize,
    ) -> Result<Vec<Found>> {
        let mut query = QueryBuilder::new("");
        for (index, range) in ranges.iter().enumerate() {
            query.push(if index == 0 { "(" } else { " union all (" });
            query.push("select ").push(COLUMNS).push(", ");
            query
                .push_bind(i32::try_from(index).unwrap_or_default())
                .push(" as range");
            push_conditions(&mut query, self.actor, self.filter, self.way);
            self.push_range(&mut query, range);
            let direction = if self.descending { " desc" } else { "" };
            query.push(" order by ").push(ORDER).push(direction);
            query.push(", id").push(direction);
            query.push(" limit ");
            query
                .push_bind(i64::try_from(most).unwrap_or(i64::MAX))
                .push(")");
        }
        Ok(query.build_query_as().fetch_all(db).await?)
    }

    fn push_range(&self, query: &mut QueryBuilder<Postgres>, range: &Range) {
        query.push(" and due_form(due_date, due_local, due_at) = ");
        query.push_bind(range.form as i16);
        let Stretch { from, to } = range.stretch;
        if let Some(from) = from {
            query.push(" and ").push(ORDER).push(" >= ").push_bind(from);
        }
        if let Some(to) = to {
            query.push(" and ").push(ORDER).push(" < ").push_bind(to);
        }
        let Some((time, id)) = range.cut else { return };
        query.push(" and (").push(ORDER).push(", id)");
        query.push(if self.descending { " < (" } else { " > (" });
        match time {
            Some(time) => query.push_bind(time),
            None => query.push("'infinity'::timestamp"),
        };
        query.push(", ").push_bind(id).push(")");
    }
}
