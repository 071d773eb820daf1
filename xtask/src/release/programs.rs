//! The programs of both releases: where they come from, and how one is started for a trial.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::Serialize;

use super::{Gate, git::Commit};
use crate::{
    cargo, dev, git,
    launch::{self, Identity},
    process::{self, Process},
    progress::Step,
    rehearse::{
        http::{Client, Request, Reuse},
        ports::Ports,
        programs::{LOCAL, ending, last_words},
    },
    shell,
    signals::Signals,
    unpacking::unpacked,
};

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Api,
    Worker,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Api => "taskhub-api",
            Self::Worker => "taskhub-worker",
        }
    }
}

/// Folders with both programs of each release, and the one that applies migrations.
pub(super) struct Programs {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
    pub(super) trial: PathBuf,
}

impl Programs {
    /// Builds what was not given.
    ///
    /// # Errors
    /// Where one does not compile.
    pub(super) fn build(
        gate: &Gate<'_>,
        earlier: &Commit,
        given: Option<(&Path, &Path)>,
    ) -> anyhow::Result<Self> {
        if let Some((old, new)) = given {
            return Ok(Self {
                old: std::path::absolute(old)?,
                new: std::path::absolute(new)?,
                trial: std::path::absolute(new)?.join("examples/migration_trial"),
            });
        }
        let old = build_earlier(gate, earlier)?;
        let new = dev::build(gate.checkout, false, gate.signals)?;
        // With what the tests need of the dependencies, which are there already.
        let line = [
            "build",
            "--quiet",
            "--workspace",
            "--example",
            "migration_trial",
        ];
        let mut command = cargo::command();
        command.args(line);
        let status = process::run("cargo", command, gate.signals)?;
        anyhow::ensure!(
            status.success(),
            "the program that applies migrations cannot be built"
        );
        Ok(Self {
            trial: new.join("examples/migration_trial"),
            old,
            new,
        })
    }
}

/// From an archive of that commit. They are kept for the next check against it, and what their dependencies were
/// compiled to for the next release.
fn build_earlier(gate: &Gate<'_>, earlier: &Commit) -> anyhow::Result<PathBuf> {
    let place = gate.checkout.target.join("earlier-release");
    fs::create_dir_all(&place)?;
    // Of two checks one builds, and the other waits.
    let lock = File::create(place.join("lock"))?;
    lock.lock()?;
    let programs = place.join("programs");
    let folder = programs.join(&earlier.hash);
    if folder.is_dir() {
        return Ok(folder);
    }
    let step = Step::start();
    let sources = gate.folder.join("earlier");
    unpack(gate, earlier, &sources)?;
    let target = place.join("target");
    let status = process::run("cargo", build(&sources, &target), gate.signals)?;
    anyhow::ensure!(
        status.success(),
        "the programs of {} cannot be built",
        earlier.name
    );
    if programs.exists() {
        fs::remove_dir_all(&programs)?;
    }
    unpacked(&folder, |draft| {
        for kind in [Kind::Api, Kind::Worker] {
            let built = target.join("debug").join(kind.program());
            fs::copy(&built, draft.join(kind.program()))
                .with_context(|| format!("{} is not there", built.display()))?;
        }
        Ok(())
    })?;
    step.done(format_args!("built the programs of {}", earlier.name));
    Ok(folder)
}

fn build(sources: &Path, target: &Path) -> Command {
    let mut command = cargo::command();
    command
        .args(["build", "--quiet", "--locked", "--bins"])
        .args(["-p", "taskhub-api", "-p", "taskhub-worker"])
        .current_dir(sources)
        .env("CARGO_TARGET_DIR", target)
        // Nobody debugs them, and disks are small.
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    command
}

/// The files of a commit.
fn unpack(gate: &Gate<'_>, commit: &Commit, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let archive = gate.folder.join("earlier.tar");
    let output = format!("--output={}", archive.display());
    let line = ["archive", "--format=tar", &output, &commit.hash];
    git::ask(&gate.checkout.root, &line)?;
    tar::Archive::new(File::open(&archive)?).unpack(folder)?;
    fs::remove_file(archive)?;
    Ok(())
}

