//! Which tasks are due when. The reader's [`Clock`] says when something is due; here its answers
//! become conditions on the columns.

use chrono::{DateTime, Days, NaiveDateTime, NaiveTime, Utc};
use sqlx::{Postgres, QueryBuilder};

use super::{Due, Filter};
use crate::due::{Clock, Stretch};

/// The conditions of a filter that are about due times, each with `and` before it.
pub(super) fn push_conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let clock = Clock::new(filter.time_zone);
    if let Some(time) = filter.due_before {
        query.push(" and ");
        push_before(query, clock, time);
    }
    if let Some(time) = filter.due_after {
        query.push(" and ");
        push_since(query, clock, time);
    }
    let now = Utc::now();
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
                push_before(query, clock, now);
                // A day has passed when the next one has begun.
                query.push(" and (due_date is null or due_date < ");
                query.push_bind(clock.day(now)).push("))");
            }
            Due::Today => {
                let today = clock.day(now);
                query.push("(");
                push_since(query, clock, clock.beginning(today));
                query.push(" and ");
                push_before(query, clock, clock.beginning(today + Days::new(1)));
                query.push(")");
            }
        }
    }
    if !filter.due.is_empty() {
        query.push(")");
    }
}

/// Due before `time`.
fn push_before(query: &mut QueryBuilder<Postgres>, clock: Clock, time: DateTime<Utc>) {
    // The first condition follows from the second, no zone being a day away from UTC; but an index
    // knows it.
    query.push("(due_order(due_date, due_local, due_at) < ");
    query.push_bind(time.naive_utc() + Days::new(1));
    query.push(" and (due_at < ").push_bind(time);
    push_within(query, &clock.before(time));
    query.push("))");
}

/// Due at `time` or later.
fn push_since(query: &mut QueryBuilder<Postgres>, clock: Clock, time: DateTime<Utc>) {
    query.push("(due_order(due_date, due_local, due_at) >= ");
    query.push_bind(time.naive_utc() - Days::new(1));
    query.push(" and (due_at >= ").push_bind(time);
    push_within(query, &clock.since(time));
    query.push("))");
}

/// Or due at a wall-clock time, or on a day that begins, within one of `stretches`.
fn push_within(query: &mut QueryBuilder<Postgres>, stretches: &[Stretch]) {
    for stretch in stretches {
        query.push(" or (due_at is null");
        if let Some(from) = stretch.from {
            query.push(" and (due_local >= ").push_bind(from);
            query
                .push(" or due_date >= ")
                .push_bind(first_day(from))
                .push(")");
        }
        if let Some(to) = stretch.to {
            query.push(" and (due_local < ").push_bind(to);
            query
                .push(" or due_date < ")
                .push_bind(first_day(to))
                .push(")");
        }
        query.push(")");
    }
}

/// The first day that begins at this time or later.
fn first_day(time: NaiveDateTime) -> chrono::NaiveDate {
    let day = time.date();
    if time.time() == NaiveTime::MIN {
        day
    } else {
        day + Days::new(1)
    }
}
