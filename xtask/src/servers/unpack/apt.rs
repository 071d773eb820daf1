//! Redis, HAProxy and a library that shifts clocks, from Debian's own packages, signed and fit for this
//! very system.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    environment,
    servers::{haproxy, redis::Program},
    shell,
    signals::Signals,
    unpacking::{run, unpacked},
};

/// `redis-server` is the same program as `redis-check-rdb` of redis-tools; the others are libraries of
/// its that a small system may lack.
const REDIS: [&str; 4] = ["redis-tools", "libjemalloc2", "liblzf1", "libatomic1"];

/// With the libraries of its that a small system may lack.
const HAPROXY: [&str; 5] = [
    "haproxy",
    "liblua5.3-0",
    "libopentracing-c-wrapper0",
    "libopentracing1",
    "libpcre2-8-0",
];

pub(super) fn redis(packages: &Path, signals: &Signals) -> anyhow::Result<Option<Program>> {
    let folder = packages.join("redis-apt");
    let server = folder.join("redis-server");
    if let Some(program) = Program::at(&server) {
        return Ok(Some(program));
    }
    let Some(tools) = Tools::find() else {
        return Ok(None);
    };
    unpacked(&folder, |draft| {
        tools.unpack(&REDIS, draft, signals)?;
        let server = draft.join("usr/bin/redis-server");
        if !server.exists() {
            symlink("redis-check-rdb", server)?;
        }
        write_starter(draft, &folder, "usr/bin/redis-server")
    })?;
    Ok(Some(
        Program::at(&server).context("what was unpacked does not run")?,
    ))
}

pub(super) fn haproxy(packages: &Path, signals: &Signals) -> anyhow::Result<Option<PathBuf>> {
    let folder = packages.join("haproxy-apt");
    let program = folder.join("haproxy");
    if haproxy::runs(&program) {
        return Ok(Some(program));
    }
    let Some(tools) = Tools::find() else {
        return Ok(None);
    };
    unpacked(&folder, |draft| {
        tools.unpack(&HAPROXY, draft, signals)?;
        write_starter(draft, &folder, "usr/sbin/haproxy")
    })?;
    anyhow::ensure!(haproxy::runs(&program), "what was unpacked does not run");
    Ok(Some(program))
}

/// The library that makes a program believe in another time, for programs with several threads.
pub(super) fn faketime(packages: &Path, signals: &Signals) -> anyhow::Result<Option<PathBuf>> {
    let folder = packages.join("faketime-apt");
    let library = || faketime_below(&folder);
    if library().is_some() {
        return Ok(library());
    }
    let Some(tools) = Tools::find() else {
        return Ok(None);
    };
    unpacked(&folder, |draft| {
        tools.unpack(&["libfaketime"], draft, signals)
    })?;
    Ok(library())
}

/// Where Debian puts it, below `/` or wherever its package was unpacked.
pub(super) fn faketime_below(root: &Path) -> Option<PathBuf> {
    let folder = format!("usr/lib/{}-linux-gnu/faketime", std::env::consts::ARCH);
    let library = root.join(folder).join("libfaketimeMT.so.1");
    library.is_file().then_some(library)
}

/// Where Debian's tools lie.
struct Tools {
    apt: PathBuf,
    dpkg: PathBuf,
}

impl Tools {
    fn find() -> Option<Self> {
        Some(Self {
            apt: environment::on_path("apt-get")?,
            dpkg: environment::on_path("dpkg")?,
        })
    }

    fn unpack(&self, packages: &[&str], draft: &Path, signals: &Signals) -> anyhow::Result<()> {
        let download: Vec<&str> = ["download", "-q"]
            .into_iter()
            .chain(packages.iter().copied())
            .collect();
        run("apt-get", &self.apt, draft, &download, signals)?;
        for package in archives(draft)? {
            let package = package.to_str().context("a file name that is no text")?;
            run("dpkg", &self.dpkg, draft, &["-x", package, "."], signals)?;
            fs::remove_file(draft.join(package))?;
        }
        Ok(())
    }
}

fn archives(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}

/// A script that finds the libraries, so that whoever runs the program need not know of them. It has
/// the program's name and lies at the top of the folder.
fn write_starter(draft: &Path, folder: &Path, program: &str) -> anyhow::Result<()> {
    let mut libraries = Vec::new();
    for parent in ["usr/lib", "lib"] {
        for entry in fs::read_dir(draft.join(parent)).into_iter().flatten() {
            libraries.push(folder.join(parent).join(entry?.file_name()));
        }
    }
    let program = folder.join(program);
    let file = draft.join(program.file_name().context("a program has a name")?);
    fs::write(&file, starter(&program, &libraries))?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn starter(program: &Path, libraries: &[PathBuf]) -> String {
    let libraries: Vec<String> = libraries
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!(
        "#!/bin/sh\nLD_LIBRARY_PATH={} exec {} \"$@\"\n",
        shell::quoted(libraries.join(":")),
        shell::quoted(program)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_replaces_itself_by_the_server() {
        let script = starter(
            Path::new("/t/redis/usr/bin/redis-server"),
            &["/t/redis/lib/x".into(), "/t/redis/usr/lib/x".into()],
        );
        assert_eq!(
            script,
            "#!/bin/sh\nLD_LIBRARY_PATH='/t/redis/lib/x:/t/redis/usr/lib/x' exec '/t/redis/usr/bin/redis-server' \"$@\"\n"
        );
    }
}
