//! `cargo xtask rehearse`: the rolling deployment that the rendered settings describe, on this machine, with
//! the real programs, under load.

mod balancer;
mod checks;
mod deployment;
mod faults;
pub(crate) mod http;
mod journal;
pub(crate) mod load;
pub(crate) mod ports;
pub(crate) mod programs;
mod rendered;
mod rotation;
mod servers;
mod services;
mod stage;
mod tasks;
pub(crate) mod users;
mod verdict;

use std::{
    io::{Write, stdout},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use serde_json::json;

use self::{
    deployment::{Deployment, Outcome},
    faults::{Fault, Version},
    journal::{Journal, print},
    load::{Load, Phase, Plan},
    programs::Binaries,
    rendered::{Rendered, Speed},
    stage::{Script, Stage},
    users::User,
    verdict::{Counted, Verdict},
};
use crate::{
    checkout::Checkout,
    dev,
    environments::{Environment, Name},
    progress,
    run_folder::RunFolder,
    signals::Signals,
};

/// Roll from one version to another as AWS would, on this machine and under load
///
/// PostgreSQL, Redis and HAProxy are private to the run. Tasks are started, checked, drained and stopped by the
/// rules of `infra/rendered`; every answer that is not the expected one counts as failed. docs/operations.md
/// explains what is proven by this and what is not.
///
/// Exit codes: 0 no request failed, 3 some did, 6 the migration failed, 7 rolled back, 8 neither version serves,
/// 1 a fault did not end as it must.
///
/// Example: cargo xtask rehearse --fault crash-at-boot
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// What goes wrong; see --list-faults
    #[arg(long)]
    fault: Option<Fault>,
    /// Instead of a roll, what operators do now and then
    #[arg(long, value_enum, conflicts_with_all = ["fault", "requests", "bake"])]
    drill: Option<Drill>,
    /// Print what can go wrong and how each ends
    #[arg(long)]
    list_faults: bool,
    /// Whose settings are rehearsed
    #[arg(long, default_value = "production", value_parser = environment)]
    env: Name,
    /// Requests per second
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// Roll to and fro until so many requests were answered: 20000, or with a fault a single roll
    #[arg(long)]
    requests: Option<u64>,
    /// Divides all rendered waits; 1 is the real time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30))]
    speed: u32,
    /// Seconds, before division, for which a new version is watched; else what the environment says
    #[arg(long)]
    bake: Option<u32>,
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// The folder with the old version's programs, else what this checkout builds
    #[arg(long)]
    old_binaries: Option<PathBuf>,
    /// The folder with the new version's programs, else what this checkout builds
    #[arg(long)]
    new_binaries: Option<PathBuf>,
    /// Print events and the result as lines of JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Drill {
    /// The database's role and the key that signs tokens become others
    Rotation,
}

const REQUESTS: u64 = 20_000;

/// Before the first roll, and after each.
const QUIET: Duration = Duration::from_secs(3);

fn environment(text: &str) -> Result<Name, String> {
    let found = Name::ALL.into_iter().find(|name| name.as_str() == text);
    found.ok_or_else(|| "there are staging and production".to_owned())
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    if arguments.list_faults {
        list_faults(arguments.json);
        return Ok(ExitCode::SUCCESS);
    }
    let checkout = Checkout::find()?;
    let environment = Environment::load(&checkout.root, arguments.env)?;
    let script = Script {
        rendered: Rendered::read(&checkout.root, arguments.env)?,
        speed: Speed(arguments.speed),
        bake: arguments.bake.unwrap_or(environment.deploy.bake),
        fault: arguments.fault,
        drill: arguments.drill.is_some(),
        binaries: binaries(arguments, &checkout, signals)?,
        journal: Journal::new(arguments.json),
    };
    let folder = RunFolder::create(&checkout, "rehearse")?;
    let mut stage = Stage::prepare(&checkout, &folder.path, script, signals)?;
    let counted = rehearse(arguments, &mut stage)?;
    let verdict = Verdict::new(counted, arguments.fault);
    progress::say(verdict.table());
    if arguments.json {
        print(&json!({
            "kind": "result",
            "environment": arguments.env.as_str(),
            "fault": arguments.fault.map(Fault::name),
            "drill": arguments.drill.map(|Drill::Rotation| "rotation"),
            "speed": arguments.speed,
            "rate": arguments.rate,
            "result": verdict,
        }));
    }
    Ok(ExitCode::from(verdict.exit_code))
}

