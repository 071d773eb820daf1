//! HAProxy, which stands in for the load balancer when a deployment is rehearsed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;

use super::unpack;
use crate::{environment, signals::Signals};

/// A HAProxy of this machine, or one unpacked.
///
/// # Errors
/// Where there is none and none could be fetched.
pub(crate) fn program(packages: &Path, signals: &Signals) -> anyhow::Result<PathBuf> {
    let installed = environment::on_path("haproxy")
        .into_iter()
        // Not on everybody's PATH.
        .chain(["/usr/sbin/haproxy".into()])
        .find(|path| runs(path));
    if let Some(program) = installed {
        return Ok(program);
    }
    unpack::haproxy(packages, signals)?
        .context("HAProxy is missing, and apt-get could not fetch it: install the package haproxy")
}

pub(super) fn runs(program: &Path) -> bool {
    Command::new(program)
        .arg("-v")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success())
}
