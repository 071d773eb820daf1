//! What is done to workers, servers and the ways between them.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    fleet::Fleet,
    proxy::{Proxy, Trouble},
    random::Random,
};
use crate::servers::trial::Trial;

/// As for Redis and PostgreSQL, so for their restarts.
const LONGEST_ABSENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Fault {
    WorkerKilled,
    WorkerPaused,
    /// So long that others finish what it had in hand.
    WorkerPausedLong,
    WorkerStopped,
    WorkerClockWrong,
    RedisEmptied,
    RedisRestarted,
    RedisRefused,
    RedisSilent,
    RedisAnswersLost,
    PostgresCrashed,
    PostgresCut,
    PostgresRefused,
    PostgresSilent,
    PostgresSlow,
    PostgresAnswersLost,
    PostgresCommitsLost,
}

impl Fault {
    pub(super) const ALL: [Self; 17] = [
        Self::WorkerKilled,
        Self::WorkerPaused,
        Self::WorkerPausedLong,
        Self::WorkerStopped,
        Self::WorkerClockWrong,
        Self::RedisEmptied,
        Self::RedisRestarted,
        Self::RedisRefused,
        Self::RedisSilent,
        Self::RedisAnswersLost,
        Self::PostgresCrashed,
        Self::PostgresCut,
        Self::PostgresRefused,
        Self::PostgresSilent,
        Self::PostgresSlow,
        Self::PostgresAnswersLost,
        Self::PostgresCommitsLost,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker killed",
            Self::WorkerPaused => "worker paused beyond its lease",
            Self::WorkerPausedLong => "worker paused far beyond its lease",
            Self::WorkerStopped => "worker stopped",
            Self::WorkerClockWrong => "worker's clock an hour off",
            Self::RedisEmptied => "Redis emptied",
            Self::RedisRestarted => "Redis restarted empty",
            Self::RedisRefused => "Redis refused",
            Self::RedisSilent => "Redis silent",
            Self::RedisAnswersLost => "Redis' answers lost",
            Self::PostgresCrashed => "PostgreSQL crashed",
            Self::PostgresCut => "PostgreSQL's connections cut",
            Self::PostgresRefused => "PostgreSQL refused",
            Self::PostgresSilent => "PostgreSQL silent beyond the lease",
            Self::PostgresSlow => "PostgreSQL slow",
            Self::PostgresAnswersLost => "PostgreSQL's answers lost",
            Self::PostgresCommitsLost => "answers to commits lost",
        }
    }
}

/// All that faults are done to.
pub(super) struct Victims {
    pub(super) fleet: Fleet,
    pub(super) trial: Trial,
    pub(super) postgres: Proxy,
    pub(super) redis: Proxy,
    pub(super) lease: Duration,
}

/// Injects one fault after another, and several at a time.
pub(super) struct Storm {
    random: Random,
    faults: Vec<Fault>,
    /// The mean pause between two.
    pause: Duration,
    next_at: Instant,
    postgres_at: Option<Instant>,
    redis_at: Option<Instant>,
    /// What comes next; shuffled anew when all have had their turn, so that a short storm has some of
    /// each.
    turn: Vec<Fault>,
    pub(super) count: BTreeMap<Fault, usize>,
}

impl Storm {
    pub(super) fn new(random: Random, faults: &[Fault], pause: Duration) -> Self {
        Self {
            random,
            faults: faults.to_vec(),
            pause,
            // Some work is to be under way.
            next_at: Instant::now() + pause,
            postgres_at: None,
            redis_at: None,
            turn: Vec::new(),
            count: BTreeMap::new(),
        }
    }

    /// Injects what is due, and has servers come back.
    pub(super) fn tend(&mut self, victims: &mut Victims) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.postgres_at.is_some_and(|at| at <= now) {
            self.postgres_at = None;
            victims.trial.start_postgres()?;
        }
        if self.redis_at.is_some_and(|at| at <= now) {
            self.redis_at = None;
            victims.trial.start_redis()?;
        }
        if self.next_at <= now {
            let fault = self.next();
            if self.inject(fault, victims)? {
                *self.count.entry(fault).or_default() += 1;
            }
            let pause = self.random.between(self.pause / 2, self.pause * 3 / 2);
            self.next_at = Instant::now() + pause;
        }
        Ok(())
    }

    fn next(&mut self) -> Fault {
        if self.turn.is_empty() {
            self.turn.clone_from(&self.faults);
        }
        let choice = self.random.below(self.turn.len());
        self.turn.swap_remove(choice)
    }

    /// Whether there was something to do it to.
    fn inject(&mut self, fault: Fault, victims: &mut Victims) -> anyhow::Result<bool> {
        let random = &mut self.random;
        let moment = random.between(Duration::from_millis(200), Duration::from_secs(1));
        let absence = random.between(Duration::from_millis(200), LONGEST_ABSENCE);
        let beyond = victims.lease + random.between(Duration::from_secs(1), victims.lease);
        let choice = random.below(64);
        let (postgres, redis) = (&victims.postgres, &victims.redis);
        match fault {
            Fault::WorkerKilled => return victims.fleet.kill(choice, moment),
            Fault::WorkerPaused => return victims.fleet.pause(choice, beyond),
            Fault::WorkerPausedLong => return victims.fleet.pause(choice, 5 * victims.lease),
            Fault::WorkerStopped => return victims.fleet.stop(choice),
            Fault::WorkerClockWrong => {
                let hours = if random.one_in(2) { 1 } else { -1 };
                return victims.fleet.shift_clock(choice, hours);
            }
            Fault::RedisEmptied => return Ok(flush(victims.trial.redis_port()).is_ok()),
            Fault::RedisRestarted => {
                victims.trial.redis = None;
                self.redis_at = Some(Instant::now() + absence);
            }
            Fault::RedisRefused => redis.trouble(Trouble::Refused, absence),
            Fault::RedisSilent => redis.trouble(Trouble::Silent, absence),
            Fault::RedisAnswersLost => redis.trouble(Trouble::AnswersLost, moment),
            Fault::PostgresCrashed => {
                victims.trial.postgres = None;
                self.postgres_at = Some(Instant::now() + moment);
            }
            Fault::PostgresCut => postgres.cut(),
            Fault::PostgresRefused => postgres.trouble(Trouble::Refused, absence),
            Fault::PostgresSilent => postgres.trouble(Trouble::Silent, beyond),
            Fault::PostgresSlow => {
                postgres.trouble(Trouble::Slow(Duration::from_millis(20)), absence);
            }
            Fault::PostgresAnswersLost => postgres.trouble(Trouble::AnswersLost, moment),
            Fault::PostgresCommitsLost => postgres.trouble(Trouble::CommitsLost, absence),
        }
        Ok(true)
    }
}

impl Victims {
    /// Ends every fault but pauses, which end by themselves.
    pub(super) fn recover(&mut self) -> anyhow::Result<()> {
        self.postgres.heal();
        self.redis.heal();
        self.trial.start_postgres()?;
        self.trial.start_redis()
    }
}

/// Removes every key.
fn flush(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"FLUSHALL\r\n")?;
    let mut answer = [0; 3];
    stream.read_exact(&mut answer)?;
    if answer == *b"+OK" {
        Ok(())
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}
