//! `cargo xtask ci`: everything that must hold before a change is merged.

mod deny;

use std::process::{Command, ExitCode};

use crate::{
    cargo,
    checkout::Checkout,
    dockerfile, lint, process,
    progress::{self, Step},
    queries, render,
    signals::Signals,
    test, workflows,
};

/// Check everything that a change must fulfil, then run the tests
///
/// Formatting, generated files, clippy, templates, the Dockerfile's files, licences and bans, doc tests, tests; stops at
/// the first that fails. `.ci/run` calls this after installing what a bare machine lacks.
///
/// Example: CI=true .ci/run
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {}

/// Whether what is committed is what would be generated.
type Check = fn(&Checkout, &Signals) -> anyhow::Result<bool>;

/// Generated files that are committed. `docs/openapi.json` and `.env.example` are compared by tests.
const GENERATED: &[(&str, Check)] = &[
    ("infra/rendered", render::is_up_to_date),
    (".github/workflows", workflows::is_up_to_date),
    (".sqlx", queries::is_up_to_date),
];

pub(crate) fn run(_: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    check("formatting", formatting(), signals)?;
    for (name, is_up_to_date) in GENERATED {
        anyhow::ensure!(is_up_to_date(&checkout, signals)?, "{name} is stale");
    }
    check("clippy", clippy(&checkout, &[]), signals)?;
    anyhow::ensure!(
        lint::is_clean(&checkout, signals)?,
        "the rendered templates do not pass: `cargo xtask lint`"
    );
    // Also what only other systems need: cargo-deny looks at all of it, without the network.
    check(
        "dependencies fetched",
        cargo_with(&["fetch", "--locked"]),
        signals,
    )?;
    dockerfile::check(&checkout, clippy(&checkout, &["--message-format=json"]))?;
    check(
        "licences, bans and sources",
        deny::command(&checkout, signals)?,
        signals,
    )?;
    progress::say(
        "            advisories are not checked: `cargo deny check advisories` fetches their database",
    );
    // Which tests start; built in one of them, it would count as slow.
    check("verbs for AWS built", verbs_for_aws(), signals)?;
    check("doc tests", doc_tests(), signals)?;
    test::run_in(&checkout, &[], signals)
}

fn check(name: &'static str, command: Command, signals: &Signals) -> anyhow::Result<()> {
    let step = Step::start();
    let status = process::run(name, command, signals)?;
    anyhow::ensure!(status.success(), "{name}: {status}");
    step.done(name);
    Ok(())
}

fn formatting() -> Command {
    cargo_with(&["fmt", "--all", "--check"])
}

/// With the feature, because some examples need it.
const CLIPPY: [&str; 6] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--features",
    "taskhub-worker/probe",
    "--target-dir",
];

fn clippy(checkout: &Checkout, options: &[&str]) -> Command {
    let mut command = cargo_with(&CLIPPY);
    command
        .arg(queries::checked(checkout))
        .args(options)
        .args(["--", "-D", "warnings"]);
    command
}

fn verbs_for_aws() -> Command {
    let program = [
        "build",
        "--quiet",
        "--package",
        "xtask",
        "--bin",
        "xtask-aws",
    ];
    let mut command = cargo_with(&program);
    command.args(["--features", "aws"]);
    command
}

/// nextest leaves these out.
fn doc_tests() -> Command {
    cargo_with(&["test", "--quiet", "--workspace", "--doc"])
}

fn cargo_with(arguments: &[&str]) -> Command {
    let mut command = cargo::command();
    // What is committed counts, not what some database says.
    command.args(arguments).env("SQLX_OFFLINE", "true");
    command
}
