//! What the worker counts. The names are part of what operators build on.

use std::time::Duration;

use metrics::{Label, gauge};
use taskhub::jobs::{
    counts::{Count, Totals},
    leases::{Lease, Setback},
};

use crate::attempt::Outcome;

/// Where a claim's ids came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Tickets.
    Redis,
    /// The table itself, because Redis is away or has been silent for long.
    Postgres,
}

pub(crate) fn claimed(source: Source, leases: &[Lease]) {
    let source = match source {
        Source::Redis => "redis",
        Source::Postgres => "postgres",
    };
    metrics::counter!("jobs_claimed_total", "source" => source).increment(leases.len() as u64);
    for lease in leases {
        metrics::histogram!("job_wait_seconds", "kind" => lease.rules.kind).record(lease.waited);
    }
}

pub(crate) fn ended(kind: &'static str, outcome: Outcome, duration: Duration) {
    let outcome = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Deferred => "deferred",
        Outcome::Dead => "dead",
        Outcome::Cancelled => "cancelled",
        // The leader that rescues the job counts its loss.
        Outcome::Lost | Outcome::Abandoned => return,
    };
    count(kind, outcome);
    metrics::histogram!("job_seconds", "kind" => kind, "outcome" => outcome).record(duration);
}

pub(crate) fn rescued(kind: &str, setback: Setback) {
    let outcome = match setback {
        Setback::Dead => "dead",
        Setback::Cancelled => "cancelled",
        Setback::Lost => "lost",
        Setback::Failed => "failed",
    };
    count(kind, outcome);
}

/// An attempt's end that PostgreSQL did not take.
pub(crate) fn unwritten(is_for_good: bool) {
    let reason = if is_for_good { "refused" } else { "outage" };
    metrics::counter!("jobs_ends_unwritten_total", "reason" => reason).increment(1);
}

/// Redis did not let the leader issue tickets.
pub(crate) fn tickets_refused() {
    metrics::counter!("jobs_tickets_refused_total").increment(1);
}

fn count(kind: &str, outcome: &'static str) {
    metrics::counter!("jobs_ended_total", "kind" => kind.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// What the leader has counted in the table. All of it is zero again once it is dropped, so that the
/// sum over all workers is right.
#[derive(Default)]
pub(crate) struct Gauges {
    shown: Vec<Count>,
}

impl Gauges {
    pub(crate) fn show(&mut self, counts: &[Count], totals: &Totals) {
        // What has gone since the last time is zero now.
        for gone in &self.shown {
            by_kind(&Count {
                queue: gone.queue.clone(),
                kind: gone.kind.clone(),
                args_version: gone.args_version,
                ..Count::default()
            });
        }
        counts.iter().for_each(by_kind);
        all(totals);
        self.shown = counts.to_vec();
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        if !self.shown.is_empty() {
            self.show(&[], &Totals::default());
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bounded by the limit of counting"
)]
fn all(totals: &Totals) {
    let states = [
        ("due", totals.due),
        ("paused", totals.paused),
        ("scheduled", totals.scheduled),
        ("running", totals.running),
        ("dead", totals.dead),
        ("unknown", totals.unknown),
        ("unserved", totals.unserved),
    ];
    for (state, count) in states {
        gauge!("jobs", "state" => state).set(count as f64);
    }
    gauge!("jobs_oldest_seconds").set(totals.oldest);
    gauge!("jobs_paused_oldest_seconds").set(totals.paused_oldest);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bounded by the limit of counting"
)]
fn by_kind(count: &Count) {
    let labels = vec![
        Label::new("queue", count.queue.clone()),
        Label::new("kind", count.kind.clone()),
        Label::new("version", count.args_version.to_string()),
    ];
    let (due, paused, oldest) = if count.is_paused {
        (0, count.due, Duration::ZERO)
    } else {
        (count.due, 0, count.oldest)
    };
    let states = [
        ("due", due),
        ("paused", paused),
        ("scheduled", count.scheduled),
        ("running", count.running),
        ("dead", count.dead),
    ];
    for (state, number) in states {
        let mut labels = labels.clone();
        labels.push(Label::new("state", state));
        gauge!("jobs_by_kind", labels).set(number as f64);
    }
    gauge!("jobs_by_kind_oldest_seconds", labels).set(oldest);
}
