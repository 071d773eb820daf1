//! Programs for tests that start a server of their own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{
    checkout::Checkout,
    launch::Identity,
    servers::{self, Servers, Source, placing, postgres, redis},
    shell,
    signals::Signals,
};

/// `TASKHUB_TEST_POSTGRES_BIN`, a folder with `initdb` and `postgres` that also work for root, and
/// `TASKHUB_TEST_REDIS_SERVER`, a path. Absent where the servers were given and there is no program.
pub(super) fn variables(
    checkout: &Checkout,
    found: &Servers,
    folder: &Path,
    launcher: &Path,
    signals: &Signals,
) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    let mut variables = Vec::new();
    if let Some(program) = postgres_program(found, checkout, signals)? {
        let bin = write_starters(checkout, &program, folder, launcher)?;
        variables.push(("TASKHUB_TEST_POSTGRES_BIN", bin));
    }
    if let Some(program) = redis_program(found, checkout, signals)? {
        variables.push(("TASKHUB_TEST_REDIS_SERVER", program.path));
    }
    Ok(variables)
}

fn postgres_program(
    found: &Servers,
    checkout: &Checkout,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    match &found.postgres {
        Source::Program(program) => Ok(Some(program.clone())),
        Source::Given(_) => servers::postgres_program(&checkout.packages(), signals),
    }
}

fn redis_program(
    found: &Servers,
    checkout: &Checkout,
    signals: &Signals,
) -> anyhow::Result<Option<redis::Program>> {
    match &found.redis {
        Source::Program(program) => Ok(Some(program.clone())),
        Source::Given(_) => servers::redis_program(&checkout.packages(), signals),
    }
}

/// The programs themselves for a normal user; for root, scripts that run them as somebody else.
fn write_starters(
    checkout: &Checkout,
    program: &postgres::Program,
    folder: &Path,
    launcher: &Path,
) -> anyhow::Result<PathBuf> {
    let place = placing::place(
        checkout,
        &folder.join("own-postgres"),
        &program.bin.join("postgres"),
    )?;
    if place.identity == Identity::Own {
        return Ok(program.bin.clone());
    }
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    for name in ["initdb", "postgres"] {
        let file = bin.join(name);
        fs::write(
            &file,
            starter(launcher, place.identity, &program.bin.join(name)),
        )?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(bin)
}

fn starter(launcher: &Path, identity: Identity, program: &Path) -> String {
    let identity = match identity {
        Identity::Own => String::new(),
        Identity::Nobody => "--as-nobody ".to_owned(),
        Identity::Other(uid, gid) => format!("--uid={uid} --gid={gid} "),
    };
    format!(
        "#!/bin/sh\nexec {} launch --on-death=SIGQUIT {identity}-- {} \"$@\"\n",
        shell::quoted(launcher),
        shell::quoted(program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starter_gives_up_root_and_passes_its_arguments_on() {
        let script = starter(
            Path::new("/x/xtask"),
            Identity::Nobody,
            Path::new("/pg/bin/postgres"),
        );
        assert_eq!(
            script,
            "#!/bin/sh\nexec '/x/xtask' launch --on-death=SIGQUIT --as-nobody -- '/pg/bin/postgres' \"$@\"\n"
        );
    }
}
