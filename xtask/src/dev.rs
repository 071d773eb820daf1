//! `cargo xtask dev`: everything that TaskHub is, running from this checkout.

mod endpoints;
mod logs;
mod mail;
mod ports;
mod programs;
mod state;
mod user;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;

use self::{endpoints::Endpoints, ports::Ports, programs::Programs, state::State};
use crate::{
    cargo,
    checkout::Checkout,
    process,
    progress::{self, Step},
    servers::{
        self, Source,
        given::Given,
        postgres::{self, Data, Postgres, Purpose},
        redis::{self, Redis},
    },
    signals::Signals,
};

/// Run TaskHub: PostgreSQL, Redis, API and worker, until Ctrl-C
///
/// Servers are private to this checkout and their data is kept. Where `DATABASE_URL` or `REDIS_BROKER`
/// is set and answers, that server is used instead. E-mails are captured, not sent.
///
/// Example: cargo xtask dev --port 8000
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Build with optimisations
    #[arg(long)]
    release: bool,
    /// The API's port, else one that belongs to this checkout
    #[arg(long)]
    port: Option<u16>,
    /// Delete the data of former runs first
    #[arg(long)]
    reset: bool,
}

const DATABASE: &str = "taskhub";

/// Ends with 1 where TaskHub is running from this checkout already: what was asked for was not done.
pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let Some(state) = State::lock(&checkout)? else {
        endpoints::say_where_it_runs(&checkout);
        return Ok(ExitCode::FAILURE);
    };
    if arguments.reset {
        state.reset(&checkout)?;
    }
    let ports = Ports::choose(&checkout, arguments.port, signals)?;
    let mut servers = Servers::prepare(&checkout, &state, &ports, signals)?;
    let binaries = build(&checkout, arguments.release, signals)?;
    servers.start(&state, &ports, signals)?;

    let endpoints = Endpoints::new(
        &state,
        &ports,
        servers.postgres_url(),
        (servers.redis_name, servers.redis_url()),
    );
    let step = Step::start();
    programs::migrate(&binaries, &checkout, &endpoints, signals)?;
    step.done("database migrated");
    let step = Step::start();
    let mut programs = Programs::start(&binaries, &checkout, &state, &ports, &endpoints)?;
    programs.healthy(&endpoints, signals)?;
    step.done("API and worker ready");

    mail::watch(state.mail());
    let token = user::token(&endpoints.api)?;
    state.keep_token(&token)?;
    if let Some(token) = user::operator_token(&endpoints.api)? {
        state::keep_operator_token(&state.folder, &token)?;
    }
    let published = endpoints.publish(&state)?;
    endpoints.say(&state);
    let ended = until_the_end(&mut programs, &mut servers, signals);
    drop(published);
    progress::say("stopping …");
    programs.stop();
    drop(servers);
    ended.map(|()| ExitCode::SUCCESS)
}

/// Where the API of a running `dev` is, and a token for its operations.
///
/// # Errors
/// Where none runs.
pub(crate) fn operator(checkout: &Checkout) -> anyhow::Result<(String, String)> {
    let endpoints = endpoints::published(checkout).context(
        "`cargo xtask dev` does not run from this checkout; name another instance with --url",
    )?;
    let token = match state::operator_token(&state::folder(checkout)) {
        Some(token) => token,
        None => renew_operator(checkout, &endpoints.api)?,
    };
    Ok((endpoints.api, token))
}

/// Another token for the same.
///
/// # Errors
/// Where the API that runs does not make an operator of its user.
pub(crate) fn renew_operator(checkout: &Checkout, api: &str) -> anyhow::Result<String> {
    let token = user::operator_token(api)?;
    let token = token.with_context(|| format!("ADMIN_USERS does not name {}", user::NAME))?;
    state::keep_operator_token(&state::folder(checkout), &token)?;
    Ok(token)
}

/// Returns when a signal asks for it.
///
/// # Errors
/// Where one of the four has ended by itself.
fn until_the_end(
    programs: &mut Programs,
    servers: &mut Servers,
    signals: &Signals,
) -> anyhow::Result<()> {
    while signals.wait(Duration::from_secs(3600)).is_ok() {
        programs.running()?;
        servers.running()?;
    }
    Ok(())
}

