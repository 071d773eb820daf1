//! `cargo xtask image lock`: pins Debian's packages anew.

use std::{fmt::Write, fs, process::ExitCode};

use anyhow::Context;

use super::{
    architecture::Architecture,
    packages::{self, Apt, NAMES, Package, field},
};
use crate::{
    checkout::Checkout,
    progress::{self, Step},
    signals::Signals,
};

/// Pin the newest of Debian's packages that the image stands on
///
/// Rewrites xtask/image.lock.txt for both processors. Needs apt-get with the sources of Debian 12.
///
/// Example: cargo xtask image lock && git diff xtask/image.lock.txt
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {}

const HEAD: &str = "\
# Debian's packages below the programs in an image that no container engine builds. `cargo xtask image lock`
# rewrites this file; what does not match a hash is refused.
";

pub(super) fn run(_: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let step = Step::start();
    let mut text = HEAD.to_owned();
    for architecture in Architecture::ALL {
        let apt = Apt::update(&checkout, architecture, signals)?;
        for (name, _) in NAMES {
            let control = apt.newest(name, signals)?;
            let package = package(architecture, &control).with_context(|| name.to_owned())?;
            let Package {
                version, sha256, ..
            } = package;
            writeln!(text, "{architecture} {name} {version} sha256:{sha256}")?;
        }
    }
    let path = packages::lock_file(&checkout);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, &text)?;
    step.done("newest packages looked up");
    let new = text
        .lines()
        .filter(|line| !before.lines().any(|old| old == *line));
    for line in new {
        progress::say(format_args!("            {line}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn package(architecture: Architecture, control: &str) -> anyhow::Result<Package> {
    let value = |name: &str| {
        let value = field(control, name).map(str::to_owned);
        value.with_context(|| format!("the archive gives no {name}"))
    };
    Ok(Package {
        architecture,
        name: value("Package")?,
        version: value("Version")?,
        sha256: value("SHA256")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_archive_says_is_pinned() {
        let control = "Package: libc6\nSource: glibc\nVersion: 2.36-9+deb12u14\nSHA256: ba4f\n";
        let package = package(Architecture::Amd64, control).expect("a package");
        assert_eq!(package.version, "2.36-9+deb12u14");
        assert_eq!(package.sha256, "ba4f");
    }
}
