//! One round of one contender.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    celery::{self, Celery},
    usage,
};
use crate::{
    prober::{self, Prober, Programs},
    process::Process,
    servers::trial::Trial,
    signals::Signals,
};

/// How many jobs are done before anything is measured.
const WARM_UP: u32 = 200;

/// Jobs at the low rate, and how many of them a second.
pub(super) const CALM: u32 = 200;
const CALM_RATE: u32 = 20;

/// How long a round may take in all.
const PATIENCE: Duration = Duration::from_secs(900);

/// How many jobs TaskHub's worker takes at a time.
const CONCURRENCY: u32 = 200;

/// Who does the jobs.
pub(super) enum Contender<'a> {
    TaskHub(&'a Programs),
    Celery(&'a Celery),
}

/// What a round came to.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measures {
    /// From the first effect to the last.
    pub(super) jobs_per_second: f64,
    pub(super) enqueue_seconds: f64,
    /// Seconds per thousand jobs; enqueueing included as far as servers do it.
    pub(super) worker_cpu: f64,
    pub(super) postgres_cpu: f64,
    pub(super) redis_cpu: f64,
    /// MiB, after the last job.
    pub(super) worker_memory: f64,
    /// From enqueueing to the effect at a low rate, milliseconds.
    pub(super) start_p50: f64,
    pub(super) start_p99: f64,
}

impl Measures {
    pub(super) fn cpu(&self) -> f64 {
        self.worker_cpu + self.postgres_cpu + self.redis_cpu
    }
}

/// A place to run rounds in.
pub(super) struct Ground<'a> {
    pub(super) trial: Trial,
    pub(super) prober: Prober,
    pub(super) folder: &'a Path,
    pub(super) signals: &'a Signals,
    /// Whether each of TaskHub's jobs is done in a transaction of its own.
    pub(super) apart: bool,
}

impl<'a> Ground<'a> {
    pub(super) fn prepare(
        trial: Trial,
        programs: &Programs,
        folder: &'a Path,
        signals: &'a Signals,
    ) -> anyhow::Result<Self> {
        let (database, redis) = (trial.database_url(), trial.redis_url());
        let mut prober = Prober::start(&programs.prober, &database, &redis, folder)?;
        prober.ask(&json!({ "order": "prepare" }), signals)?;
        prober.ask(
            &json!({ "order": "execute", "sql": celery::TABLES }),
            signals,
        )?;
        Ok(Self {
            trial,
            prober,
            folder,
            signals,
            apart: false,
        })
    }

    pub(super) fn round(
        &mut self,
        contender: &Contender<'_>,
        count: u32,
    ) -> anyhow::Result<Measures> {
        self.clear()?;
        let worker = self.worker(contender)?;
        self.enqueue(contender, WARM_UP)?;
        self.wait(contender, WARM_UP)?;

        self.execute("truncate probe_effect, peer_effect")?;
        self.enqueue_calmly(contender)?;
        self.wait(contender, CALM)?;
        let (start_p50, start_p99) = self.starts(contender)?;

        self.execute("truncate probe_effect, peer_effect; checkpoint")?;
        let before = self.cpu_seconds(&worker);
        let began = Instant::now();
        self.enqueue(contender, count)?;
        let enqueue_seconds = began.elapsed().as_secs_f64();
        self.wait(contender, count)?;
        let after = self.cpu_seconds(&worker);
        let worker_memory = usage::memory(worker.id());
        drop(worker);
        let per_thousand = |of: usize| (after[of] - before[of]) * 1000.0 / f64::from(count);
        Ok(Measures {
            jobs_per_second: f64::from(count) / self.seconds(contender)?,
            enqueue_seconds,
            worker_cpu: per_thousand(0),
            postgres_cpu: per_thousand(1),
            redis_cpu: per_thousand(2),
            worker_memory,
            start_p50,
            start_p99,
        })
    }

    pub(super) fn taskhub_worker(&self, programs: &Programs) -> anyhow::Result<Process> {
        let settings = [
            ("DATABASE_URL", self.trial.database_url()),
            ("REDIS_BROKER", self.trial.redis_url()),
            ("WORKER_CONCURRENCY", CONCURRENCY.to_string()),
        ];
        let command = prober::worker_command(&programs.worker, self.folder, &settings)?;
        Process::spawn("worker", command, Signal::SIGKILL)
    }

    /// Removes every job and effect.
    pub(super) fn clear(&mut self) -> anyhow::Result<()> {
        self.execute("truncate job, job_log, probe_effect, peer_effect, peer_log")
    }

