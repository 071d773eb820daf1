//! The programs behind `chaos` and `bench`: a worker that knows probes, and the prober, which enqueues
//! them and tells what became of them.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel},
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    cargo,
    checkout::Checkout,
    launch::{self, Identity},
    process::{self, Process},
    shell,
    signals::Signals,
};

/// How the worker is built.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Build {
    /// As for tests.
    Test,
    /// As for tests, but without what keeps a lost lease from completing a job.
    Unfenced,
    /// As for use.
    Release,
}

/// Both programs, in a folder where no later build replaces them.
pub(crate) struct Programs {
    pub(crate) worker: PathBuf,
    pub(crate) prober: PathBuf,
}

impl Programs {
    pub(crate) fn build(
        checkout: &Checkout,
        folder: &Path,
        build: Build,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let profile = match build {
            Build::Test | Build::Unfenced => "debug",
            Build::Release => "release",
        };
        // Two builds at a time would put their workers in the same place.
        let lock = File::create(checkout.target.join(format!("probed-{profile}.lock")))?;
        lock.lock()?;
        let mut command = cargo::command();
        command.args(arguments(build)).current_dir(&checkout.root);
        let status = process::run("cargo build", command, signals)?;
        anyhow::ensure!(status.success(), "the programs cannot be built");
        let built = checkout.target.join(profile).join("examples");
        let take = |name| {
            let program = folder.join(name);
            fs::hard_link(built.join(name), &program)
                .or_else(|_| fs::copy(built.join(name), &program).map(drop))
                .with_context(|| format!("cargo built no {name}"))?;
            anyhow::Ok(program)
        };
        Ok(Self {
            worker: take("probed_worker")?,
            prober: take("prober")?,
        })
    }
}

/// The whole workspace is named, though two programs are wanted, so that cargo takes the dependencies
/// as the tests use them and compiles none of them again.
fn arguments(build: Build) -> Vec<&'static str> {
    let mut line = vec!["build", "--workspace", "--quiet"];
    line.extend(["--example", "probed_worker", "--example", "prober"]);
    line.extend(["--features", "taskhub-worker/probe"]);
    match build {
        Build::Test => {}
        Build::Unfenced => line.extend(["--features", "taskhub-worker/unfenced"]),
        Build::Release => line.push("--release"),
    }
    line
}

/// A running prober. It stops when dropped.
pub(crate) struct Prober {
    _process: Process,
    orders: ChildStdin,
    answers: Receiver<String>,
}

impl Prober {
    /// Starts one whose log is written to `folder`.
    pub(crate) fn start(
        program: &Path,
        database_url: &str,
        redis_url: &str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = launch::command(program, Identity::Own, Signal::SIGKILL);
        command
            .args([database_url, redis_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log(folder, "prober")?);
        let mut process = Process::spawn("prober", command, Signal::SIGKILL)?;
        let orders = process.child.stdin.take().context("no stdin")?;
        let answers = process.child.stdout.take().context("no stdout")?;
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            _process: process,
            orders,
            answers: receiver,
        })
    }

    /// Gives an order and does not wait.
    pub(crate) fn order(&mut self, order: &Value) -> anyhow::Result<()> {
        writeln!(self.orders, "{order}").context("the prober has ended")
    }

    /// The answer to the first order that was not answered yet, if it is there.
    pub(crate) fn answer(&self) -> anyhow::Result<Option<Value>> {
        match self.answers.try_recv() {
            Ok(line) => Ok(Some(serde_json::from_str(&line)?)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => anyhow::bail!("the prober has ended"),
        }
    }

    /// Gives an order and waits for its answer.
    ///
    /// # Errors
    /// Where it was not carried out.
    pub(crate) fn ask(&mut self, order: &Value, signals: &Signals) -> anyhow::Result<Value> {
        self.order(order)?;
        loop {
            match self.answers.recv_timeout(Duration::from_millis(20)) {
                Ok(line) => {
                    let answer: Value = serde_json::from_str(&line)?;
                    let error = answer.get("error");
                    anyhow::ensure!(error.is_none(), "{order}: {answer}");
                    return Ok(answer);
                }
                Err(RecvTimeoutError::Timeout) => signals.wait(Duration::ZERO)?,
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("the prober has ended"),
            }
        }
    }
}

/// A worker to be started, with no setting but these.
pub(crate) fn worker_command(
    program: &Path,
    folder: &Path,
    settings: &[(&str, String)],
) -> anyhow::Result<Command> {
    let log = log(folder, "worker")?;
    let mail = folder.join("mail");
    fs::create_dir_all(&mail)?;
    let mut command = launch::command(program, Identity::Own, Signal::SIGKILL);
    command
        .env_clear()
        // Where no `.env` is.
        .current_dir(folder)
        .env("APP_ENV", "test")
        .env("MAIL_URL", shell::file_url(&mail))
        .env("METRICS_ADDRESS", "127.0.0.1:0")
        .env("LOG_FORMAT", "text")
        .env("NO_COLOR", "1")
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

/// One for all programs of a name, because most of them live for seconds.
fn log(folder: &Path, name: &str) -> anyhow::Result<File> {
    let path = folder.join(format!("{name}.log"));
    let file = File::options().create(true).append(true).open(&path);
    file.with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fence_is_taken_away_where_that_is_asked_for_and_nowhere_else() {
        let unfenced = |build| arguments(build).join(" ").contains("unfenced");
        assert!(unfenced(Build::Unfenced));
        assert!(!unfenced(Build::Test));
        assert!(!unfenced(Build::Release));
    }
}
