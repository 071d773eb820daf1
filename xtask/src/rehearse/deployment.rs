//! The release as `docs/operations.md` orders it: migration, worker, API, proof, and the way back.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Serialize;

use super::{
    balancer,
    faults::{Fault, Version},
    http::{Client, Reuse},
    load::Phase,
    programs::{ending, last_words},
    services::{Limits, Rolled, Service},
    stage::Stage,
    users::{self, User},
};
use crate::{contract::Task as Kind, process::Process, signals::Interrupted};

/// For a start or a way back that meets no fault.
const PATIENCE: Duration = Duration::from_secs(180);

/// For the worker to send a letter.
const MAIL_PATIENCE: Duration = Duration::from_secs(60);

/// A migration that is made to hang is not waited for as long as a long one would be.
const HANGING: u32 = 50;

/// How a deployment ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub(super) enum Outcome {
    Deployed,
    /// The services were not touched.
    MigrationFailed(String),
    /// The old version serves, which was proven.
    RolledBack(String),
    /// Neither the new nor the old version could be proven.
    Stuck(String),
}

impl Outcome {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Deployed => 0,
            Self::MigrationFailed(_) => 6,
            Self::RolledBack(_) => 7,
            Self::Stuck(_) => 8,
        }
    }

    /// For people; nothing where all is well.
    pub(super) fn words(&self) -> Option<String> {
        let (what, reason) = match self {
            Self::Deployed => return None,
            Self::MigrationFailed(reason) => ("migration failed, services untouched", reason),
            Self::RolledBack(reason) => ("rolled back, the old version serves", reason),
            Self::Stuck(reason) => ("needs a human", reason),
        };
        Some(format!("{what}: {reason}"))
    }
}

pub(super) struct Deployment {
    pub(super) worker: Service,
    pub(super) api: Service,
    /// One of the people of the load, whose tasks the proof reads.
    pub(super) user: Option<User>,
    proofs: u32,
}

impl Deployment {
    pub(super) fn new() -> Self {
        Self {
            worker: Service::new(Kind::Worker),
            api: Service::new(Kind::Api),
            user: None,
            proofs: 0,
        }
    }

    /// Of all tasks: a task that is replaced has another one.
    pub(super) fn numbers(&self) -> [Vec<u32>; 2] {
        [self.worker.numbers(), self.api.numbers()]
    }

    /// The old version, from nothing.
    pub(super) fn install(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        if let Err(reason) = migrate(stage, Version::Old)? {
            anyhow::bail!("the database cannot be migrated: {reason}");
        }
        self.go_back(stage, Version::Old)
    }

    /// From one version to the other.
    pub(super) fn deploy(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
    ) -> anyhow::Result<Outcome> {
        let before = version.other();
        let deadline = Instant::now() + stage.speed.wait(stage.rendered.deadline);
        let untouched = (self.worker.numbers(), self.api.numbers());
        stage.strike_at_the_start();
        if let Err(reason) = migrate(stage, version)? {
            let untouched = untouched == (self.worker.numbers(), self.api.numbers());
            let proof = self.prove(stage, before);
            return Ok(match proof {
                Ok(()) if untouched => Outcome::MigrationFailed(reason),
                Ok(()) => Outcome::Stuck(format!("{reason}; and tasks were replaced")),
                Err(error) => Outcome::Stuck(format!("{reason}; then {error:#}")),
            });
        }
        let rolled = self.roll(stage, version, deadline)?;
        stage.relent()?;
        let reason = match rolled {
            Rolled::Done => match self.approve(stage, version)? {
                None => return Ok(Outcome::Deployed),
                Some(reason) => reason,
            },
            Rolled::GivenUp(reason) => reason,
        };
        stage.phase(Phase::During);
        stage.journal.step(format!("rolling back: {reason}"));
        let back = self
            .go_back(stage, before)
            .and_then(|()| self.prove(stage, before));
        match back {
            Ok(()) => Ok(Outcome::RolledBack(reason)),
            Err(error) if error.is::<Interrupted>() => Err(error),
            Err(error) => Ok(Outcome::Stuck(format!("{reason}; then {error:#}"))),
        }
    }

    /// The worker first: it must know the jobs that the new API makes.
    fn roll(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
        deadline: Instant,
    ) -> anyhow::Result<Rolled> {
        for service in [&mut self.worker, &mut self.api] {
            let limits = Limits {
                breaker: Some(stage.service(service.kind).breaker),
                deadline,
            };
            if let Rolled::GivenUp(reason) = service.roll(stage, version, &limits)? {
                return Ok(Rolled::GivenUp(reason));
            }
        }
        Ok(Rolled::Done)
    }

    /// In the reverse order. A version that is complete stays as it is.
    fn go_back(&mut self, stage: &mut Stage<'_>, version: Version) -> anyhow::Result<()> {
        for service in [&mut self.api, &mut self.worker] {
            let limits = Limits {
                breaker: None,
                deadline: Instant::now() + PATIENCE,
            };
            if let Rolled::GivenUp(reason) = service.roll(stage, version, &limits)? {
                anyhow::bail!(reason);
            }
        }
        Ok(())
    }

