//! `cargo xtask chaos`: breaks everything that jobs rest on, and proves that none was lost or done twice.

mod checker;
mod facts;
mod faults;
mod fleet;
mod proxy;
mod random;
mod report;
mod sink;
mod traffic;

use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    checker::Evidence,
    faults::{Fault, Storm, Victims},
    fleet::{Equipment, Fleet},
    proxy::Proxy,
    random::Random,
    report::Report,
    sink::Sink,
    traffic::{Mix, Record, Traffic, Witness},
};
use crate::{
    checkout::Checkout,
    prober::{Build, Prober, Programs},
    progress::{self, Step},
    run_folder::RunFolder,
    servers::{
        self,
        trial::{self, Trial},
    },
    shell,
    signals::Signals,
};

/// Prove that no job is lost or done twice, whatever breaks
///
/// Real workers run against a PostgreSQL and a Redis of their own while workers are killed and paused,
/// servers crash and vanish, connections break and answers are lost. Then everything is well again, and what
/// the database and the world outside have seen is held against what is promised. Exits with 1 where a
/// promise was broken.
///
/// Example: cargo xtask chaos --minutes 10 --seed 7
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// How long things break
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
    minutes: f64,
    /// What decides which things break; another one each time unless given
    #[arg(long)]
    seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Take away what keeps a lost lease from completing a job: then promises must be found broken
    #[arg(long)]
    unfenced: bool,
}

/// How many workers there are.
const WORKERS: usize = 4;

/// Short, so that many run out.
const LEASE: Duration = Duration::from_secs(3);

/// Between two faults, on average.
const PAUSE: Duration = Duration::from_millis(1000);

/// Without the fence long pauses alone do the harm, and few at a time, so that others take over what is
/// paused.
const UNFENCED_PAUSE: Duration = Duration::from_secs(5);

/// How long not one more job may end once nothing breaks any more. Those that lost their workers run one
/// at a time, so that all of them may take long.
const PATIENCE: Duration = Duration::from_secs(60);

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.0..=1440.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes, up to 1440".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let folder = RunFolder::create(&checkout, "chaos")?;
    let step = Step::start();
    let build = if arguments.unfenced {
        Build::Unfenced
    } else {
        Build::Test
    };
    let programs = Programs::build(&checkout, &folder.path, build, signals)?;
    step.done("worker and prober built");

    let seed = arguments.seed.unwrap_or_else(seed_by_time);
    let mut run = Run::start(&checkout, &folder.path, &programs, seed, signals)?;
    let time = Duration::from_secs_f64(60.0 * arguments.minutes);
    let step = Step::start();
    let mut storm = arguments.storm(seed);
    let record = run.storm(&mut storm, time, arguments.mix(), signals)?;
    step.done(format_args!(
        "{} faults, seed {seed}",
        storm.count.values().sum::<usize>()
    ));

    let step = Step::start();
    run.settle(signals)?;
    step.done("nothing broken any more, jobs ended");
    let facts = run.witness.facts(signals)?;
    let receipts = run.sink.receipts();
    let evidence = Evidence {
        record: &record,
        facts: &facts,
        receipts: &receipts,
        endings: &run.victims.fleet.endings,
    };
    let report = Report::new(seed, time, &storm.count, run.lost_answers(), &evidence);
    if !report.violations.is_empty() {
        keep(&checkout, &folder.path, &facts)?;
    }
    report.print(arguments.json)?;
    Ok(report.exit_code())
}

impl Arguments {
    /// Without the fence, work that is under way for long enough to be caught, and nothing that delays
    /// its being taken over.
    fn mix(&self) -> Mix {
        Mix {
            slow: if self.unfenced { 20 } else { 16 },
            poison: !self.unfenced,
        }
    }

    fn storm(&self, seed: u64) -> Storm {
        let random = Random::new(seed, 1);
        if self.unfenced {
            Storm::new(random, &[Fault::WorkerPausedLong], UNFENCED_PAUSE)
        } else {
            Storm::new(random, &Fault::ALL, PAUSE)
        }
    }
}

/// Everything that runs.
struct Run {
    seed: u64,
    sink: Sink,
    witness: Witness,
    /// Enqueues by way of the proxy.
    enqueuer: Option<Prober>,
    victims: Victims,
}

