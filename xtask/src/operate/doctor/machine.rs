//! The programs that verbs run.

use std::process::Command;

use super::Finding;

struct Program {
    /// Any of these will do.
    names: &'static [&'static str],
    what: &'static str,
    /// What cannot be done without.
    needed_for: &'static str,
    is_optional: bool,
}

const PROGRAMS: &[Program] = &[
    Program {
        names: &["cargo"],
        what: "cargo",
        needed_for: "everything: https://rustup.rs",
        is_optional: false,
    },
    Program {
        names: &["git"],
        what: "git",
        needed_for: "naming what is deployed: `apt-get install git`, `brew install git`",
        is_optional: false,
    },
    Program {
        names: &["python3"],
        what: "python3",
        needed_for: "lint and emulator: `apt-get install python3-venv`, `brew install python`",
        is_optional: true,
    },
    Program {
        names: &["docker", "podman", "buildah"],
        what: "containers",
        needed_for: "building an image from the Dockerfile: Docker, or podman",
        is_optional: true,
    },
];

/// One finding for each program.
pub(super) fn findings() -> Vec<Finding> {
    PROGRAMS.iter().map(look).collect()
}

fn look(program: &Program) -> Finding {
    let found = program.names.iter().find_map(|name| version(name));
    Finding {
        what: program.what,
        fix: found
            .is_none()
            .then(|| format!("needed for {}", program.needed_for)),
        found: found.unwrap_or_else(|| format!("{} not found", program.names.join(", "))),
        is_optional: program.is_optional,
        is_access: false,
    }
}

/// The first line that it says of itself.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    output.status.success().then_some(line)
}
