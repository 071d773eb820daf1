//! The packages of Debian's that the image stands on, pinned in `xtask/image.lock.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use tempfile::TempDir;

use super::{
    architecture::Architecture,
    sha256,
    tools::{self, text},
};
use crate::{checkout::Checkout, progress::Step, signals::Signals};

/// What every image has, with the licence of what is taken from each. Their full texts are in the image.
pub(super) const NAMES: [(&str, &str); 5] = [
    ("base-files", "GPL-2.0-or-later"),
    ("ca-certificates", "MPL-2.0 AND GPL-2.0-or-later"),
    ("gcc-12-base", "GPL-3.0-or-later"),
    ("libc6", "LGPL-2.1-or-later"),
    ("libgcc-s1", "GPL-3.0-or-later WITH GCC-exception-3.1"),
];

const WHY: &str = "without a container engine an image is made from packages of Debian 12: use Debian 12, or --engine docker";

/// One file of Debian's archive.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Package {
    pub(super) architecture: Architecture,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
}

pub(super) fn lock_file(checkout: &Checkout) -> PathBuf {
    checkout.root.join("xtask/image.lock.txt")
}

/// What the lock file pins for the processor.
pub(super) fn locked(
    checkout: &Checkout,
    architecture: Architecture,
) -> anyhow::Result<Vec<Package>> {
    let path = lock_file(checkout);
    let text =
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let packages = parse(&text).with_context(|| path.display().to_string())?;
    let packages: Vec<Package> = packages
        .into_iter()
        .filter(|package| package.architecture == architecture)
        .collect();
    for (name, _) in NAMES {
        anyhow::ensure!(
            packages.iter().any(|package| package.name == name),
            "{} does not pin {name} for {architecture}: cargo xtask image lock",
            path.display()
        );
    }
    Ok(packages)
}

/// Lines of processor, name, version and SHA-256; those that begin with `#` are for people.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Package>> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.starts_with('#') && !line.trim().is_empty())
        .map(|(at, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let package = || {
                let [architecture, name, version, sha256] = words.as_slice() else {
                    return None;
                };
                Some(Package {
                    architecture: Architecture::parse(architecture)?,
                    name: (*name).to_owned(),
                    version: (*version).to_owned(),
                    sha256: sha256.strip_prefix("sha256:")?.to_owned(),
                })
            };
            package().with_context(|| format!("line {} is not understood: {line}", at + 1))
        })
        .collect()
}

/// The archive files of the packages, fetched unless they are there, in their order.
pub(super) fn fetch(
    checkout: &Checkout,
    packages: &[Package],
    signals: &Signals,
) -> anyhow::Result<Vec<PathBuf>> {
    let folder = checkout.target.join("image/packages");
    fs::create_dir_all(&folder)?;
    let place = |package: &Package| folder.join(format!("{}.deb", package.sha256));
    let missing: Vec<&Package> = packages
        .iter()
        .filter(|package| !place(package).exists())
        .collect();
    if let Some(first) = missing.first() {
        let step = Step::start();
        let apt = Apt::update(checkout, first.architecture, signals)?;
        let draft = tempfile::tempdir_in(&folder)?;
        apt.download(&missing, draft.path(), signals)?;
        for entry in fs::read_dir(draft.path())? {
            let path = entry?.path();
            let found = sha256(&fs::read(&path)?);
            if missing.iter().any(|package| package.sha256 == found) {
                fs::rename(&path, folder.join(format!("{found}.deb")))?;
            }
        }
        step.done(format_args!(
            "{} of Debian's packages fetched",
            missing.len()
        ));
    }
    packages
        .iter()
        .map(|package| {
            let place = place(package);
            anyhow::ensure!(
                place.exists(),
                "{} {} from Debian's archive is not what the lock file pins",
                package.name,
                package.version
            );
            Ok(place)
        })
        .collect()
}

/// Debian's archive as this machine's sources and keys describe it, seen by a computer of that processor on
/// which nothing is installed.
pub(super) struct Apt {
    /// Its lists, gone with it: two runs at the same time must not share them.
    folder: TempDir,
    architecture: Architecture,
}

impl Apt {
    /// Fetches the archive's lists.
    pub(super) fn update(
        checkout: &Checkout,
        architecture: Architecture,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let parent = checkout.target.join("image");
        fs::create_dir_all(&parent)?;
        let folder = tempfile::Builder::new().prefix("apt-").tempdir_in(parent)?;
        for part in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.path().join(part))?;
        }
        fs::write(folder.path().join("status"), "")?;
        let apt = Self {
            folder,
            architecture,
        };
        let mut command = apt.command("apt-get")?;
        command.args(["-q", "update"]);
        tools::output("apt-get update", command, signals)?;
        Ok(apt)
    }

    fn command(&self, tool: &str) -> anyhow::Result<Command> {
        let mut command = tools::command(tool, WHY)?;
        let folder = text(self.folder.path())?;
        for option in [
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            format!("Dir::State={folder}/state"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}/cache"),
            "Acquire::Languages=none".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        Ok(command)
    }

    fn download(
        &self,
        packages: &[&Package],
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let mut command = self.command("apt-get")?;
        command.args(["-q", "download"]).current_dir(folder);
        command.args(
            packages
                .iter()
                .map(|package| format!("{}={}", package.name, package.version)),
        );
        tools::output("apt-get download", command, signals)
            .map(drop)
            .context(
                "a package that xtask/image.lock.txt pins is not to be had. Debian's archive keeps the newest versions \
                 only: run `cargo xtask image lock` and commit what it changes",
            )
    }

    /// What the archive says of a package's newest version, in the form of Debian's control files.
    pub(super) fn newest(&self, name: &str, signals: &Signals) -> anyhow::Result<String> {
        let mut command = self.command("apt-cache")?;
        command.args(["show", "--no-all-versions", name]);
        let said = tools::output("apt-cache", command, signals)?;
        Ok(String::from_utf8(said)?)
    }
}

/// The files of a package, as a tar archive.
pub(super) fn files(package: &Path, signals: &Signals) -> anyhow::Result<Vec<u8>> {
    let mut command = tools::command("dpkg-deb", WHY)?;
    command.arg("--fsys-tarfile").arg(package);
    tools::output("dpkg-deb", command, signals)
}

/// What a package says of itself: name, version, maintainer, what it depends on.
pub(super) fn control(package: &Path, signals: &Signals) -> anyhow::Result<Vec<u8>> {
    let mut command = tools::command("dpkg-deb", WHY)?;
    command.arg("--field").arg(package);
    tools::output("dpkg-deb", command, signals)
}

/// A field of a control file.
pub(super) fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    let value = control
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_is_pinned_for_both_processors() {
        let packages = parse(include_str!("../../image.lock.txt")).expect("a good file");
        for architecture in Architecture::ALL {
            for (name, _) in NAMES {
                let pinned = packages
                    .iter()
                    .filter(|package| package.architecture == architecture && package.name == name);
                let hashes: Vec<&str> = pinned.map(|package| package.sha256.as_str()).collect();
                assert_eq!(hashes.len(), 1, "{name} for {architecture}");
                assert_eq!(hashes[0].len(), 64);
            }
        }
    }

    #[test]
    fn a_line_that_says_something_else_is_named() {
        let error = parse("# for people\namd64 libc6 2.36 md5:00\n").expect_err("not a SHA-256");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
