//! Jobs of `ci.yml` for where else people stand: another system, another PostgreSQL. They keep no cache: what they try
//! is the first run.

use super::{
    actions,
    model::{Job, Step},
    steps::{run, rust},
};

/// What needs no Linux and no tools of Linux's: the application, its two programs and what is written beside the code
/// of `xtask`.
const EVERYWHERE: &str = "-p taskhub -p taskhub-api -p taskhub-worker";

/// Each with the name that branch rules know it by.
pub(super) fn jobs() -> [(String, Job); 3] {
    [
        ("macos".to_owned(), macos()),
        ("ubuntu".to_owned(), ubuntu()),
        ("newest".to_owned(), newest()),
    ]
}

/// Homebrew's servers, found where Homebrew puts them.
fn macos() -> Job {
    Job {
        name: "The two commands on macOS".to_owned(),
        runs_on: "macos-15".to_owned(),
        timeout_minutes: 60,
        steps: vec![
            actions::checkout(),
            rust(),
            run("Install the servers", "brew install postgresql@17 redis"),
            run(
                "Test the programs",
                &format!("cargo xtask test -- {EVERYWHERE}"),
            ),
            run(
                "Test xtask beside its code",
                "cargo test --package xtask --lib",
            ),
            dev(),
        ],
        ..Job::default()
    }
}

/// As `apt-get install postgresql` gives it to whoever has Ubuntu 24.04.
fn ubuntu() -> Job {
    let install = "sudo apt-get update -q\n\
                   sudo apt-get install -y -q --no-install-recommends postgresql-16 redis-server\n\
                   echo /usr/lib/postgresql/16/bin >> \"$GITHUB_PATH\"\n";
    Job {
        name: "The two commands on Ubuntu's PostgreSQL 16".to_owned(),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 60,
        steps: vec![
            actions::checkout(),
            rust(),
            run("Install the servers", install),
            run("Test", &format!("cargo xtask test -- {EVERYWHERE}")),
            dev(),
        ],
        ..Job::default()
    }
}

/// What nobody has installed yet and AWS will offer next.
fn newest() -> Job {
    Job {
        name: "The newest PostgreSQL and Valkey".to_owned(),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 60,
        steps: vec![
            actions::checkout(),
            rust(),
            run(
                "Test",
                &format!("cargo xtask test --newest -- {EVERYWHERE}"),
            ),
        ],
        ..Job::default()
    }
}

/// Starts everything, asks it as `dev` says that it can be asked, and stops it.
fn dev() -> Step {
    let lines = [
        "cargo xtask dev > dev.log 2>&1 &",
        "dev=$!",
        "until [ -e target/dev/endpoints.json ]; do kill -0 \"$dev\" || { cat dev.log; exit 1; }; sleep 1; done",
        "until grep -q '^Ctrl-C stops' dev.log; do sleep 1; done",
        "sed -n '/^  curl /,/^$/p' dev.log > request.sh",
        "bash request.sh | tee answer.json",
        "grep -q '\"title\":\"Buy milk\"' answer.json",
        "kill \"$dev\"",
        "wait \"$dev\"",
    ];
    run(
        "Run it and send the first request",
        &(lines.join("\n") + "\n"),
    )
}
