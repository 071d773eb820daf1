//! Cargo, called from within `cargo run`.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::{
    environment,
    launch::{self, Identity},
};

/// Cargo as a child that ends with this process.
pub(crate) fn command() -> Command {
    scrubbed(launch::command(program(), Identity::Own, Signal::SIGTERM))
}

/// Cargo for a quick question.
pub(crate) fn plain() -> Command {
    scrubbed(Command::new(program()))
}

pub(crate) fn has_nextest() -> bool {
    plain()
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn program() -> String {
    environment::variable("CARGO").unwrap_or_else(|| "cargo".to_owned())
}

/// `cargo run` tells this program about its own package. Passed on, that would make build scripts run
/// again that ran for a cargo started by hand.
fn scrubbed(mut command: Command) -> Command {
    for name in environment::names() {
        if is_about_this_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

fn is_about_this_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || name.starts_with("CARGO_BIN_")
        || matches!(
            name,
            "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH" | "OUT_DIR"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_says_of_this_package_is_withheld() {
        assert!(is_about_this_package("CARGO_PKG_NAME"));
        assert!(!is_about_this_package("CARGO_TARGET_DIR"));
        assert!(!is_about_this_package("CARGO_HOME"));
    }
}
