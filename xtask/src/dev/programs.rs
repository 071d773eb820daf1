//! The API and the worker.

use std::{
    io::IsTerminal,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{
    endpoints::Endpoints,
    logs::{self, Log},
    ports::Ports,
    state::State,
    user,
};
use crate::{
    checkout::Checkout,
    environment,
    launch::{self, Identity},
    process::{self, Process},
    shell,
    signals::Signals,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Both, running. They stop when dropped.
pub(super) struct Programs {
    processes: Vec<Process>,
    logs: Vec<Log>,
}

/// Brings the schema up to date.
pub(super) fn migrate(
    binaries: &Path,
    checkout: &Checkout,
    endpoints: &Endpoints,
    signals: &Signals,
) -> anyhow::Result<()> {
    let mut command = command(&binaries.join("taskhub-api"), checkout, endpoints);
    command.arg("migrate");
    let status = process::run("taskhub-api migrate", command, signals)?;
    anyhow::ensure!(
        status.success(),
        "the database cannot be migrated; `cargo xtask dev --reset` starts with an empty one"
    );
    Ok(())
}

/// A program of ours in the checkout, whose `.env` it reads for whatever is not set here.
fn command(program: &Path, checkout: &Checkout, endpoints: &Endpoints) -> Command {
    let mut command = launch::command(program, Identity::Own, Signal::SIGTERM);
    command
        .current_dir(&checkout.root)
        .stdin(Stdio::null())
        .env("DATABASE_URL", &endpoints.postgres)
        .env("REDIS_BROKER", &endpoints.redis)
        .env("PUBLIC_URL", &endpoints.api);
    unless_set(&mut command, "APP_ENV", "development");
    unless_set(&mut command, "LOG_FORMAT", "text");
    if !std::io::stdout().is_terminal() {
        unless_set(&mut command, "NO_COLOR", "1");
    }
    command
}

/// What the caller sets for themself stays.
fn unless_set(command: &mut Command, name: &str, value: &str) {
    if environment::variable(name).is_none() {
        command.env(name, value);
    }
}

impl Programs {
    pub(super) fn start(
        binaries: &Path,
        checkout: &Checkout,
        state: &State,
        ports: &Ports,
        endpoints: &Endpoints,
    ) -> anyhow::Result<Self> {
        let mut api = command(&binaries.join("taskhub-api"), checkout, endpoints);
        api.arg("serve")
            .env("LISTEN_ADDRESS", format!("127.0.0.1:{}", ports.api))
            .env(
                "METRICS_ADDRESS",
                format!("127.0.0.1:{}", ports.api_metrics),
            );
        unless_set(&mut api, "JWT_SECRET", &state.jwt_secret()?);
        // A working day, for whoever tries things by hand.
        unless_set(&mut api, "ACCESS_TOKEN_SECONDS", "36000");
        unless_set(&mut api, "ADMIN_USERS", user::NAME);

        let mut worker = command(&binaries.join("taskhub-worker"), checkout, endpoints);
        worker.env(
            "METRICS_ADDRESS",
            format!("127.0.0.1:{}", ports.worker_metrics),
        );
        unless_set(&mut worker, "MAIL_URL", &shell::file_url(&state.mail()));

        let mut programs = Self {
            processes: Vec::new(),
            logs: Vec::new(),
        };
        programs.spawn("api", api)?;
        programs.spawn("worker", worker)?;
        Ok(programs)
    }

    fn spawn(&mut self, name: &'static str, mut command: Command) -> anyhow::Result<()> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(name, command, Signal::SIGTERM)?;
        self.logs.extend(logs::follow(name, &mut process.child));
        self.processes.push(process);
        Ok(())
    }

    /// Waits until the API answers.
    pub(super) fn healthy(
        &mut self,
        endpoints: &Endpoints,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let url = format!("{}/health", endpoints.api);
        let deadline = Instant::now() + PATIENCE;
        while ureq::get(&url).call().is_err() {
            self.running()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "the API does not answer at {url}"
            );
            signals.wait(Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// # Errors
    /// Where one of them has ended.
    pub(super) fn running(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if let Some(status) = process.ended()? {
                let name = process.name;
                // Its last words first.
                self.stop();
                anyhow::bail!("{name} has ended by itself: {status}");
            }
        }
        Ok(())
    }

    /// Stops both at the same time and waits for the last line of their logs.
    pub(super) fn stop(&mut self) {
        for process in &mut self.processes {
            process.ask();
        }
        self.processes.clear();
        for log in self.logs.drain(..) {
            drop(log.join());
        }
    }
}
