//! The broker: Redis says that there is something to do, PostgreSQL says what.
//!
//! Nothing here holds a fact. Losing every key delays work by seconds and loses none of it.

use std::time::Duration;

use redis::aio::ConnectionManager;
use tokio::{sync::mpsc, time::timeout};

/// The queue of every job that names no other.
pub const DEFAULT: &str = "default";

/// The longest a ring may take; the next poll finds the job anyway.
const RING_TIMEOUT: Duration = Duration::from_millis(500);

/// The names of one queue's keys. They share a hash tag, so that one script may touch them all on a
/// cluster, and a prefix, so that several installations (or tests) share a server.
#[derive(Clone, Debug)]
pub struct Keys {
    /// A channel: something is due.
    pub bell: String,
    /// A stream of job ids, read by one consumer group.
    pub tickets: String,
    /// A sorted set of the ids in the stream, scored by when they were issued (milliseconds).
    pub out: String,
}

impl Keys {
    pub fn new(prefix: &str, queue: &str) -> Self {
        let name = |part| format!("{prefix}{{jobs:{queue}}}:{part}");
        Self {
            bell: name("bell"),
            tickets: name("tickets"),
            out: name("out"),
        }
    }
}

/// Tells the workers that a job was committed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Doorbell {
    ring: mpsc::Sender<()>,
}

impl Doorbell {
    /// Rings over `redis` from a task of its own, which ends with the last clone.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(mut redis: ConnectionManager, keys: &Keys) -> Self {
        // One ring in waiting says as much as many.
        let (ring, mut rings) = mpsc::channel(1);
        let channel = keys.bell.clone();
        tokio::spawn(async move {
            while rings.recv().await.is_some() {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(&channel).arg("");
                let published = timeout(RING_TIMEOUT, publish.query_async::<()>(&mut redis)).await;
                if !matches!(published, Ok(Ok(()))) {
                    tracing::debug!("nobody heard the doorbell; the next poll finds the job");
                }
            }
        });
        Self { ring }
    }

    /// To be called after the commit. Never waits and never fails: an unheard ring costs the job one
    /// poll interval.
    pub fn ring(&self) {
        // Full: a ring is in waiting already.
        let _ = self.ring.try_send(());
    }
}
