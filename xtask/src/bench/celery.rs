//! Celery, as a competitor that is taken seriously: see `xtask/bench/worker.py`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use crate::{
    checkout::Checkout,
    launch::{self, Identity},
    process::{self, Process},
    servers::trial::Trial,
    signals::Signals,
    tools::Tool,
};

const WORKER: &str = include_str!("../../bench/worker.py");

/// Where its jobs leave their rows, and what it knows of those that are done.
pub(super) const TABLES: &str = "
    create table if not exists peer_effect (
        enqueued_at timestamptz not null,
        at timestamptz not null default clock_timestamp()
    );
    create table if not exists peer_log (
        job_id text primary key,
        at timestamptz not null default now()
    )
";

/// Its Python, and the folder that its worker runs in.
pub(super) struct Celery {
    python: PathBuf,
    folder: PathBuf,
}

impl Celery {
    /// Installs it unless that was done before.
    pub(super) fn install(
        checkout: &Checkout,
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let installed = Tool::Celery.install(checkout, signals)?;
        fs::write(folder.join("worker.py"), WORKER)?;
        Ok(Self {
            python: installed.python(),
            folder: folder.to_owned(),
        })
    }

    /// Starts a worker with a process for each processor.
    pub(super) fn worker(&self, trial: &Trial) -> anyhow::Result<Process> {
        let mut command = self.command(trial);
        command.args([
            "-m",
            "celery",
            "-A",
            "worker",
            "worker",
            "--loglevel=warning",
        ]);
        command.args([
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ]);
        let log = fs::File::create(self.folder.join("celery.log"))?;
        command.stdout(log.try_clone()?).stderr(log);
        Process::spawn("Celery", command, Signal::SIGKILL)
    }

    /// Enqueues so many jobs, `rate` a second or, where that is 0, at once.
    pub(super) fn enqueue(
        &self,
        trial: &Trial,
        count: u32,
        rate: u32,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let mut command = self.command(trial);
        command.args(["worker.py", &count.to_string(), &rate.to_string()]);
        let status = process::run("worker.py", command, signals)?;
        anyhow::ensure!(status.success(), "Celery's jobs cannot be enqueued");
        Ok(())
    }

    fn command(&self, trial: &Trial) -> Command {
        let mut command = launch::command(&self.python, Identity::Own, Signal::SIGKILL);
        command
            .current_dir(&self.folder)
            .env("DATABASE_URL", trial.database_url())
            .env("REDIS_BROKER", trial.redis_url())
            // It warns of root, whose machine this is.
            .env("C_FORCE_ROOT", "1")
            .stdin(Stdio::null());
        command
    }
}
