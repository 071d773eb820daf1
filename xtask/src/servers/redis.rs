//! A private Redis, or Valkey, which is the same to us.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    environment,
    launch::{self, Identity},
    process::Process,
    servers::{
        given,
        postgres::{Purpose, tail},
    },
    signals::Signals,
};

const OLDEST: (u32, u32) = (6, 2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) name: Name,
    pub(crate) version: String,
}

/// Which of the two it is. We speak to both alike.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Name {
    Redis,
    Valkey,
}

impl Name {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padded where a table asks for it.
        f.pad(self.as_str())
    }
}

/// A running server. It stops when dropped.
pub(crate) struct Redis {
    pub(crate) name: Name,
    port: u16,
    log: PathBuf,
    process: Process,
}

impl Program {
    pub(crate) fn installed() -> Option<Self> {
        ["redis-server", "valkey-server"]
            .into_iter()
            .filter_map(environment::on_path)
            .chain([
                "/opt/homebrew/bin/redis-server".into(),
                "/opt/homebrew/bin/valkey-server".into(),
            ])
            .find_map(|path| Self::at(&path))
    }

    /// The server at a path, if it runs and is new enough.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let output = Command::new(path).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let (version, release) = version(&said)?;
        (release >= OLDEST).then(|| Self {
            path: path.to_owned(),
            name: name(&said),
            version,
        })
    }
}

/// By the first word of `Valkey server v=9.1.2 …`.
fn name(line: &str) -> Name {
    if line.starts_with("Valkey") {
        Name::Valkey
    } else {
        Name::Redis
    }
}

/// Of `Redis server v=7.0.15 sha=00000000:0 …`: `7.0.15` and (7, 0).
fn version(line: &str) -> Option<(String, (u32, u32))> {
    let version = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.split('.');
    let release = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some((version.to_owned(), release))
}

pub(crate) fn arguments(folder: &Path, port: u16, purpose: Purpose) -> Vec<String> {
    let save = match purpose {
        Purpose::Keep => "60 1",
        Purpose::ThrowAway | Purpose::Trial => "",
    };
    let folder = folder.display().to_string();
    [
        ["--port", &port.to_string()],
        ["--bind", "127.0.0.1"],
        ["--dir", &folder],
        ["--save", save],
        ["--appendonly", "no"],
        ["--daemonize", "no"],
    ]
    .into_iter()
    .flatten()
    .map(str::to_owned)
    .collect()
}

impl Redis {
    /// Starts the server without waiting for it. Its data lies in `folder/redis`.
    pub(crate) fn spawn(
        program: &Program,
        folder: &Path,
        port: u16,
        purpose: Purpose,
    ) -> anyhow::Result<Self> {
        let stop_with = match purpose {
            Purpose::Keep => Signal::SIGTERM,
            Purpose::ThrowAway | Purpose::Trial => Signal::SIGKILL,
        };
        let data = folder.join("redis");
        fs::create_dir_all(&data).with_context(|| format!("{} cannot be made", data.display()))?;
        let path = folder.join("redis.log");
        let log =
            File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut command = launch::command(&program.path, Identity::Own, stop_with);
        command
            .args(arguments(&data, port, purpose))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(Self {
            name: program.name,
            port,
            log: path,
            process: Process::spawn(program.name.as_str(), command, stop_with)?,
        })
    }

    /// Waits until it answers.
    pub(crate) fn ready(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let url = Url::parse(&self.url())?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.process.ended()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "{} does not start. The end of {}:\n{}",
                self.name,
                self.log.display(),
                tail(&self.log)
            );
            if given::connect(&url, self.port)
                .is_some_and(|stream| given::redis_answers(stream, &url))
            {
                return Ok(());
            }
            signals.wait(Duration::from_millis(20))?;
        }
    }

    pub(crate) fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_and_valkey_tell_their_version_alike() {
        let redis = version("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64");
        assert_eq!(redis, Some(("7.0.15".to_owned(), (7, 0))));
        assert_eq!(name("Redis server v=7.0.15 sha=00000000:0"), Name::Redis);
        assert_eq!(name("Valkey server v=9.1.2 sha=00000000:0"), Name::Valkey);
        let valkey = version("Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64");
        assert_eq!(valkey.map(|(_, release)| release), Some((9, 1)));
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn a_throw_away_server_writes_nothing() {
        let line = arguments(Path::new("/data"), 6379, Purpose::ThrowAway);
        assert!(line.windows(2).any(|pair| pair == ["--save", ""]));
        assert!(line.windows(2).any(|pair| pair == ["--bind", "127.0.0.1"]));
    }
}