    /// Proves the new version and watches it. Gives what speaks against it.
    fn approve(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
    ) -> anyhow::Result<Option<String>> {
        if let Err(error) = self.prove(stage, version) {
            if error.is::<Interrupted>() {
                return Err(error);
            }
            return Ok(Some(format!("{error:#}")));
        }
        stage.phase(Phase::Bake);
        let failure = self.watch(stage, version, stage.speed.wait(stage.bake))?;
        Ok(failure.map(|reason| format!("a task failed while it was watched: {reason}")))
    }

    /// Waits, as long as no task of the version fails. Gives why the first one did.
    pub(super) fn watch(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
        time: Duration,
    ) -> anyhow::Result<Option<String>> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            for service in [&mut self.worker, &mut self.api] {
                if let Some(reason) = service.step(stage, version)?.pop() {
                    return Ok(Some(reason));
                }
            }
            stage.pause()?;
        }
        Ok(None)
    }

    /// What `cargo xtask deploy` proves: the intended tasks are healthy and the only ones, they are those that
    /// answer, an authenticated read works, and a job makes its way through the worker.
    fn prove(&mut self, stage: &mut Stage<'_>, version: Version) -> anyhow::Result<()> {
        for service in [&mut self.worker, &mut self.api] {
            service.step(stage, version)?;
            anyhow::ensure!(
                service.is_at(stage, version),
                "{} does not run the {} version alone",
                service.kind.name(),
                version.as_str()
            );
        }
        self.answers(stage)?;
        self.a_job_is_done(stage)?;
        stage.journal.step(format!(
            "proven: the {} version answers, reads and works",
            version.as_str()
        ));
        Ok(())
    }

    /// Somebody registers, and the worker sends them a letter. Tries again with somebody else where the machine is
    /// too busy to answer in time.
    fn a_job_is_done(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        let deadline = Instant::now() + MAIL_PATIENCE;
        let address = loop {
            self.proofs += 1;
            let name = format!("proof-{}", self.proofs);
            let address = format!("{name}@example.com");
            match users::register(stage.balancer.address, &name, Some(&address)) {
                Ok(()) => break address,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => stage.pause()?,
            }
        };
        while !stage.has_mail_for(&address) {
            anyhow::ensure!(
                Instant::now() < deadline,
                "the worker did not send a letter"
            );
            stage.pause()?;
        }
        Ok(())
    }

    fn answers(&self, stage: &Stage<'_>) -> anyhow::Result<()> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        let ours: Vec<String> = self.api.numbers().into_iter().map(balancer::name).collect();
        for path in ["/health", "/health", "/health/ready", "/v1/tasks?limit=1"] {
            let mut client = Client::new(stage.balancer.address, Reuse::Fresh);
            let answer = client.send(&user.get(path.to_owned()))?;
            anyhow::ensure!(
                answer.status == 200 && ours.contains(&answer.target),
                "GET {path} is answered {} by {}",
                answer.status,
                answer.target
            );
        }
        Ok(())
    }
}

/// Runs the migration task. The inner error is why it failed.
pub(super) fn migrate(
    stage: &mut Stage<'_>,
    version: Version,
) -> anyhow::Result<Result<(), String>> {
    let log = stage.folder.join("migrate.log");
    let mut process = start_migration(stage, version, &log)?;
    let mut deadline = Instant::now() + stage.speed.wait(stage.rendered.migration.deadline);
    if stage.fault == Some(Fault::MigrationHangs) {
        deadline = Instant::now() + stage.speed.wait(HANGING);
    }
    let mut late = false;
    loop {
        if let Some(status) = process.ended()? {
            let ended = ending(status);
            stage.journal.service("migrate", format!("ended, {ended}"));
            return Ok(match (late, status.success()) {
                (false, true) => Ok(()),
                (false, false) => Err(format!("{ended}{}", last_words(&log))),
                (true, _) => Err("the migration did not end in time".to_owned()),
            });
        }
        if Instant::now() > deadline {
            let pid = Pid::from_raw(i32::try_from(process.id())?);
            let signal = if late {
                Signal::SIGKILL
            } else {
                Signal::SIGTERM
            };
            stage.journal.service("migrate", signal.as_str());
            // It may have ended this very moment, which the next look sees.
            let _ = killpg(pid, signal);
            late = true;
            deadline = Instant::now() + stage.speed.wait(stage.rendered.migration.stop_timeout);
        }
        stage.pause()?;
    }
}

fn start_migration(stage: &Stage<'_>, version: Version, log: &Path) -> anyhow::Result<Process> {
    let variables = stage.variables(Kind::Migrate, version, 0, 0);
    let process = stage.spawn(Kind::Migrate, version, &variables, log)?;
    stage
        .journal
        .service("migrate", format!("runs, {} version", version.as_str()));
    Ok(process)
}
