//! `cargo xtask bench pinned`.

use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;

use super::{figure, measure::Ground};
use crate::{
    checkout::Checkout,
    prober::{Build, Prober, Programs},
    progress::Step,
    run_folder::RunFolder,
    servers::trial::Trial,
    signals::Signals,
};

/// What jobs cost while another transaction keeps old rows
///
/// Enqueues jobs at a steady rate, first by itself and then while a transaction with a snapshot is open, as
/// `pg_dump` or a long report has one. PostgreSQL keeps every old version of every row for it. Ends with 1 if
/// fewer than 95 % of the jobs are done in the same time, or if a job reads more than 1.2 times as many blocks.
///
/// Example: cargo xtask bench pinned --minutes 10
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    /// How long each of the two parts takes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// How many jobs are enqueued per second
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Print the measures as JSON
    #[arg(long)]
    json: bool,
}

/// How many jobs are enqueued at a time.
const PORTION: u32 = 5;

const LEAST_THROUGHPUT: f64 = 0.95;
const MOST_BLOCKS: f64 = 1.2;

/// One of the measures of a part.
type Figure = fn(&Part) -> f64;

#[derive(Serialize)]
struct Part {
    jobs: u32,
    jobs_per_second: f64,
    /// Pages of 8 KiB that PostgreSQL read for one job, enqueueing included.
    blocks: f64,
    /// Seconds per 1,000 jobs, of all processes.
    cpu: f64,
    start_p50: f64,
    start_p99: f64,
}

pub(super) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let folder = RunFolder::create(&checkout, "bench")?;
    let step = Step::start();
    let programs = Programs::build(&checkout, &folder.path, Build::Release, signals)?;
    step.done("worker and prober built");
    let trial = Trial::start(&checkout, &folder.path, signals)?;
    let (database, redis) = (trial.database_url(), trial.redis_url());
    let mut ground = Ground::prepare(trial, &programs, &folder.path, signals)?;
    let step = Step::start();
    let free = part(&mut ground, &programs, arguments)?;
    step.done("measured without another transaction");
    let step = Step::start();
    let mut report = Prober::start(&programs.prober, &database, &redis, &folder.path)?;
    let open = "set idle_in_transaction_session_timeout = 0; \
        begin isolation level repeatable read; select pg_current_snapshot()";
    report.ask(&json!({ "order": "execute", "sql": open }), signals)?;
    let pinned = part(&mut ground, &programs, arguments)?;
    step.done("measured beside an open transaction");
    print(&free, &pinned, arguments.json)?;
    let is_kept = pinned.jobs_per_second >= LEAST_THROUGHPUT * free.jobs_per_second
        && pinned.blocks <= MOST_BLOCKS * free.blocks;
    Ok(if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn part(
    ground: &mut Ground<'_>,
    programs: &Programs,
    arguments: &Arguments,
) -> anyhow::Result<Part> {
    ground.clear()?;
    let worker = ground.taskhub_worker(programs)?;
    ground.execute("vacuum analyze job")?;
    let (before, blocks_before) = (ground.cpu_seconds(&worker), blocks(ground)?);
    let began = Instant::now();
    let portions = arguments.rate * u32::try_from(arguments.minutes * 60)? / PORTION;
    for number in 0..portions {
        let at = began + Duration::from_secs(1) * number * PORTION / arguments.rate;
        ground
            .signals
            .wait(at.saturating_duration_since(Instant::now()))?;
        let order = json!({ "order": "bulk", "count": PORTION });
        ground.prober.ask(&order, ground.signals)?;
    }
    let jobs = ground.wait_for("probe_effect", portions * PORTION)?;
    let seconds = began.elapsed().as_secs_f64();
    let (after, blocks_after) = (ground.cpu_seconds(&worker), blocks(ground)?);
    drop(worker);
    let (start_p50, start_p99) = ground.starts(&super::measure::Contender::TaskHub(programs))?;
    let cpu = after.iter().sum::<f64>() - before.iter().sum::<f64>();
    Ok(Part {
        jobs,
        jobs_per_second: f64::from(jobs) / seconds,
        blocks: (blocks_after - blocks_before) / f64::from(jobs),
        cpu: cpu * 1000.0 / f64::from(jobs),
        start_p50,
        start_p99,
    })
}

/// All that were read so far, from the disk or not.
fn blocks(ground: &mut Ground<'_>) -> anyhow::Result<f64> {
    let count = ground.query(
        "select to_jsonb(blks_read + blks_hit) from pg_stat_database where datname = current_database()",
    )?;
    Ok(count.as_f64().unwrap_or(f64::NAN))
}

fn print(free: &Part, pinned: &Part, json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", json!({ "free": free, "pinned": pinned }))?;
        return Ok(());
    }
    writeln!(
        out,
        "| {} jobs each | alone | beside an open transaction | ratio |",
        free.jobs
    )?;
    writeln!(out, "|---|---|---|---|")?;
    let rows: [(&str, Figure); 5] = [
        ("jobs/s", |part| part.jobs_per_second),
        ("blocks read per job", |part| part.blocks),
        ("CPU seconds per 1,000 jobs", |part| part.cpu),
        ("from enqueueing to the effect, p50, ms", |part| {
            part.start_p50
        }),
        ("– p99, ms", |part| part.start_p99),
    ];
    for (name, of) in rows {
        let [alone, beside] = [of(free), of(pinned)];
        let figures = [alone, beside, beside / alone].map(figure).join(" | ");
        writeln!(out, "| {name} | {figures} |")?;
    }
    Ok(())
}
