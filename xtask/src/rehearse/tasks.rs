//! One ECS task: a process, its container health check and its place at the load balancer.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
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
    stage::Stage,
};
use crate::{
    contract::Task as Kind,
    launch::{self, Identity},
    process::Process,
    servers::postgres::tail,
};

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
        let environment = stage.environment(kind, version, port, metrics);
        let command = &stage.service(kind).command;
        let program = stage.binaries.program(version, command);
        let log = stage.folder.join(format!("{}.log", balancer::name(number)));
        let wrapper = stage.wrapper(kind, version)?;
        let mut line = command_of(wrapper.as_deref(), &program, &command[1..], &environment);
        let file = File::create(&log)?;
        line.current_dir(&stage.folder)
            .stdout(file.try_clone()?)
            .stderr(file);
        let process = Process::spawn(kind.name(), line, Signal::SIGKILL)?;
        let probe = stage.service(kind).probe.clone();
        let asks = command_of(
            None,
            &stage.binaries.program(version, &probe.command),
            &probe.command[1..],
            &environment,
        );
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

/// A program with nothing in its environment but what its task gives it.
pub(super) fn command_of(
    wrapper: Option<&Path>,
    program: &Path,
    arguments: &[String],
    environment: &[(String, String)],
) -> Command {
    let mut command = launch::command(wrapper.unwrap_or(program), Identity::Own, Signal::SIGKILL);
    if wrapper.is_some() {
        command.arg(program);
    }
    command
        .args(arguments)
        .env_clear()
        // For the tools in a fault's script.
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(environment.iter().cloned())
        .stdin(Stdio::null());
    command
}

pub(super) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// The end of a log, to follow what happened: `: a line; the next`. Empty where nothing was said that went
/// wrong.
pub(super) fn last_words(log: &Path) -> String {
    let words = tail(log);
    let lines: Vec<&str> = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains(r#""level":"INFO""#))
        .collect();
    match &lines[lines.len().saturating_sub(3)..] {
        [] => String::new(),
        last => format!(": {}", last.join("; ")),
    }
}
