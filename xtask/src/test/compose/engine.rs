//! The Docker Engine: one that answers already, or a private one.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use nix::{sys::signal::Signal, unistd::geteuid};

use super::INTERVAL;
use crate::{
    checkout::Checkout,
    environment,
    launch::{self, Identity},
    process::Process,
    progress::{self, Step},
    signals::Signals,
};

/// Starts and holds a private engine.
const SCRIPT: &str = "xtask/containers/engine.sh";

pub(super) struct Engine {
    /// By which `docker` finds it.
    variables: Vec<(String, String)>,
    /// What holds it, if it is ours. Dropping it stops the engine.
    _holder: Option<Process>,
}

impl Engine {
    /// Prefers one that answers. Where there is none and none can be started, gives the reason.
    pub(super) fn find_or_start(
        checkout: &Checkout,
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<Result<Self, String>> {
        let step = Step::start();
        let given = Self {
            variables: Vec::new(),
            _holder: None,
        };
        if let Some(version) = given.version() {
            given.has_compose()?;
            step.done(format_args!("Docker Engine {version} answers"));
            return Ok(Ok(given));
        }
        if let Some(reason) = unstartable() {
            return Ok(Err(format!("no Docker Engine answers, and {reason}")));
        }
        progress::say(format_args!(
            "            no Docker Engine answers: {SCRIPT} starts one; the first time takes minutes"
        ));
        let engine = Self::start(&checkout.root.join(SCRIPT), folder, signals)?;
        let version = engine
            .version()
            .context("the Docker Engine does not answer")?;
        engine.has_compose()?;
        step.done(format_args!("Docker Engine {version} started"));
        Ok(Ok(engine))
    }

    fn start(script: &Path, folder: &Path, signals: &Signals) -> anyhow::Result<Self> {
        let said = folder.join("engine");
        let mut command = launch::command("bash", Identity::Own, Signal::SIGTERM);
        command
            .arg(script)
            .arg("hold")
            .stdin(Stdio::null())
            .stdout(File::create(&said)?);
        let mut holder = Process::spawn("engine.sh", command, Signal::SIGTERM)?;
        loop {
            let text = fs::read_to_string(&said)?;
            // An empty line ends the list.
            if let Some(list) = text.strip_suffix("\n\n") {
                let variables = list.lines().filter_map(|line| line.split_once('='));
                return Ok(Self {
                    variables: variables
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                    _holder: Some(holder),
                });
            }
            if let Some(status) = holder.ended()? {
                bail!("{SCRIPT} ended before the engine ran: {status}");
            }
            signals.wait(INTERVAL)?;
        }
    }

    fn version(&self) -> Option<String> {
        environment::on_path("docker")?;
        let arguments = ["version", "--format", "{{.Server.Version}}"];
        self.output(&arguments)
            .ok()
            .map(|text| text.trim().to_owned())
    }

    fn has_compose(&self) -> anyhow::Result<()> {
        let version = self.output(&["compose", "version"]);
        version
            .map(drop)
            .context("Docker answers, but has no Compose")
    }

    /// `docker` as a child that ends with this process.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = launch::command("docker", Identity::Own, Signal::SIGTERM);
        command
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// What `docker` answers to a quick question.
    pub(super) fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output(self.command(arguments), arguments)
    }
}

pub(super) fn output(mut command: Command, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command.output().context("docker cannot be run")?;
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Why this machine cannot have a private engine.
fn unstartable() -> Option<&'static str> {
    if !geteuid().is_root() {
        Some("only root can start one")
    } else if environment::on_path("apt-get").is_none() {
        Some("one can be started on Debian only")
    } else {
        None
    }
}
