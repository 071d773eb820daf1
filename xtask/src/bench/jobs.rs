//! `cargo xtask bench jobs`.

use std::{io::Write, process::ExitCode};

use serde_json::json;

use super::{
    celery::Celery,
    figure,
    measure::{Contender, Ground, Measures},
    median,
};
use crate::{
    checkout::Checkout,
    prober::{Build, Programs},
    progress::Step,
    run_folder::RunFolder,
    servers::trial::Trial,
    signals::Signals,
};

/// Jobs beside Celery's, in alternation on the same servers
///
/// Each job leaves one row in PostgreSQL, once however often it is delivered. Both workers are warm; Celery runs
/// a process for each processor and is fetched with pip at first. Ratios are taken round by round, so that
/// what else the machine does meets both.
///
/// Example: cargo xtask bench jobs --rounds 5
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Arguments {
    /// How many jobs there are in a round
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// How often each has its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Do each of TaskHub's jobs in a transaction of its own, as those that do more than touch the database
    #[arg(long)]
    apart: bool,
    /// Print the measures as JSON
    #[arg(long)]
    json: bool,
}

/// A measure's name, and how to read it.
type Row = (&'static str, fn(&Measures) -> f64);

const ROWS: &[Row] = &[
    ("jobs/s", |measures| measures.jobs_per_second),
    ("CPU s per 1,000 jobs", Measures::cpu),
    ("- worker", |measures| measures.worker_cpu),
    ("- PostgreSQL", |measures| measures.postgres_cpu),
    ("- Redis", |measures| measures.redis_cpu),
    ("worker memory, MiB", |measures| measures.worker_memory),
    ("start p50, ms", |measures| measures.start_p50),
    ("start p99, ms", |measures| measures.start_p99),
    ("enqueueing, s", |measures| measures.enqueue_seconds),
];

/// What both came to, in turn.
struct Round {
    taskhub: Measures,
    celery: Measures,
}

pub(super) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let folder = RunFolder::create(&checkout, "bench")?;
    let step = Step::start();
    let programs = Programs::build(&checkout, &folder.path, Build::Release, signals)?;
    step.done("worker and prober built");
    let celery = Celery::install(&checkout, &folder.path, signals)?;
    let trial = Trial::start(&checkout, &folder.path, signals)?;
    let mut ground = Ground::prepare(trial, &programs, &folder.path, signals)?;

    ground.apart = arguments.apart;

    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let step = Step::start();
        let taskhub = ground.round(&Contender::TaskHub(&programs), arguments.count)?;
        let celery = ground.round(&Contender::Celery(&celery), arguments.count)?;
        let (ours, theirs) = (taskhub.jobs_per_second, celery.jobs_per_second);
        step.done(format_args!(
            "round {number}: {ours:.0} and {theirs:.0} jobs/s"
        ));
        rounds.push(Round { taskhub, celery });
    }
    print(&rounds, arguments)?;
    Ok(ExitCode::SUCCESS)
}

fn print(rounds: &[Round], arguments: &Arguments) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let rounds: Vec<_> = rounds
            .iter()
            .map(|round| json!({ "taskhub": round.taskhub, "celery": round.celery }))
            .collect();
        writeln!(
            out,
            "{}",
            json!({ "count": arguments.count, "apart": arguments.apart, "rounds": rounds })
        )?;
        return Ok(());
    }
    writeln!(
        out,
        "| {} jobs, median of {} | TaskHub | Celery | ratio |",
        arguments.count,
        rounds.len()
    )?;
    writeln!(out, "|---|---|---|---|")?;
    for (name, read) in ROWS {
        let ours = median(rounds.iter().map(|round| read(&round.taskhub)));
        let theirs = median(rounds.iter().map(|round| read(&round.celery)));
        let ratio = median(
            rounds
                .iter()
                .map(|round| read(&round.taskhub) / read(&round.celery)),
        );
        let [ours, theirs, ratio] = [ours, theirs, ratio].map(figure);
        writeln!(out, "| {name} | {ours} | {theirs} | {ratio} |")?;
    }
    Ok(())
}
