//! What the worker counts. The names are part of what operators build on.

use std::time::Duration;

use taskhub::jobs::{
    leases::{Lease, Setback},
    waiting::Counts,
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
        metrics::histogram!("job_wait_seconds", "kind" => lease.kind.clone()).record(lease.waited);
    }
}

pub(crate) fn ended(kind: &str, outcome: Outcome, duration: Duration) {
    let outcome = match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Dead => "dead",
        // The leader that rescues the job counts its loss.
        Outcome::Lost | Outcome::Abandoned => return,
    };
    count(kind, outcome);
    metrics::histogram!("job_seconds", "kind" => kind.to_owned(), "outcome" => outcome)
        .record(duration);
}

pub(crate) fn rescued(kind: &str, setback: Setback) {
    count(
        kind,
        if setback == Setback::Dead {
            "dead"
        } else {
            "lost"
        },
    );
}

fn count(kind: &str, outcome: &'static str) {
    metrics::counter!("jobs_ended_total", "kind" => kind.to_owned(), "outcome" => outcome)
        .increment(1);
}

/// Only the leader counts the table; whoever stops leading sets these to zero, so that the sum over
/// all workers is right.
#[expect(clippy::cast_precision_loss, reason = "bounded by a hundred thousand")]
pub(crate) fn counted(counts: &Counts) {
    let states = [
        ("due", counts.due),
        ("scheduled", counts.scheduled),
        ("running", counts.running),
        ("dead", counts.dead),
        ("unknown", counts.unknown),
    ];
    for (state, count) in states {
        metrics::gauge!("jobs", "state" => state).set(count as f64);
    }
    metrics::gauge!("jobs_oldest_seconds").set(counts.oldest);
}
