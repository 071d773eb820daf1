//! A private PostgreSQL.

mod data;

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;

pub(crate) use self::data::Data;
use crate::{
    environment,
    launch::{self, Identity},
    process::Process,
    signals::{Interrupted, Signals},
};

const OLDEST: u32 = 15;
const PATIENCE: Duration = Duration::from_secs(60);

/// The programs of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The folder with `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    pub(crate) version: String,
    pub(crate) major: u32,
}

/// What a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Data that somebody wants to find again.
    Keep,
    /// Data that nobody misses after the run: never written through.
    ThrowAway,
    /// The same, but what was committed outlives the server, however it ends; not the machine.
    Trial,
}

/// A running server. It stops when dropped.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    process: Process,
    /// Once it is ready.
    stop_with: Signal,
}

impl Program {
    /// The newest that is installed where the systems we know put it; what is on PATH goes first.
    pub(crate) fn installed() -> Option<Self> {
        let on_path =
            environment::on_path("postgres").and_then(|file| file.parent().map(Path::to_owned));
        on_path
            .into_iter()
            .chain(usual_folders())
            .find_map(|bin| Self::in_folder(&bin))
    }

    /// The installation in a folder, if it is complete, runs and is new enough.
    pub(crate) fn in_folder(bin: &Path) -> Option<Self> {
        if !bin.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(bin.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let (version, major) = version(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST).then(|| Self {
            bin: bin.to_owned(),
            version,
            major,
        })
    }
}

/// Of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`: `15.14` and 15.
fn version(line: &str) -> Option<(String, u32)> {
    let version = line.split(' ').nth(2)?.trim();
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((version.to_owned(), major.parse().ok()?))
}

fn usual_folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix, suffix) in [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr/lib", "postgresql", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
    ] {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let major = name
                .to_str()
                .and_then(|name| name.strip_prefix(prefix)?.parse::<u32>().ok());
            found.extend(major.map(|major| (major, entry.path().join(suffix))));
        }
    }
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// A PostgreSQL program that is not led astray by the caller's environment.
fn command(program: &Program, name: &str, identity: Identity, on_death: Signal) -> Command {
    let mut command = launch::command(program.bin.join(name), identity, on_death);
    for variable in environment::names() {
        if variable.starts_with("PG") || matches!(variable.as_str(), "LANG" | "TZ") {
            command.env_remove(variable);
        }
    }
    // Named, for on macOS a locale that is looked up starts a thread, and then PostgreSQL refuses to start.
    command.env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

pub(crate) fn arguments(data: &Path, port: u16, purpose: Purpose) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "jit=off",
        // Not every package has time-zone data.
        "timezone=GMT",
        "log_timezone=GMT",
        "max_connections=300",
    ];
    if purpose != Purpose::Keep {
        settings.extend(["fsync=off", "full_page_writes=off"]);
    }
    if purpose == Purpose::ThrowAway {
        settings.push("synchronous_commit=off");
    }
    let mut line = vec!["-D".to_owned(), data.display().to_string()];
    line.extend(["-p".to_owned(), port.to_string()]);
    for setting in settings {
        line.extend(["-c".to_owned(), setting.to_owned()]);
    }
    line
}

impl Postgres {
    /// Starts the server without waiting for it.
    pub(crate) fn spawn(data: &Data, port: u16, purpose: Purpose) -> anyhow::Result<Self> {
        // SIGTERM would wait for open connections; SIGQUIT does not even write a checkpoint.
        let stop_with = match purpose {
            Purpose::Keep => Signal::SIGINT,
            Purpose::ThrowAway | Purpose::Trial => Signal::SIGQUIT,
        };
        let log = File::create(&data.log)
            .with_context(|| format!("{} cannot be written", data.log.display()))?;
        let mut command = command(&data.program, "postgres", data.identity, stop_with);
        command
            .args(arguments(&data.folder, port, purpose))
            .stdout(log.try_clone()?)
            .stderr(log);
        // Until it is ready it may be recovering, and then it heeds nothing less.
        let process = Process::spawn("PostgreSQL", command, Signal::SIGQUIT)?;
        Ok(Self {
            port,
            process,
            stop_with,
        })
    }

    /// Waits until it takes connections: it says so in the last line of its pid file.
    pub(crate) fn ready(&mut self, data: &Data, signals: &Signals) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if data
                .status()
                .is_some_and(|(pid, ready)| ready && pid == self.process.id())
            {
                self.process.stop_with = self.stop_with;
                return Ok(());
            }
            let ended = self.process.ended()?;
            anyhow::ensure!(
                ended.is_none() && Instant::now() < deadline,
                "PostgreSQL does not start. The end of {}:\n{}",
                data.log.display(),
                tail(&data.log)
            );
            signals.wait(Duration::from_millis(20))?;
        }
    }

    pub(crate) fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

/// Starts a server for one run on whatever port is free. One that is free now may be gone in a
/// moment: three attempts.
pub(crate) fn start_throw_away(data: &Data, signals: &Signals) -> anyhow::Result<Postgres> {
    let mut attempt = 1;
    loop {
        let mut postgres = Postgres::spawn(data, free_port()?, Purpose::ThrowAway)?;
        match postgres.ready(data, signals) {
            Ok(()) => return Ok(postgres),
            Err(error) if attempt == 3 || error.is::<Interrupted>() => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_distributions_write_it() {
        let debian = version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n");
        assert_eq!(debian, Some(("15.14".to_owned(), 15)));
        assert_eq!(
            version("postgres (PostgreSQL) 18beta1\n"),
            Some(("18beta1".to_owned(), 18))
        );
        assert_eq!(version(""), None);
    }

    #[test]
    fn only_throw_away_data_forgoes_fsync() {
        let unsafe_setting = "fsync=off".to_owned();
        let folder = Path::new("/data");
        assert!(arguments(folder, 1, Purpose::ThrowAway).contains(&unsafe_setting));
        assert!(!arguments(folder, 1, Purpose::Keep).contains(&unsafe_setting));
    }

    #[test]
    fn nobody_outside_this_machine_can_connect() {
        let line = arguments(Path::new("/data"), 5432, Purpose::Keep);
        assert_eq!(line[..4], ["-D", "/data", "-p", "5432"]);
        assert!(line.contains(&"listen_addresses=127.0.0.1".to_owned()));
    }
}
