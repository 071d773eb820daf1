//! One ECS task: a process, its container health check and its place at the load balancer.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitStatus,
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::{
    balancer::{self, TargetHealth},
    checks::{Check, Health},
    faults::{Ending, Version},
    programs::{ending, last_words},
    stage::Stage,
};
use crate::{contract::Task as Kind, process::Process};

pub(super) struct Task {
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) version: Version,
    process: Process,
    log: PathBuf,
    started: Instant,
    check: Check,
    /// Of the load balancer; a worker has no place there.
    target: Option<TargetHealth>,
    life: Life,
}

#[derive(Clone, Copy, Debug)]
enum Life {
    Running,
    /// Deregistered; SIGTERM comes at this time.
    Draining(Instant),
    /// Told to end at this time.
    Stopping {
        since: Instant,
        killed: bool,
    },
}

/// What became of a task since it was last looked at.
pub(super) enum Step {
    Goes,
    /// It ended as it was told to.
    Stopped,
    /// It ended by itself.
    Died(String),
    /// A check says that it cannot go on.
    Unhealthy(&'static str),
}

impl Task {
    pub(super) fn start(
        stage: &mut Stage<'_>,
        kind: Kind,
        version: Version,
    ) -> anyhow::Result<Self> {
        let number = stage.next_number();
        let port = stage.ports.next()?;
        let metrics = stage.ports.next()?;
        let variables = stage.variables(kind, version, port, metrics);
        let log = stage.folder.join(format!("{}.log", balancer::name(number)));
        let process = stage.spawn(kind, version, &variables, &log)?;
        let probe = stage.service(kind).probe.clone();
        let asks = stage.probe(kind, version, &variables);
        let task = Self {
            number,
            kind,
            version,
            process,
            log,
            started: Instant::now(),
            check: Check::new(probe, asks, stage.speed),
            target: (kind == Kind::Api).then_some(TargetHealth::Unhealthy),
            life: Life::Running,
        };
        task.tell(stage, "RUNNING");
        if task.target.is_some() {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            stage.balancer.register(number, address)?;
        }
        Ok(task)
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.life, Life::Running)
    }

    /// By its own check and by the load balancer's.
    pub(super) fn is_healthy(&self) -> bool {
        self.is_running()
            && self.check.health == Health::Healthy
            && self.target != Some(TargetHealth::Unhealthy)
    }

    fn tell(&self, stage: &Stage<'_>, message: impl Into<String>) {
        let name = format!("{} {}", balancer::name(self.number), self.version.as_str());
        stage
            .journal
            .note("task", Some(self.kind.name()), Some(name), message);
    }

    /// Looks at it and does what is due.
    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<Step> {
        if let Some(status) = self.process.ended()? {
            return self.ended(stage, status);
        }
        match self.life {
            Life::Running => self.watch(stage),
            Life::Draining(until) => {
                if Instant::now() >= until {
                    stage.balancer.forget(self.number)?;
                    self.terminate(stage);
                }
                Ok(Step::Goes)
            }
            Life::Stopping { since, killed } => {
                self.deregister_late(stage, since)?;
                let limit = stage.speed.wait(stage.service(self.kind).stop_timeout);
                if !killed && since.elapsed() > limit {
                    self.tell(
                        stage,
                        format!("SIGKILL, {:.1} s after SIGTERM", limit.as_secs_f64()),
                    );
                    self.kill(since);
                }
                Ok(Step::Goes)
            }
        }
    }

    fn ended(&mut self, stage: &mut Stage<'_>, status: ExitStatus) -> anyhow::Result<Step> {
        if let Life::Stopping { since, .. } = self.life
            && stage.ending() == Ending::Killed
            && !self.deregister_late(stage, since)?
        {
            return Ok(Step::Goes);
        }
        if self.target.is_some() {
            stage.balancer.forget(self.number)?;
        }
        if matches!(self.life, Life::Stopping { .. }) {
            self.tell(stage, format!("STOPPED, {}", ending(status)));
            return Ok(Step::Stopped);
        }
        let reason = format!("{}{}", ending(status), last_words(&self.log));
        self.tell(stage, format!("STOPPED by itself, {reason}"));
        Ok(Step::Died(reason))
    }

    fn watch(&mut self, stage: &mut Stage<'_>) -> anyhow::Result<Step> {
        let before = self.is_healthy();
        self.check.tick(self.started)?;
        if self.target.is_some() {
            let health = stage.balancer.health(self.number)?;
            if self.target.replace(health) != Some(health) {
                self.tell(stage, format!("target {health:?}").to_lowercase());
            }
        }
        if self.is_healthy() && !before {
            self.tell(stage, "HEALTHY");
        }
        let grace = stage.speed.wait(stage.service(self.kind).grace);
        if self.started.elapsed() < grace {
            return Ok(Step::Goes);
        }
        if self.check.health == Health::Unhealthy {
            return Ok(Step::Unhealthy("failed its container health check"));
        }
        if self.target == Some(TargetHealth::Unhealthy) {
            return Ok(Step::Unhealthy("failed the load balancer's health check"));
        }
        Ok(Step::Goes)
    }

    /// Begins its end.
    pub(super) fn stop(&mut self, stage: &mut Stage<'_>, why: &str) -> anyhow::Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        if self.target.is_none() {
            self.tell(stage, format!("SIGTERM, {why}"));
            self.terminate(stage);
            return Ok(());
        }
        match stage.ending() {
            Ending::DrainedFirst => {
                stage.balancer.drain(self.number)?;
                let delay = stage.rendered.target_group.deregistration_delay;
                self.life = Life::Draining(Instant::now() + stage.speed.wait(delay));
                self.tell(stage, format!("DRAINING, {why}"));
            }
            Ending::SigtermFirst => {
                self.tell(stage, format!("SIGTERM before it is deregistered, {why}"));
                self.terminate(stage);
            }
            Ending::Killed => {
                self.tell(stage, format!("SIGKILL before it is deregistered, {why}"));
                self.kill(Instant::now());
            }
        }
        Ok(())
    }

    /// Where the signal came first: half of the API's drain later it leaves the load balancer. Says
    /// whether it has.
    fn deregister_late(&mut self, stage: &Stage<'_>, since: Instant) -> anyhow::Result<bool> {
        if stage.ending() == Ending::DrainedFirst || self.target.is_none() {
            return Ok(true);
        }
        let due = since.elapsed() >= stage.drain() / 2;
        if due && self.target == Some(TargetHealth::Healthy) {
            self.target = Some(TargetHealth::Unhealthy);
            stage.balancer.drain(self.number)?;
            self.tell(stage, "DRAINING");
        }
        Ok(due)
    }

    /// Only the task's first process is told, as its init would be.
    fn terminate(&mut self, stage: &Stage<'_>) {
        if self.target.is_some() && stage.ending() == Ending::DrainedFirst {
            self.tell(stage, "SIGTERM");
        }
        self.life = Life::Stopping {
            since: Instant::now(),
            killed: false,
        };
        if let Some(pid) = self.pid() {
            // It may have ended this very moment, which the next step sees.
            let _ = kill(pid, Signal::SIGTERM);
        }
    }

    fn kill(&mut self, since: Instant) {
        self.life = Life::Stopping {
            since,
            killed: true,
        };
        if let Some(pid) = self.pid() {
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().map(Pid::from_raw)
    }
}
