//! The broker: Redis says that there is something to do, PostgreSQL says what.
//!
//! Nothing here holds a fact. Losing every key delays work by seconds and loses none of it.

mod link;
pub mod tickets;

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use redis::{Client, aio::ConnectionManager};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// The queue of every job that names no other.
pub const DEFAULT: &str = "default";

/// The longest a ring may take; the next poll finds the job anyway.
const RING_TIMEOUT: Duration = Duration::from_millis(500);

/// Between two attempts to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

const LONG_SILENCE: Duration = Duration::from_secs(60);

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

/// Hears the doorbell, for as long as it is kept.
#[derive(Debug)]
pub struct Listener {
    heard: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Listener {
    /// Listens from a task of its own, through every absence of Redis.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(client: Client, keys: &Keys) -> Self {
        let heard = Arc::new(Notify::new());
        let (channel, rung) = (keys.bell.clone(), heard.clone());
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&client, &channel, &rung).await {
                    tracing::debug!(error = %format_args!("{error:#}"), "the doorbell cannot be heard");
                }
                sleep(LISTEN_PAUSE).await;
            }
        });
        Self {
            heard,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Resolves once it has rung since the last time.
    pub async fn heard(&self) {
        self.heard.notified().await;
    }
}

/// Ends with the connection, or after a long silence, which may mean that the connection is dead.
async fn listen(client: &Client, channel: &str, rung: &Notify) -> anyhow::Result<()> {
    let mut subscription = timeout(RING_TIMEOUT, client.get_async_pubsub()).await??;
    timeout(RING_TIMEOUT, subscription.subscribe(channel)).await??;
    let mut rings = subscription.on_message();
    while timeout(LONG_SILENCE, rings.next()).await?.is_some() {
        rung.notify_one();
    }
    Ok(())
}
