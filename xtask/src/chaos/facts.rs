//! What the database says happened, as `worker/examples/prober/facts.rs` tells it.

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Facts {
    pub(super) jobs: Vec<Job>,
    /// Oldest first.
    pub(super) log: Vec<Attempt>,
    pub(super) effects: Vec<Effect>,
    pub(super) leases: Vec<Lease>,
    /// The probes whose cause was committed.
    pub(super) causes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) key: Option<String>,
    /// None where it is no probe.
    pub(super) probe: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) state: String,
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) crashes: i32,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Database,
    External,
    Slow,
    Fail,
    Crash,
}

/// How one attempt ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Attempt {
    pub(super) job: String,
    pub(super) attempt: i32,
    pub(super) outcome: String,
    pub(super) worker: Option<String>,
    /// Seconds since 1970, by the database's clock.
    pub(super) at: f64,
}

/// One worker's hold on a job, as the database itself wrote it down.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Lease {
    pub(super) job: String,
    pub(super) attempt: i32,
    pub(super) worker: Option<String>,
    /// Seconds since 1970.
    pub(super) begun: f64,
    /// As it was last extended.
    pub(super) until: f64,
    /// None where it never ended.
    pub(super) ended: Option<f64>,
}

/// A row that an attempt left.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Effect {
    pub(super) job: String,
    pub(super) attempt: i32,
}