impl Run {
    fn start(
        checkout: &Checkout,
        folder: &Path,
        programs: &Programs,
        seed: u64,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let step = Step::start();
        let trial = Trial::start(checkout, folder, signals)?;
        let prober =
            |database: &str, redis: &str| Prober::start(&programs.prober, database, redis, folder);
        let mut witness = Witness {
            prober: prober(&trial.database_url(), &trial.redis_url())?,
        };
        witness.prepare(signals)?;
        let postgres = Proxy::start(trial.postgres_port())?;
        let redis = Proxy::start(trial.redis_port())?;
        let database_url = trial::database_url(postgres.port);
        let redis_url = trial::redis_url(redis.port);
        let equipment = Equipment {
            program: programs.worker.clone(),
            folder: folder.to_owned(),
            database_url: database_url.clone(),
            redis_url: redis_url.clone(),
            lease: LEASE,
            faketime: servers::faketime(&checkout.packages(), signals)?,
        };
        if equipment.faketime.is_none() {
            progress::say("            no libfaketime here: every worker's clock is right");
        }
        let name = trial.redis_name();
        let run = Self {
            seed,
            sink: Sink::start(Random::new(seed, 3))?,
            witness,
            enqueuer: Some(prober(&database_url, &redis_url)?),
            victims: Victims {
                fleet: Fleet::start(equipment, WORKERS)?,
                trial,
                postgres,
                redis,
                lease: LEASE,
            },
        };
        step.done(format_args!(
            "PostgreSQL, {name} and {WORKERS} workers started"
        ));
        Ok(run)
    }

    /// Enqueues and breaks things for so long, and gives what was asked for.
    fn storm(
        &mut self,
        storm: &mut Storm,
        time: Duration,
        mix: Mix,
        signals: &Signals,
    ) -> anyhow::Result<Record> {
        let Some(enqueuer) = self.enqueuer.take() else {
            anyhow::bail!("there is one storm in a run");
        };
        let random = Random::new(self.seed, 2);
        let mut traffic = Traffic::new(enqueuer, random, &self.sink, time, mix);
        let end = Instant::now() + time;
        while Instant::now() < end {
            traffic.tend()?;
            storm.tend(&mut self.victims)?;
            self.victims.fleet.tend()?;
            signals.wait(Duration::from_millis(10))?;
        }
        self.victims.recover()?;
        self.sink.heal();
        while !traffic.is_settled()? {
            self.victims.fleet.tend()?;
            signals.wait(Duration::from_millis(10))?;
        }
        Ok(traffic.record())
    }

    /// Waits until every job has ended and every worker had its chance to do wrong, or nothing moves.
    fn settle(&mut self, signals: &Signals) -> anyhow::Result<()> {
        self.victims.trial.ready(signals)?;
        // A connection that a crash has broken is replaced with the second order.
        let _ = self.witness.live(signals);
        let (mut least, mut deadline) = (u64::MAX, Instant::now() + PATIENCE);
        loop {
            self.victims.fleet.tend()?;
            let live = self.witness.live(signals)?;
            if live < least {
                (least, deadline) = (live, Instant::now() + PATIENCE);
            }
            let settled = live == 0 && !self.victims.fleet.is_paused();
            if settled || Instant::now() > deadline {
                break;
            }
            signals.wait(Duration::from_millis(300))?;
        }
        self.linger(signals)
    }

    /// A moment for those who were paused to the end: what they would do, they do at once.
    fn linger(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let end = Instant::now() + LEASE;
        while Instant::now() < end {
            self.victims.fleet.tend()?;
            signals.wait(Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn lost_answers(&self) -> usize {
        self.victims.postgres.lost() + self.victims.redis.lost()
    }
}

fn seed_by_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The programs' logs and what the database said, for whoever looks for the cause.
fn keep(checkout: &Checkout, folder: &Path, facts: &facts::Facts) -> anyhow::Result<()> {
    let kept = checkout.target.join("chaos-violations");
    fs::create_dir_all(&kept)?;
    fs::write(kept.join("facts.json"), serde_json::to_vec(facts)?)?;
    for name in ["worker.log", "prober.log", "postgres.log"] {
        let _ = fs::copy(folder.join(name), kept.join(name));
    }
    progress::say(format_args!(
        "            logs and facts: {}",
        shell::word(&kept)
    ));
    Ok(())
}
