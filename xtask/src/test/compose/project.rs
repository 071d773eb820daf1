//! The project that `docker compose` makes of a copy of the checkout.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;

use super::{
    INTERVAL, PATIENCE, SERVICES,
    containers::Container,
    engine::{self, Engine},
    user,
};
use crate::{checkout::Checkout, environment, process, process::Process, signals::Signals};

/// Not the name that people's own image has.
const IMAGE: &str = "taskhub:trial";

/// What its images say that they were built from. Each build of the same thing is an image of its own.
const COMMIT: &str = "trial";

/// Files that are named relative to the checkout.
const FILES: [&str; 2] = ["TASKHUB_BUILD_CA", "TASKHUB_BUILD_CARGO_CONFIG"];

/// Settings that are the user's own, and not the trial's.
const OWN: [&str; 5] = [
    "ADMIN_USERS",
    "COMPOSE_FILE",
    "COMPOSE_PROFILES",
    "JWT_SECRET",
    "PUBLIC_URL",
];

/// Dropping it removes containers, networks, volumes and the image.
pub(super) struct Project<'a> {
    engine: &'a Engine,
    /// The copy.
    pub(super) folder: PathBuf,
    name: String,
    files: Vec<(&'static str, PathBuf)>,
}

impl<'a> Project<'a> {
    /// Removes what a former trial of the same checkout left when it was killed.
    pub(super) fn new(
        engine: &'a Engine,
        checkout: &Checkout,
        folder: PathBuf,
    ) -> anyhow::Result<Self> {
        let files = FILES.iter().filter_map(|name| {
            let file = environment::variable(name)?;
            Some((*name, checkout.root.join(file)))
        });
        let project = Self {
            engine,
            folder,
            name: format!("taskhub-trial-{:016x}", checkout.hash()),
            files: files.collect(),
        };
        project.output(&["down", "--volumes", "--remove-orphans"])?;
        Ok(project)
    }

