//! The container engine that runs the emulator's tasks.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    environment,
    launch::{self, Identity},
    process::Process,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Podman, listening on a socket of this run. Dropping it removes the containers and ends it.
pub(super) struct Engine {
    address: String,
    port: u16,
    /// Of all tasks, as JSON.
    variables: String,
    _service: Process,
}

impl Engine {
    /// Starts it for the emulator that will listen on `port`, whose images are had without TLS. Tasks will have these
    /// variables over those of their definitions.
    ///
    /// # Errors
    /// Where Podman is not installed or does not start.
    pub(super) fn start(
        folder: &Path,
        port: u16,
        variables: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let podman = environment::on_path("podman")
            .context("podman is not installed, and --containers needs it")?;
        let variables: BTreeMap<_, _> = variables.iter().cloned().collect();
        let variables = serde_json::to_string(&variables)?;
        let registries = folder.join("registries.conf");
        let here = format!("[[registry]]\nlocation = \"127.0.0.1:{port}\"\ninsecure = true\n");
        fs::write(&registries, here)?;
        let socket = folder.join("engine.sock");
        let address = format!("unix://{}", socket.display());
        let mut command = launch::command(podman, Identity::Own, Signal::SIGKILL);
        command
            .args(["system", "service", "--time=0", &address])
            .env("CONTAINERS_REGISTRIES_CONF", &registries)
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("engine.log"))?)
            .stderr(fs::File::create(folder.join("engine.err"))?);
        let mut service = Process::spawn("podman", command, Signal::SIGTERM)?;
        let deadline = Instant::now() + PATIENCE;
        while !socket.exists() {
            if let Some(status) = service.ended()? {
                let said = fs::read_to_string(folder.join("engine.err"))?;
                anyhow::bail!("podman does not start, {status}: {}", said.trim());
            }
            anyhow::ensure!(Instant::now() < deadline, "podman does not listen");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Self {
            address,
            port,
            variables,
            _service: service,
        })
    }

    /// Has `emulator` run its tasks here.
    pub(super) fn run_tasks_of(&self, emulator: &mut Command) {
        emulator
            .env("TASK_ENGINE", &self.address)
            .env("TASK_ENVIRONMENT", &self.variables);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let filter = format!("--filter=label=taskhub.emulator={}", self.port);
        let podman = |arguments: &[&str]| {
            Command::new("podman")
                .args(arguments)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
        };
        let Ok(listed) = podman(&["ps", "--all", "--quiet", &filter]) else {
            return;
        };
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let containers: Vec<&str> = listed.split_whitespace().collect();
        if !containers.is_empty() {
            drop(podman(
                &[&["rm", "--force", "--time=2"], &containers[..]].concat(),
            ));
        }
    }
}

/// `NAME=VALUE` of the command line.
///
/// # Errors
/// In words, where it is something else.
pub(super) fn variable(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = parts.ok_or("it is not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
