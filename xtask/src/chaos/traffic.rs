//! Enqueues jobs of every sort, as an application would, and remembers what it was told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    facts::{Facts, Mode},
    random::Random,
    sink::Sink,
};
use crate::prober::Prober;

/// Names of what runs by the clock, whose slots are brought forward.
const CLOCK: [&str; 4] = [
    "remove_old_sessions",
    "remove_old_jobs",
    "remove_old_idempotency_keys",
    "empty_trash",
];

/// Between two poison jobs: each costs three workers and as many leases.
const POISON_PAUSE: Duration = Duration::from_secs(12);
const FIRST_POISON: Duration = Duration::from_secs(2);

/// What was asked for, and what was answered.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) batches: Vec<Batch>,
    /// Keys of the slots that were brought forward.
    pub(super) slots: Vec<String>,
    pub(super) cancellations: usize,
    /// Cancelled jobs that were retried.
    pub(super) retries: usize,
}

/// Probes that were enqueued in one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) probes: Vec<(String, Mode)>,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    Committed,
    /// On purpose, or because it failed before its commit.
    RolledBack,
    /// The answer to the commit was lost.
    Unknown,
}

/// What is enqueued beside the usual.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    /// Of a hundred jobs so many take seconds.
    pub(super) slow: usize,
    /// Whether there are jobs that take their workers down.
    pub(super) poison: bool,
}

pub(super) struct Traffic<'a> {
    prober: Prober,
    random: Random,
    sink: &'a Sink,
    /// The share of the time that is over decides what is still worth asking for.
    began: Instant,
    time: Duration,
    next_at: Instant,
    mix: Mix,
    poisoned: Instant,
    asked: Option<Asked>,
    jobs: Vec<String>,
    /// Those whose cancellation was asked for.
    cancelled: Vec<String>,
    record: Record,
}

/// An order that is not answered yet.
enum Asked {
    Enqueue(Vec<(String, Mode)>),
    Slot,
    Cancel(String),
    Retry,
}

impl<'a> Traffic<'a> {
    /// For `time` from now.
    pub(super) fn new(
        prober: Prober,
        random: Random,
        sink: &'a Sink,
        time: Duration,
        mix: Mix,
    ) -> Self {
        let now = Instant::now();
        Self {
            prober,
            random,
            sink,
            began: now,
            time,
            next_at: now,
            mix,
            // The first one meets workers that are at work.
            poisoned: now + FIRST_POISON - POISON_PAUSE,
            asked: None,
            jobs: Vec::new(),
            cancelled: Vec::new(),
            record: Record::default(),
        }
    }

    /// Takes up an answer and gives the next order when its time has come.
    pub(super) fn tend(&mut self) -> anyhow::Result<()> {
        self.hear()?;
        if self.asked.is_none() && self.next_at <= Instant::now() {
            let (asked, order) = self.choose();
            self.prober.order(&order)?;
            self.asked = Some(asked);
            let pause = Duration::from_millis(150);
            self.next_at = Instant::now() + self.random.between(Duration::ZERO, pause);
        }
        Ok(())
    }

    /// Whether the last order was answered; gives no further one.
    pub(super) fn is_settled(&mut self) -> anyhow::Result<bool> {
        self.hear()?;
        Ok(self.asked.is_none())
    }

    pub(super) fn record(self) -> Record {
        self.record
    }

    fn hear(&mut self) -> anyhow::Result<()> {
        if self.asked.is_none() {
            return Ok(());
        }
        let Some(answer) = self.prober.answer()? else {
            return Ok(());
        };
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let committed = text("outcome") == Some("committed");
        match self.asked.take() {
            Some(Asked::Enqueue(probes)) => {
                let outcome = match text("outcome") {
                    Some("committed") => Outcome::Committed,
                    Some("unknown") => Outcome::Unknown,
                    _ => Outcome::RolledBack,
                };
                // Poison is not called off before it has done its worst.
                if !is_poisoned(&probes) {
                    let jobs = answer.get("jobs").and_then(Value::as_array);
                    let jobs = jobs.into_iter().flatten().filter_map(Value::as_str);
                    self.jobs.extend(jobs.map(str::to_owned));
                }
                self.record.batches.push(Batch { probes, outcome });
            }
            Some(Asked::Slot) => self.record.slots.extend(text("key").map(str::to_owned)),
            Some(Asked::Cancel(job)) => {
                self.record.cancellations += usize::from(committed);
                self.cancelled.extend(committed.then_some(job));
            }
            Some(Asked::Retry) => self.record.retries += usize::from(committed),
            None => {}
        }
        Ok(())
    }