/// The folder with both programs.
pub(crate) fn build(
    checkout: &Checkout,
    release: bool,
    signals: &Signals,
) -> anyhow::Result<PathBuf> {
    let step = Step::start();
    let mut command = cargo::command();
    command.args([
        "build",
        "--bins",
        "-p",
        "taskhub-api",
        "-p",
        "taskhub-worker",
    ]);
    if release {
        command.arg("--release");
    }
    let status = process::run("cargo", command, signals)?;
    anyhow::ensure!(status.success(), "the build failed");
    step.done("built");
    let profile = if release { "release" } else { "debug" };
    Ok(checkout.target.join(profile))
}

/// PostgreSQL and Redis on their way from found to running. `None` where given ones are used.
struct Servers {
    given: (Option<Given>, Option<Given>),
    data: Option<Data>,
    initdb: Option<process::Process>,
    postgres: Option<Postgres>,
    redis: Option<Redis>,
    redis_name: redis::Name,
}

impl Servers {
    /// Starts what takes its time, so that it happens while cargo compiles.
    fn prepare(
        checkout: &Checkout,
        state: &State,
        ports: &Ports,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let step = Step::start();
        let found = servers::look_up(
            Given::postgres("DATABASE_URL"),
            Given::redis("REDIS_BROKER"),
            &checkout.packages(),
            signals,
        )?;
        step.done(format_args!("found {found}"));
        let mut servers = Self {
            given: (None, None),
            data: None,
            initdb: None,
            postgres: None,
            redis: None,
            redis_name: found.redis_name(),
        };
        match found.postgres {
            Source::Given(given) => servers.given.0 = Some(given),
            Source::Program(program) => {
                servers.prepare_postgres(checkout, state, ports, &program)?
            }
        }
        match found.redis {
            Source::Given(given) => servers.given.1 = Some(given),
            Source::Program(program) => {
                servers.redis = Some(Redis::spawn(
                    &program,
                    &state.folder,
                    ports.redis,
                    Purpose::Keep,
                )?);
            }
        }
        Ok(servers)
    }

    fn prepare_postgres(
        &mut self,
        checkout: &Checkout,
        state: &State,
        ports: &Ports,
        program: &postgres::Program,
    ) -> anyhow::Result<()> {
        let data = Data::place(checkout, program, &state.folder)?;
        data.recover()?;
        if data.is_new() {
            self.initdb = Some(data.initialise()?);
        } else {
            self.postgres = Some(Postgres::spawn(&data, ports.postgres, Purpose::Keep)?);
        }
        self.data = Some(data);
        Ok(())
    }

    fn start(&mut self, state: &State, ports: &Ports, signals: &Signals) -> anyhow::Result<()> {
        let step = Step::start();
        if let Some(data) = &self.data {
            if let Some(initdb) = self.initdb.take() {
                data.initialised(initdb, DATABASE, signals)?;
            }
            let mut postgres = match self.postgres.take() {
                Some(postgres) => postgres,
                None => Postgres::spawn(data, ports.postgres, Purpose::Keep)?,
            };
            postgres.ready(data, signals)?;
            self.postgres = Some(postgres);
        }
        if let Some(redis) = &mut self.redis {
            redis.ready(signals)?;
        }
        step.done(format_args!(
            "PostgreSQL and {} ready, data in {}",
            self.redis_name,
            state.folder.display()
        ));
        Ok(())
    }

    fn postgres_url(&self) -> String {
        let private = self
            .postgres
            .as_ref()
            .map(|postgres| postgres.url(DATABASE));
        private
            .or_else(|| self.given.0.as_ref().map(|given| given.url.clone()))
            .unwrap_or_default()
    }

    fn redis_url(&self) -> String {
        let private = self.redis.as_ref().map(redis::Redis::url);
        private
            .or_else(|| self.given.1.as_ref().map(|given| given.url.clone()))
            .unwrap_or_default()
    }

    fn running(&mut self) -> anyhow::Result<()> {
        let postgres = self.postgres.as_mut().map(Postgres::ended).transpose()?;
        anyhow::ensure!(postgres != Some(true), "PostgreSQL has ended");
        let redis = self.redis.as_mut().map(Redis::ended).transpose()?;
        anyhow::ensure!(redis != Some(true), "{} has ended", self.redis_name);
        Ok(())
    }
}
