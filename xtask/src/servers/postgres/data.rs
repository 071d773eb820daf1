//! The data folder of a private PostgreSQL.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Program, command, tail};
use crate::{
    checkout::Checkout,
    launch::Identity,
    process::{self, Process},
    servers::placing,
    signals::Signals,
};

pub(crate) struct Data {
    pub(crate) program: Program,
    pub(crate) identity: Identity,
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
}

impl Data {
    /// A place for data below `folder`. Its name carries the major version, for one cannot read
    /// another's.
    pub(crate) fn place(
        checkout: &Checkout,
        program: &Program,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let wanted = folder.join(format!("postgres-{}", program.major));
        let place = placing::place(checkout, &wanted, &program.bin.join("postgres"))?;
        Ok(Self {
            program: program.clone(),
            identity: place.identity,
            folder: place.folder,
            log: folder.join("postgres.log"),
        })
    }

    pub(crate) fn is_new(&self) -> bool {
        !self.folder.join("taskhub-ready").exists()
    }

    /// Starts `initdb`, which takes about a second, without waiting for it.
    pub(crate) fn initialise(&self) -> anyhow::Result<Process> {
        // What an attempt cut short left behind.
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        let log = File::create(&self.log)
            .with_context(|| format!("{} cannot be written", self.log.display()))?;
        let mut command = command(&self.program, "initdb", self.identity, Signal::SIGKILL);
        command
            .args(initdb_arguments(&self.folder))
            .stdout(log.try_clone()?)
            .stderr(log);
        Process::spawn("initdb", command, Signal::SIGKILL)
    }

    /// Waits for `initdb` and makes a database.
    pub(crate) fn initialised(
        &self,
        initdb: Process,
        database: &str,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let status = initdb.finish(signals)?;
        anyhow::ensure!(status.success(), "initdb failed:\n{}", tail(&self.log));
        // Single-user mode, because some packages come without a client.
        let mut statement = tempfile::tempfile()?;
        writeln!(statement, "create database {database}")?;
        statement.rewind()?;
        let log = File::options().append(true).open(&self.log)?;
        let mut command = command(&self.program, "postgres", self.identity, Signal::SIGKILL);
        command
            .args(["--single", "-D"])
            .arg(&self.folder)
            .arg("postgres")
            .stdin(statement)
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = process::run("postgres --single", command, signals)?;
        anyhow::ensure!(
            status.success(),
            "the database cannot be made:\n{}",
            tail(&self.log)
        );
        fs::write(self.folder.join("taskhub-ready"), "")?;
        Ok(())
    }

    /// Puts a rule of `pg_hba.conf` before the others. Counts from the next start.
    pub(crate) fn admit(&self, rule: &str) -> anyhow::Result<()> {
        let file = self.folder.join("pg_hba.conf");
        let rules = fs::read_to_string(&file)?;
        fs::write(&file, format!("{rule}{rules}"))?;
        Ok(())
    }

    /// The pid of the server on this data and whether it takes connections.
    pub(super) fn status(&self) -> Option<(u32, bool)> {
        let text = fs::read_to_string(self.folder.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
        Some((pid, ready))
    }

    /// Ends what a killed run left: a server that is still stopping, or the pid file of one that is
    /// gone, which PostgreSQL would believe if another program had its number by now.
    pub(crate) fn recover(&self) -> anyhow::Result<()> {
        let Some((pid, _)) = self.status() else {
            return Ok(());
        };
        let deadline = Instant::now() + Duration::from_secs(15);
        let number = Pid::from_raw(i32::try_from(pid)?);
        while serves(pid, &self.folder) {
            anyhow::ensure!(
                Instant::now() < deadline,
                "another PostgreSQL (process {pid}) holds {} and does not stop",
                self.folder.display()
            );
            // It may have ended since: the next look tells.
            let _ = kill(number, Signal::SIGINT);
            thread::sleep(Duration::from_millis(100));
        }
        match fs::remove_file(self.folder.join("postmaster.pid")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether the process is a server on this data.
fn serves(pid: u32, folder: &Path) -> bool {
    if cfg!(target_os = "linux") {
        works_in(pid, folder)
    } else {
        was_told_of(pid, folder)
    }
}

/// PostgreSQL works in its data folder.
fn works_in(pid: u32, folder: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd"))
        .is_ok_and(|cwd| fs::canonicalize(folder).is_ok_and(|own| own == cwd))
}

/// Where there is no `/proc`: the folder stands in the command line, after `-D`.
fn was_told_of(pid: u32, folder: &Path) -> bool {
    let listed = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output();
    let wanted = format!("-D {}", folder.display());
    listed.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&wanted))
}

fn initdb_arguments(folder: &Path) -> Vec<String> {
    let mut line: Vec<String> = [
        "-A",
        "trust",
        "-U",
        "postgres",
        "--locale=C",
        "-E",
        "UTF8",
        "--no-sync",
        "-D",
    ]
    .map(str::to_owned)
    .to_vec();
    line.push(folder.display().to_string());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(folder: &Path) -> Data {
        Data {
            program: Program {
                bin: PathBuf::new(),
                version: "15.0".to_owned(),
                major: 15,
            },
            identity: Identity::Own,
            folder: folder.to_owned(),
            log: folder.join("log"),
        }
    }

    #[test]
    fn a_pid_file_whose_number_is_another_programs_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("postmaster.pid");
        let text = format!(
            "{}\n/data\n1\n5432\n\n127.0.0.1\n1 1\nready   \n",
            std::process::id()
        );
        fs::write(&file, text).expect("a pid file");
        let data = data(folder.path());
        assert_eq!(data.status(), Some((std::process::id(), true)));
        data.recover().expect("nothing runs there");
        assert!(!file.exists());
    }

    #[test]
    fn a_process_tells_of_its_folder_in_its_command_line_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut other = Command::new("sh")
            .args(["-c", "read -r _", "-D"])
            .arg(folder.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        assert!(was_told_of(other.id(), folder.path()));
        assert!(!was_told_of(other.id(), Path::new("/elsewhere")));
        other.kill().expect("own child");
        other.wait().expect("own child");
        assert!(!was_told_of(other.id(), folder.path()));
    }

    #[test]
    fn a_server_that_still_starts_is_not_ready() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(
            folder.path().join("postmaster.pid"),
            "7\n/data\n1\n5432\n\n127.0.0.1\n1 1\nstarting\n",
        )
        .expect("a pid file");
        assert_eq!(data(folder.path()).status(), Some((7, false)));
    }
}