    fn choose(&mut self) -> (Asked, Value) {
        if self.random.one_in(15) {
            let name = self.random.of(&CLOCK);
            return (Asked::Slot, json!({ "order": "slot", "name": name }));
        }
        if self.random.one_in(12) && !self.jobs.is_empty() {
            // One of the latest, which may still wait or run.
            let choice = self.random.below(self.jobs.len().min(100));
            let job = self.jobs[self.jobs.len() - 1 - choice].clone();
            let order = json!({ "order": "cancel", "job": job });
            return (Asked::Cancel(job), order);
        }
        if self.random.one_in(12) && !self.cancelled.is_empty() {
            let job = self.random.of(&self.cancelled);
            return (Asked::Retry, json!({ "order": "retry", "job": job }));
        }
        self.enqueue()
    }

    fn enqueue(&mut self) -> (Asked, Value) {
        let count = 1 + self.random.below(14);
        let mut probes: Vec<(String, Mode)> = Vec::new();
        for _ in 0..count {
            let probe = (self.random.uuid(), self.mode());
            probes.push(probe.clone());
            if self.random.one_in(40) {
                // The same once more is the same job.
                probes.push(probe);
            }
        }
        let wanted: Vec<Value> = probes
            .iter()
            .map(|(id, mode)| self.probe(id, *mode))
            .collect();
        // A storm without poison would prove less.
        let commit = is_poisoned(&probes) || !self.random.one_in(10);
        let order = json!({ "order": "enqueue", "probes": wanted, "commit": commit });
        (Asked::Enqueue(probes), order)
    }

    /// What takes many attempts is enqueued early.
    fn mode(&mut self) -> Mode {
        let elapsed = self.began.elapsed();
        let early = elapsed < self.time / 3;
        let poisonous = elapsed < self.time.mul_f64(0.6);
        if poisonous && self.mix.poison && self.poisoned.elapsed() > POISON_PAUSE {
            self.poisoned = Instant::now();
            return Mode::Crash;
        }
        match self.random.below(100) {
            0 if early => Mode::Fail,
            0..=11 => Mode::External,
            choice if choice < 12 + self.mix.slow => Mode::Slow,
            _ => Mode::Database,
        }
    }

    fn probe(&mut self, id: &str, mode: Mode) -> Value {
        let time = self
            .random
            .between(Duration::from_millis(50), Duration::from_millis(2500));
        json!({
            "id": id,
            "mode": mode,
            "sink": (mode == Mode::External).then(|| self.sink.url(id)),
            "milliseconds": time.as_millis() as u64,
        })
    }
}

fn is_poisoned(probes: &[(String, Mode)]) -> bool {
    probes.iter().any(|(_, mode)| *mode == Mode::Crash)
}

/// Asks the database itself, past all troubles.
pub(super) struct Witness {
    pub(super) prober: Prober,
}

impl Witness {
    pub(super) fn prepare(&mut self, signals: &crate::signals::Signals) -> anyhow::Result<()> {
        self.prober.ask(&json!({ "order": "prepare" }), signals)?;
        self.prober.ask(&json!({ "order": "watch" }), signals)?;
        Ok(())
    }

    /// How many jobs have not ended yet; those that wait for their time are due now.
    pub(super) fn live(&mut self, signals: &crate::signals::Signals) -> anyhow::Result<u64> {
        self.prober.ask(&json!({ "order": "hurry" }), signals)?;
        let answer = self.prober.ask(&json!({ "order": "live" }), signals)?;
        Ok(answer
            .get("live")
            .and_then(Value::as_u64)
            .unwrap_or(u64::MAX))
    }

    pub(super) fn facts(&mut self, signals: &crate::signals::Signals) -> anyhow::Result<Facts> {
        let answer = self.prober.ask(&json!({ "order": "facts" }), signals)?;
        Ok(serde_json::from_value(answer)?)
    }
}
