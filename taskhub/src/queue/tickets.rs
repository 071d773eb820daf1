//! Tickets: ids of jobs that are due, issued by the leader and taken by whichever worker is free.
//!
//! A ticket promises nothing. A stale, doubled or foreign one is a claim that finds nothing, and one
//! that is lost is issued again after [`FORGET`].

use std::{sync::LazyLock, time::Duration};

use redis::{Client, RedisResult, Script, aio::MultiplexedConnection, streams::StreamReadReply};

use super::{Keys, link::Link};

/// How many tickets may be out at a time. A job that is more urgent waits behind this many at most.
pub const WINDOW: usize = 512;

/// After so long a ticket counts as lost.
const FORGET: Duration = Duration::from_secs(5);

/// So that a queue which nobody serves any more leaves nothing behind.
const EXPIRY: Duration = Duration::from_secs(3600);

/// A second more than the longest wait of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

const ISSUE_TIMEOUT: Duration = Duration::from_secs(1);

const GROUP: &str = "workers";

/// Every worker reads under one name: tickets are read without acknowledgement, so that the group
/// keeps no list of what it gave to whom.
const CONSUMER: &str = "worker";

/// Forgets what was issued too long ago, then issues as many of the ids as the window has room for,
/// leaving out those that are out already. Gives how many it issued.
static ISSUE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local tickets, out = KEYS[1], KEYS[2]
        local window, forget, expiry = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        redis.call('ZREMRANGEBYSCORE', out, '-inf', now - forget)
        redis.call('XTRIM', tickets, 'MINID', now - forget)
        local room, issued = window - redis.call('ZCARD', out), 0
        for i = 4, #ARGV do
            if issued >= room then break end
            if redis.call('ZADD', out, 'NX', now, ARGV[i]) == 1 then
                redis.call('XADD', tickets, '*', 'job', ARGV[i])
                issued = issued + 1
            end
        end
        redis.call('EXPIRE', tickets, expiry)
        redis.call('EXPIRE', out, expiry)
        return issued
        ",
    )
});

/// Why no tickets were issued.
#[derive(Debug)]
pub enum Unissued {
    /// Redis does not answer.
    Away,
    /// It answers and refuses, such as to a user that may run no scripts.
    Refused(redis::RedisError),
}

/// The leader's side.
pub struct Issuer {
    link: Link,
    keys: Keys,
}

impl Issuer {
    pub async fn open(client: Client, keys: Keys) -> Self {
        Self {
            link: Link::open(client, ISSUE_TIMEOUT).await,
            keys,
        }
    }

    /// Issues tickets for those of `ids` that have none, in this order and as far as the window has
    /// room, and gives how many.
    ///
    /// # Errors
    /// Where none could be issued, and then the next call tries again.
    pub async fn issue(&mut self, ids: &[i64]) -> Result<usize, Unissued> {
        let Some(connection) = self.link.connection().await else {
            return Err(Unissued::Away);
        };
        let mut call = ISSUE.prepare_invoke();
        call.key(&self.keys.tickets).key(&self.keys.out);
        call.arg(WINDOW)
            .arg(milliseconds(FORGET))
            .arg(EXPIRY.as_secs())
            .arg(ids);
        match call.invoke_async(connection).await {
            Ok(issued) => Ok(issued),
            Err(error) if error.code().is_some() => Err(Unissued::Refused(error)),
            Err(error) => {
                tracing::debug!(%error, "no tickets could be issued");
                self.link.renew();
                Err(Unissued::Away)
            }
        }
    }
}

/// One ticket, taken.
#[derive(Debug)]
pub struct Ticket {
    entry: String,
    pub job_id: i64,
}

/// A worker's side.
pub struct Taker {
    link: Link,
    keys: Keys,
}

impl Taker {
    /// The longest a [`Taker::take`] may wait.
    pub const MAX_WAIT: Duration = Duration::from_secs(1);

    pub async fn open(client: Client, keys: Keys) -> Self {
        Self {
            link: Link::open(client, READ_TIMEOUT).await,
            keys,
        }
    }

    /// Up to `count` tickets, waiting up to [`Taker::MAX_WAIT`] for the first; none while Redis is
    /// away, at once.
    pub async fn take(&mut self, count: usize) -> Option<Vec<Ticket>> {
        let connection = self.link.connection().await?;
        let taken = match read(connection, &self.keys, count).await {
            Ok(tickets) => Ok(tickets),
            // The group went with everything else, or never was.
            Err(error) if error.code().is_some() => create_group(connection, &self.keys)
                .await
                .map(|()| Vec::new()),
            Err(error) => Err(error),
        };
        match taken {
            Ok(tickets) => Some(tickets),
            Err(error) => {
                tracing::debug!(%error, "no tickets could be taken");
                self.link.renew();
                None
            }
        }
    }

    /// Removes tickets whose jobs were claimed or found gone. Those of `stuck` jobs, which nobody here can
    /// take for now, still count as out, so that they do not come back at once. What fails here is
    /// forgotten in time.
    pub async fn settle(&mut self, tickets: &[Ticket], stuck: &[i64]) {
        let Some(connection) = self.link.connection().await else {
            return;
        };
        let entries: Vec<&str> = tickets.iter().map(|ticket| ticket.entry.as_str()).collect();
        let mut settle = redis::pipe();
        settle
            .cmd("XDEL")
            .arg(&self.keys.tickets)
            .arg(entries)
            .ignore();
        let ids = tickets.iter().map(|ticket| ticket.job_id);
        let ids: Vec<i64> = ids.filter(|id| !stuck.contains(id)).collect();
        if !ids.is_empty() {
            settle.cmd("ZREM").arg(&self.keys.out).arg(ids).ignore();
        }
        if settle.query_async::<()>(connection).await.is_err() {
            self.link.renew();
        }
    }
}

async fn read(
    connection: &mut MultiplexedConnection,
    keys: &Keys,
    count: usize,
) -> RedisResult<Vec<Ticket>> {
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg(CONSUMER);
    read.arg("COUNT").arg(count);
    read.arg("BLOCK").arg(milliseconds(Taker::MAX_WAIT));
    read.arg("NOACK").arg("STREAMS").arg(&keys.tickets).arg(">");
    let reply: Option<StreamReadReply> = read.query_async(connection).await?;
    Ok(reply
        .into_iter()
        .flat_map(|reply| reply.keys)
        .flat_map(|stream| stream.ids)
        .filter_map(|entry| {
            Some(Ticket {
                job_id: entry.get("job")?,
                entry: entry.id,
            })
        })
        .collect())
}

async fn create_group(connection: &mut MultiplexedConnection, keys: &Keys) -> RedisResult<()> {
    let mut create = redis::cmd("XGROUP");
    create
        .arg("CREATE")
        .arg(&keys.tickets)
        .arg(GROUP)
        .arg("0")
        .arg("MKSTREAM");
    match create.query_async(connection).await {
        Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
        created => created,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