    pub(super) fn execute(&mut self, sql: &str) -> anyhow::Result<()> {
        let order = json!({ "order": "execute", "sql": sql });
        self.prober.ask(&order, self.signals)?;
        Ok(())
    }

    pub(super) fn query(&mut self, sql: &str) -> anyhow::Result<Value> {
        let order = json!({ "order": "query", "sql": sql });
        self.prober.ask(&order, self.signals)
    }

    fn worker(&self, contender: &Contender<'_>) -> anyhow::Result<Process> {
        match contender {
            Contender::TaskHub(programs) => self.taskhub_worker(programs),
            Contender::Celery(celery) => celery.worker(&self.trial),
        }
    }

    /// TaskHub's in one transaction, for that is how a request would enqueue many.
    fn enqueue(&mut self, contender: &Contender<'_>, count: u32) -> anyhow::Result<()> {
        match contender {
            Contender::TaskHub(_) => {
                let order = json!({ "order": "bulk", "count": count, "apart": self.apart });
                self.prober.ask(&order, self.signals).map(drop)
            }
            Contender::Celery(celery) => celery.enqueue(&self.trial, count, 0, self.signals),
        }
    }

    fn enqueue_calmly(&mut self, contender: &Contender<'_>) -> anyhow::Result<()> {
        let celery = match contender {
            Contender::TaskHub(_) => None,
            Contender::Celery(celery) => Some(celery),
        };
        match celery {
            Some(celery) => celery.enqueue(&self.trial, CALM, CALM_RATE, self.signals),
            None => self.enqueue_probes_calmly(),
        }
    }

    /// So many, one by one.
    pub(super) fn enqueue_probes_calmly(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        for number in 0..CALM {
            let at = began + Duration::from_secs(1) * number / CALM_RATE;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let order = json!({ "order": "bulk", "count": 1, "apart": self.apart });
            self.prober.ask(&order, self.signals)?;
        }
        Ok(())
    }

    /// Waits until there are so many effects and no more.
    fn wait(&mut self, contender: &Contender<'_>, count: u32) -> anyhow::Result<()> {
        let done = self.wait_for(table(contender), count)?;
        anyhow::ensure!(done == count, "{done} effects of {count} jobs");
        Ok(())
    }

    /// Waits until there are so many effects, and gives how many there are.
    pub(super) fn wait_for(&mut self, table: &str, count: u32) -> anyhow::Result<u32> {
        let deadline = Instant::now() + PATIENCE;
        let sql = format!("select to_jsonb(count(*)) from {table}");
        loop {
            let done = self.query(&sql)?.as_u64().unwrap_or_default();
            if done >= u64::from(count) {
                return Ok(u32::try_from(done)?);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{done} of {count} jobs were done"
            );
            self.signals.wait(Duration::from_millis(100))?;
        }
    }

    fn seconds(&mut self, contender: &Contender<'_>) -> anyhow::Result<f64> {
        let table = table(contender);
        let sql = format!("select to_jsonb(extract(epoch from max(at) - min(at))) from {table}");
        Ok(self.query(&sql)?.as_f64().unwrap_or(f64::NAN))
    }

    /// The median and the 99th percentile, in milliseconds.
    pub(super) fn starts(&mut self, contender: &Contender<'_>) -> anyhow::Result<(f64, f64)> {
        let (enqueued, from) = match contender {
            Contender::TaskHub(_) => ("created_at", "probe_effect join job on public_id = job_id"),
            Contender::Celery(_) => ("enqueued_at", "peer_effect"),
        };
        let sql = format!(
            "select to_jsonb(percentile_cont(array[0.5, 0.99]) within group \
             (order by 1000 * extract(epoch from at - {enqueued})::float8)) from {from}"
        );
        let both = self.query(&sql)?;
        let at = |place: usize| both.get(place).and_then(Value::as_f64).unwrap_or(f64::NAN);
        Ok((at(0), at(1)))
    }

    /// Of the worker, PostgreSQL and Redis.
    pub(super) fn cpu_seconds(&self, worker: &Process) -> [f64; 3] {
        let postgres = self.trial.postgres.as_ref().map(|server| server.id());
        let redis = self.trial.redis.as_ref().map(|server| server.id());
        [Some(worker.id()), postgres, redis].map(|pid| pid.map_or(f64::NAN, usage::cpu_seconds))
    }
}

fn table(contender: &Contender<'_>) -> &'static str {
    match contender {
        Contender::TaskHub(_) => "probe_effect",
        Contender::Celery(_) => "peer_effect",
    }
}