/// Where programs under trial find everything.
pub(super) struct Place<'a> {
    pub(super) folder: PathBuf,
    pub(super) database_url: String,
    pub(super) redis_url: String,
    pub(super) ports: Ports,
    pub(super) signals: &'a Signals,
    started: u32,
}

impl<'a> Place<'a> {
    pub(super) fn new(
        folder: PathBuf,
        (database_url, redis_url): (String, String),
        ports: Ports,
        signals: &'a Signals,
    ) -> Self {
        Self {
            folder,
            database_url,
            redis_url,
            ports,
            signals,
            started: 0,
        }
    }

    /// Where workers leave their letters.
    pub(super) fn mail(&self) -> PathBuf {
        self.folder.join("mail")
    }

    /// Starts a program and waits until it is healthy or has ended.
    ///
    /// # Errors
    /// Where it is neither in time.
    pub(super) fn start(&mut self, kind: Kind, binaries: &Path) -> anyhow::Result<Started> {
        self.started += 1;
        let log = self
            .folder
            .join(format!("{}-{}.log", kind.program(), self.started));
        let serving = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.next()?));
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.next()?));
        let mut command = self.command(kind, binaries, serving, metrics);
        let file = File::create(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        let mut process = Process::spawn(kind.program(), command, Signal::SIGTERM)?;
        let address = match kind {
            Kind::Api => serving,
            Kind::Worker => metrics,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.ended()? {
                return Ok(Started::Ended {
                    refused: status.code() == Some(1),
                    why: format!("{}{}", ending(status), last_words(&log)),
                });
            }
            if self.is_healthy(kind, binaries, serving, metrics) {
                return Ok(Started::Runs(Running {
                    address,
                    _process: process,
                }));
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} is not healthy in time{}",
                kind.program(),
                last_words(&log)
            );
            self.signals.wait(Duration::from_millis(50))?;
        }
    }

    fn command(
        &self,
        kind: Kind,
        binaries: &Path,
        serving: SocketAddr,
        metrics: SocketAddr,
    ) -> Command {
        let program = binaries.join(kind.program());
        let mut command = launch::command(program, Identity::Own, Signal::SIGKILL);
        command
            .env_clear()
            // Where no `.env` is.
            .current_dir(&self.folder)
            .envs(LOCAL)
            .env("DRAIN_SECONDS", "0")
            .env("DATABASE_URL", &self.database_url)
            .env("REDIS_BROKER", &self.redis_url)
            .env("PUBLIC_URL", format!("http://{serving}"))
            .env("LISTEN_ADDRESS", serving.to_string())
            .env("METRICS_ADDRESS", metrics.to_string())
            .env("MAIL_URL", shell::file_url(&self.mail()))
            .stdin(Stdio::null());
        command
    }

    /// The API by the answer, the worker by its own word.
    fn is_healthy(
        &self,
        kind: Kind,
        binaries: &Path,
        serving: SocketAddr,
        metrics: SocketAddr,
    ) -> bool {
        match kind {
            Kind::Api => {
                let health = Request {
                    method: "GET",
                    path: "/health".to_owned(),
                    token: None,
                    body: None,
                    trickle: Duration::ZERO,
                };
                let answer = Client::new(serving, Reuse::Fresh).send(&health);
                answer.is_ok_and(|answer| answer.status == 200)
            }
            Kind::Worker => {
                let mut command = self.command(kind, binaries, serving, metrics);
                command
                    .arg("healthcheck")
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                command.status().is_ok_and(|status| status.success())
            }
        }
    }
}

/// What became of a program that was started.
pub(super) enum Started {
    Runs(Running),
    Ended {
        /// With the exit code of a program that says why it cannot start.
        refused: bool,
        why: String,
    },
}

/// It stops when dropped.
pub(super) struct Running {
    /// Of the API; the worker's is where its health is asked for.
    pub(super) address: SocketAddr,
    _process: Process,
}