fn list_faults(json: bool) {
    for fault in Fault::ALL {
        let (name, about, code) = (fault.name(), fault.about(), fault.code());
        if json {
            print(&json!({ "name": name, "about": about, "exit_code": code }));
        } else {
            drop(writeln!(stdout(), "{name:<24} {code}  {about}"));
        }
    }
}

fn binaries(
    arguments: &Arguments,
    checkout: &Checkout,
    signals: &Signals,
) -> anyhow::Result<Binaries> {
    let (old, new) = (&arguments.old_binaries, &arguments.new_binaries);
    let built = match (old, new) {
        (Some(_), Some(_)) => PathBuf::new(),
        _ => dev::build(checkout, arguments.release, signals)?,
    };
    let folder = |given: &Option<PathBuf>| -> anyhow::Result<PathBuf> {
        let folder = std::path::absolute(given.as_ref().unwrap_or(&built))?;
        for program in ["taskhub-api", "taskhub-worker"] {
            let file = folder.join(program);
            anyhow::ensure!(file.is_file(), "{} is not there", file.display());
        }
        Ok(folder)
    };
    Ok(Binaries {
        old: folder(old)?,
        new: folder(new)?,
    })
}

fn rehearse(arguments: &Arguments, stage: &mut Stage<'_>) -> anyhow::Result<Counted> {
    let mut deployment = Deployment::new();
    deployment.install(stage)?;
    let users = users::sign_in(stage.balancer.address)?;
    deployment.user = users.first().cloned();
    stage.load = Some(Load::start(plan(arguments, stage, users.clone())));
    stage.phase(Phase::Before);
    stage.journal.step("load begins");
    deployment.watch(stage, Version::Old, QUIET)?;
    let (mut outcome, rolls) = match arguments.drill {
        None => roll_to_and_fro(arguments, stage, &mut deployment)?,
        Some(Drill::Rotation) => (rotate(stage, &mut deployment)?, 0),
    };
    let (logs, failures) = stage.load.take().map(Load::stop).unwrap_or_default();
    let created: Vec<(usize, String)> = logs
        .iter()
        .flat_map(|log| log.created.iter().cloned())
        .collect();
    let lost = users::lost(stage.balancer.address, &users, &created).unwrap_or_else(|error| {
        outcome = Outcome::Stuck(format!("tasks cannot be read afterwards: {error:#}"));
        0
    });
    if arguments.drill.is_some()
        && matches!(outcome, Outcome::Deployed)
        && let Some(user) = users.first()
    {
        outcome = rotation::prove(stage, &mut deployment, user)?;
    }
    Ok(Counted {
        outcome,
        rolls,
        logs,
        failures,
        created: created.len(),
        lost,
        outages: stage.outages.clone(),
    })
}

fn plan(arguments: &Arguments, stage: &Stage<'_>, users: Vec<User>) -> Plan {
    let slow = arguments.fault == Some(Fault::SlowRequests);
    Plan {
        address: stage.balancer.address,
        users,
        rate: arguments.rate,
        slow: slow.then(|| stage.drain() * 2),
        begun: stage.journal.begun,
    }
}

/// No task is replaced, and the load goes on before and after.
fn rotate(stage: &mut Stage<'_>, deployment: &mut Deployment) -> anyhow::Result<Outcome> {
    stage.phase(Phase::During);
    let outcome = rotation::drill(stage, deployment)?;
    stage.phase(Phase::After);
    deployment.watch(stage, Version::Old, QUIET)?;
    Ok(outcome)
}

/// Deploys until enough requests were answered, or a deployment fails.
fn roll_to_and_fro(
    arguments: &Arguments,
    stage: &mut Stage<'_>,
    deployment: &mut Deployment,
) -> anyhow::Result<(Outcome, u32)> {
    let single = arguments.fault.map_or(REQUESTS, |_| 0);
    let wanted = arguments.requests.unwrap_or(single);
    let mut version = Version::New;
    let mut rolls = 0;
    loop {
        stage.phase(Phase::During);
        let outcome = deployment.deploy(stage, version)?;
        rolls += 1;
        stage.phase(Phase::After);
        let serving = match outcome {
            Outcome::Deployed => version,
            Outcome::MigrationFailed(_) | Outcome::RolledBack(_) | Outcome::Stuck(_) => {
                version.other()
            }
        };
        deployment.watch(stage, serving, QUIET)?;
        let answered = stage.load.as_ref().map_or(0, Load::answered);
        if answered >= wanted || !matches!(outcome, Outcome::Deployed) {
            return Ok((outcome, rolls));
        }
        version = version.other();
    }
}
