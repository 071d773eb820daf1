//! `cargo xtask bench scale`.

use std::{
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    figure,
    measure::{CALM, Contender, Ground},
};
use crate::{
    checkout::Checkout,
    prober::{Build, Programs},
    process::Process,
    progress::Step,
    run_folder::RunFolder,
    servers::trial::Trial,
    signals::Signals,
};

/// What a job costs while others wait, and what an idle worker costs
///
/// First with more and more jobs waiting, how many are done a second and what each costs; then with more and more
/// idle workers, what they cost PostgreSQL and Redis, and how soon a job starts.
///
/// Example: cargo xtask bench scale --waiting 1000,1000000 --workers 1,20
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    /// How many jobs are due, and as many more are for later
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    waiting: Vec<u32>,
    /// How many workers idle
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 40])]
    workers: Vec<usize>,
    /// Print the measures as JSON
    #[arg(long)]
    json: bool,
}

/// How many jobs are done, at most, while others wait.
const DONE: u32 = 10_000;

/// How many show that a worker is at work.
const WARM_UP: u32 = 100;

/// How long idleness is measured.
const TIME: Duration = Duration::from_secs(10);

/// How long a worker needs to calm down.
const CALMING: Duration = Duration::from_secs(3);

#[derive(Serialize)]
struct Backlog {
    waiting: u32,
    jobs_per_second: f64,
    /// Seconds per 1,000 jobs, of all processes.
    cpu: f64,
}

#[derive(Serialize)]
struct Idle {
    workers: usize,
    /// To PostgreSQL.
    connections: u64,
    /// Of one processor, in per cent.
    postgres: f64,
    redis: f64,
    /// From enqueueing to the effect, milliseconds.
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
    let mut ground = Ground::prepare(trial, &programs, &folder.path, signals)?;
    let mut backlogs = Vec::new();
    for waiting in &arguments.waiting {
        let step = Step::start();
        backlogs.push(backlog(&mut ground, &programs, *waiting)?);
        step.done(format_args!("{waiting} jobs waiting"));
    }
    let mut idle = Vec::new();
    for workers in &arguments.workers {
        let step = Step::start();
        idle.push(idleness(&mut ground, &programs, *workers)?);
        step.done(format_args!("{workers} workers idle"));
    }
    print(&backlogs, &idle, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Does the first of so many due jobs. The worker is warm and sleeps while they are enqueued.
fn backlog(ground: &mut Ground<'_>, programs: &Programs, waiting: u32) -> anyhow::Result<Backlog> {
    ground.clear()?;
    let worker = ground.taskhub_worker(programs)?;
    fill(ground, WARM_UP)?;
    ground.wait_for("probe_effect", WARM_UP)?;
    signal(&worker, Signal::SIGSTOP)?;
    fill(ground, waiting)?;
    ground.execute("vacuum analyze job")?;
    ground.execute("truncate probe_effect")?;
    ground.execute("checkpoint")?;
    let before = ground.cpu_seconds(&worker);
    signal(&worker, Signal::SIGCONT)?;
    let done = ground.wait_for("probe_effect", DONE.min(waiting - waiting / 5))?;
    let after = ground.cpu_seconds(&worker);
    drop(worker);
    let seconds = ground.query(
        "select to_jsonb(extract(epoch from max(at) - min(at))) from \
         (select at from probe_effect order by at limit 10000) as first",
    )?;
    let cpu: f64 = after.iter().sum::<f64>() - before.iter().sum::<f64>();
    Ok(Backlog {
        waiting,
        jobs_per_second: f64::from(done.min(DONE)) / seconds.as_f64().unwrap_or(f64::NAN),
        cpu: cpu * 1000.0 / f64::from(done),
    })
}

/// As rows, because enqueueing a million is not what is measured; of a hundred workspaces.
fn fill(ground: &mut Ground<'_>, count: u32) -> anyhow::Result<()> {
    ground.execute(&format!(
        "insert into job (kind, args_version, args, workspace_id, max_attempts, unique_key, state, run_at)
         select 'probe', 2, jsonb_build_object('id', id, 'mode', 'database'),
             ('00000000-0000-4000-8000-' || lpad((number % 100)::text, 12, '0'))::uuid,
             25, 'probe:' || id || state, state, now() + delay
         from (select number, gen_random_uuid() as id from generate_series(1, {count}) as number) as rows,
             (values ('ready', interval '0'), ('scheduled', interval '1 day')) as kinds (state, delay)"
    ))
}

fn idleness(ground: &mut Ground<'_>, programs: &Programs, count: usize) -> anyhow::Result<Idle> {
    ground.clear()?;
    let workers = (0..count)
        .map(|_| ground.taskhub_worker(programs))
        .collect::<anyhow::Result<Vec<Process>>>()?;
    let Some(first) = workers.first() else {
        anyhow::bail!("no workers");
    };
    fill(ground, WARM_UP)?;
    ground.wait_for("probe_effect", WARM_UP)?;
    ground.signals.wait(CALMING)?;
    let (before, began) = (ground.cpu_seconds(first), Instant::now());
    ground.signals.wait(TIME)?;
    let (after, time) = (ground.cpu_seconds(first), began.elapsed());
    let share = |of: usize| (after[of] - before[of]) * 100.0 / time.as_secs_f64();
    let connections = ground.query(
        "select to_jsonb(count(*)) from pg_stat_activity where application_name = 'taskhub-worker'",
    )?;
    ground.execute("truncate probe_effect")?;
    ground.enqueue_probes_calmly()?;
    ground.wait_for("probe_effect", CALM)?;
    let (start_p50, start_p99) = ground.starts(&Contender::TaskHub(programs))?;
    Ok(Idle {
        workers: count,
        connections: connections.as_u64().unwrap_or_default(),
        postgres: share(1),
        redis: share(2),
        start_p50,
        start_p99,
    })
}

/// The child has not been waited for, so its number is still its own.
fn signal(process: &Process, signal: Signal) -> anyhow::Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(process.id())?), signal)?)
}

fn print(backlogs: &[Backlog], idle: &[Idle], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let report: Value = json!({ "backlogs": backlogs, "idle": idle });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    writeln!(out, "| jobs waiting | jobs/s | CPU s per 1,000 jobs |")?;
    writeln!(out, "|---|---|---|")?;
    for row in backlogs {
        let [rate, cpu] = [row.jobs_per_second, row.cpu].map(figure);
        writeln!(out, "| {} | {rate} | {cpu} |", row.waiting)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "| idle workers | connections | PostgreSQL, % of a CPU | Redis, % | start p50, ms | start p99, ms |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for row in idle {
        let figures = [row.postgres, row.redis, row.start_p50, row.start_p99].map(figure);
        let figures = figures.join(" | ");
        writeln!(out, "| {} | {} | {figures} |", row.workers, row.connections)?;
    }
    Ok(())
}