    /// `docker compose` in the copy.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.engine.command(&["compose"]);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .env("TASKHUB_IMAGE", IMAGE)
            .env("TASKHUB_COMMIT", COMMIT)
            .envs(self.files.iter().map(|(name, file)| (name, file)));
        for name in OWN {
            command.env_remove(name);
        }
        command
    }

    fn output(&self, arguments: &[&str]) -> anyhow::Result<String> {
        engine::output(self.command(arguments), arguments)
    }

    /// Shows the output, because a first build takes long. `up --build` then finds everything in the cache.
    pub(super) fn build(&self, signals: &Signals) -> anyhow::Result<()> {
        let status = process::run(
            "docker compose build",
            self.command(&["build", "api"]),
            signals,
        )?;
        ensure!(status.success(), "docker compose build: {status}");
        Ok(())
    }

    /// Returns once every service is healthy. What they say goes to a file.
    pub(super) fn up(&self, log: &Path, signals: &Signals) -> anyhow::Result<Process> {
        let file = File::create(log)?;
        let mut command = self.command(&["up", "--build"]);
        command.stdout(file.try_clone()?).stderr(file);
        let mut up = Process::spawn("docker compose up", command, Signal::SIGINT)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = up.ended()? {
                bail!("docker compose up --build: {status}\n{}", end_of(log));
            }
            if self.is_healthy()? && user::api_is_ready() {
                return Ok(up);
            }
            ensure!(
                Instant::now() < deadline,
                "not every service is healthy after {PATIENCE:?}\n{}",
                end_of(log)
            );
            signals.wait(INTERVAL)?;
        }
    }

    fn is_healthy(&self) -> anyhow::Result<bool> {
        for service in SERVICES {
            if !self
                .container(service)?
                .is_some_and(|container| container.is_healthy())
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As Ctrl-C does: waits for the end of all services, which end well.
    pub(super) fn interrupt(&self, mut up: Process, signals: &Signals) -> anyhow::Result<()> {
        up.ask();
        up.finish(signals)?;
        for service in SERVICES {
            let container = self.container(service)?;
            let container = container.with_context(|| format!("{service} has no container"))?;
            ensure!(
                !container.state.running && container.state.exit_code == 0,
                "{service} did not end with code 0: {:?}",
                container.state
            );
        }
        Ok(())
    }

    pub(super) fn down(&self, signals: &Signals) -> anyhow::Result<()> {
        let command = self.command(&["--progress=quiet", "down"]);
        let status = process::run("docker compose down", command, signals)?;
        ensure!(status.success(), "docker compose down: {status}");
        Ok(())
    }

    fn container(&self, service: &str) -> anyhow::Result<Option<Container>> {
        let id = self.output(&["ps", "--all", "--quiet", service]);
        // Compose knows no service before its container is made.
        match id.unwrap_or_default().trim() {
            "" => Ok(None),
            id => Container::inspect(self.engine, id).map(Some),
        }
    }

    /// Kills the process of a service, which Docker then starts again, and waits until it is healthy.
    pub(super) fn kill(&self, service: &str, signals: &Signals) -> anyhow::Result<()> {
        let found = |service: &str| {
            let container = self.container(service)?;
            container.with_context(|| format!("{service} has no container"))
        };
        let shell = found("postgres")?.image;
        let before = found(service)?;
        before.kill(self.engine, &shell)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = found(service)?;
            if now.restarts > before.restarts && now.is_healthy() && user::api_is_ready() {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{service} was killed and is not back after {PATIENCE:?}: {:?}",
                now.state
            );
            signals.wait(INTERVAL)?;
        }
    }

    /// The programs know what they were built from.
    pub(super) fn is_of_its_commit(&self) -> anyhow::Result<()> {
        let commit = user::api_commit()?;
        ensure!(
            commit == COMMIT,
            "the API says that it was built from {commit:?}"
        );
        Ok(())
    }

    /// The programs run as somebody without rights, on a file system that they cannot write.
    pub(super) fn is_caged(&self) -> anyhow::Result<()> {
        for service in ["api", "worker"] {
            let container = self.container(service)?;
            let container = container.with_context(|| format!("{service} has no container"))?;
            let cage = container.cage;
            ensure!(cage == "true 65532:65532 [ALL]", "{service} runs as {cage}");
        }
        Ok(())
    }

    /// Copies the letters as the Compose file advises, and reads them.
    pub(super) fn letters(&self) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(self.folder.join("docker-compose.yml"))?;
        let advice = text
            .lines()
            .find_map(|line| {
                line.trim_start_matches(['#', ' '])
                    .strip_prefix("docker compose cp ")
            })
            .context("docker-compose.yml does not say how letters are copied")?;
        let words: Vec<&str> = ["cp"]
            .into_iter()
            .chain(advice.split_whitespace())
            .collect();
        self.output(&words)?;
        let folder = self.folder.join(words.last().context("a destination")?);
        let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let letters = files.map(|file| Ok(fs::read_to_string(file?.path())?));
        letters.collect()
    }

    fn remove_images(&self) -> anyhow::Result<()> {
        let ours = format!("--filter=label=org.opencontainers.image.revision={COMMIT}");
        let ids = self
            .engine
            .output(&["image", "ls", "--all", "--quiet", &ours])?;
        let ids: BTreeSet<&str> = ids.split_whitespace().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let arguments: Vec<&str> = ["image", "rm", "--force"].into_iter().chain(ids).collect();
        self.engine.output(&arguments).map(drop)
    }

    /// Bytes, and a line for each layer.
    pub(super) fn image_size(&self) -> anyhow::Result<(u64, Vec<String>)> {
        let format = "--format={{.Size}}";
        let bytes = self.engine.output(&["image", "inspect", format, IMAGE])?;
        let format = "--format={{.Size}}\t{{.CreatedBy}}";
        let layers = self.engine.output(&["history", format, IMAGE])?;
        let layers = layers.lines().filter(|line| !line.starts_with("0B"));
        Ok((
            bytes.trim().parse().context("the image's size")?,
            layers.map(|line| line.replace('\t', "  ")).collect(),
        ))
    }
}

impl Drop for Project<'_> {
    fn drop(&mut self) {
        let down = ["down", "--volumes", "--remove-orphans", "--timeout=10"];
        if let Err(error) = self.output(&down) {
            crate::progress::failure(&error);
        }
        if let Err(error) = self.remove_images() {
            crate::progress::failure(&error);
        }
    }
}

/// The last lines of a log.
fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
