//! Squawk, which parses PostgreSQL's SQL and knows what its statements lock and break.

use std::{fs, process::Stdio};

use anyhow::Context;
use serde::Deserialize;

use super::{Gate, findings::Finding, migrations::Migration};
use crate::tools::Tool;

/// Matters of taste, which are settled in our own way: identity columns, `text` and `timestamptz` are used already,
/// a migration runs once, and a constraint is replaced by dropping it. What waits for locks, and for how long, is
/// measured.
const NOT_ASKED: [&str; 7] = [
    "ban-drop-constraint",
    "prefer-robust-stmts",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-timestamp-tz",
    "require-lock-timeout",
    "require-statement-timeout",
];

/// One thing that it said.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Said {
    pub(super) file: String,
    /// Counted from 0.
    line: usize,
    #[serde(rename = "rule_name")]
    pub(super) rule: String,
    message: String,
    help: Option<String>,
}

pub(super) fn finding(said: &Said) -> Finding {
    let help = said.help.as_ref();
    Finding {
        file: said.file.clone(),
        line: Some(said.line + 1),
        rule: said.rule.clone(),
        message: help.map_or_else(
            || said.message.clone(),
            |help| format!("{} {help}", said.message),
        ),
    }
}

/// Asks it about every migration.
///
/// # Errors
/// Where it cannot be installed or does not answer.
pub(super) fn ask(gate: &Gate<'_>, migrations: &[Migration]) -> anyhow::Result<Vec<Said>> {
    if migrations.is_empty() {
        return Ok(Vec::new());
    }
    let installed = Tool::Squawk.install(gate.checkout, gate.signals)?;
    let folder = gate.folder.join("sql");
    fs::create_dir_all(&folder)?;
    let mut said = Vec::new();
    for migration in migrations {
        fs::write(folder.join(&migration.name), &migration.text)?;
        let mut command = installed.program("squawk");
        command.args(["--reporter=json", "--pg-version=15"]);
        command.args(NOT_ASKED.map(|rule| format!("--exclude={rule}")));
        if migration.is_transaction() {
            command.arg("--assume-in-transaction");
        }
        let output = command
            .arg(&migration.name)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .context("squawk cannot be run")?;
        let found: Vec<Said> = serde_json::from_slice(&output.stdout).with_context(|| {
            let error = String::from_utf8_lossy(&output.stderr);
            format!("squawk on {}: {}", migration.name, error.trim())
        })?;
        said.extend(found);
    }
    Ok(said)
}
