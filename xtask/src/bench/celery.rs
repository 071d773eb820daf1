//! Celery, as a competitor that is taken seriously: see `xtask/bench/worker.py`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    checkout::{self, Checkout},
    environment,
    launch::{self, Identity},
    process::{self, Process},
    progress::Step,
    servers::trial::Trial,
    signals::Signals,
};

const WORKER: &str = include_str!("../../bench/worker.py");
const REQUIREMENTS: &str = include_str!("../../bench/requirements.txt");

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

/// An environment of Python's with Celery in it, below `target/tools/`.
pub(super) struct Celery {
    python: PathBuf,
    folder: PathBuf,
}

impl Celery {
    /// Installs it unless that was done before, with every package pinned by its hash.
    pub(super) fn install(
        checkout: &Checkout,
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let digest = checkout::hash(REQUIREMENTS.as_bytes());
        let place = checkout.target.join(format!("tools/celery-{digest:016x}"));
        if !place.join("complete").exists() {
            let step = Step::start();
            fill(&place, folder, signals)?;
            step.done(format_args!("Celery installed in {}", place.display()));
        }
        fs::write(folder.join("worker.py"), WORKER)?;
        Ok(Self {
            python: place.join("bin/python"),
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

fn fill(place: &Path, folder: &Path, signals: &Signals) -> anyhow::Result<()> {
    const MISSING: &str = "Celery needs Python 3.10 or newer with its venv module: \
                           `apt-get install python3-venv`, `dnf install python3`, `brew install python`";
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let python = environment::on_path("python3").context(MISSING)?;
    let mut venv = launch::command(python, Identity::Own, Signal::SIGKILL);
    venv.args(["-m", "venv", "--clear"]).arg(place);
    let status = process::run("python3 -m venv", venv, signals)?;
    anyhow::ensure!(status.success(), MISSING);
    let mut pip = launch::command(place.join("bin/python"), Identity::Own, Signal::SIGKILL);
    // Only wheels, so that nothing is compiled or run while it is installed.
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip.args([
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "-r",
    ]);
    pip.arg(&requirements);
    let status = process::run("pip", pip, signals)?;
    anyhow::ensure!(status.success(), "Celery cannot be installed");
    fs::write(place.join("complete"), "")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_by_hash() {
        let joined = REQUIREMENTS.replace("\\\n", " ");
        let packages: Vec<&str> = joined.lines().filter(|line| line.contains("==")).collect();
        assert!(packages.iter().any(|line| line.starts_with("celery==")));
        for line in packages {
            assert!(line.contains("--hash=sha256:"), "{line}");
        }
    }
}
