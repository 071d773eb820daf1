//! cfn-guard: the program, and what it answers.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    launch::{self, Identity},
    tools::Installed,
};

/// Our own rules, from the root of the checkout.
pub(crate) const POLICIES: &str = "infra/policy";

/// Asks for all `rules` (a file or a folder) about all `data` (files or folders).
pub(crate) fn command(installed: &Installed, rules: &Path, data: &[PathBuf]) -> Command {
    let mut command = launch::command(installed.guard(), Identity::Own, Signal::SIGKILL);
    command
        .args(["validate", "--structured", "--output-format=json"])
        .args(["--show-summary=none", "--rules"])
        .arg(rules);
    for path in data {
        command.arg("--data").arg(path);
    }
    command
}

/// What it says of one template.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    /// The path of the template.
    pub(crate) name: String,
    not_compliant: Vec<Value>,
    pub(crate) compliant: BTreeSet<String>,
}

/// A check that failed. It compares equal as long as nothing about it changes.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Failure {
    check: String,
    /// Where it looked; empty for a rule as a whole.
    pub(crate) path: String,
}

/// A rule that a template breaks.
pub(crate) struct Broken<'a> {
    pub(crate) rule: &'a str,
    /// Logical ids, as far as it tells them.
    pub(crate) resources: BTreeSet<String>,
    pub(crate) message: String,
}

/// # Errors
/// Where it failed, as on a rule that it cannot read; then it says no JSON.
pub(crate) fn parse(output: &[u8]) -> anyhow::Result<Vec<Answer>> {
    serde_json::from_slice(output).context("cfn-guard gave no answer")
}

impl Answer {
    /// Each check that failed, and the paths at which it looked.
    pub(crate) fn failures(&self) -> BTreeSet<Failure> {
        let mut found = BTreeSet::new();
        for entry in &self.not_compliant {
            let rule = entry["Rule"]["name"].as_str().unwrap_or_default();
            found.insert(Failure {
                check: rule.to_owned(),
                path: String::new(),
            });
            collect_failures(rule, entry, &mut found);
        }
        found
    }

    pub(crate) fn broken(&self) -> impl Iterator<Item = Broken<'_>> {
        self.not_compliant.iter().filter_map(|entry| {
            let rule = entry.get("Rule")?;
            let mut paths = BTreeSet::new();
            collect_paths(rule, &mut paths);
            Some(Broken {
                rule: rule.get("name")?.as_str()?,
                resources: paths.iter().filter_map(|path| resource(path)).collect(),
                message: message(rule).unwrap_or_default(),
            })
        })
    }
}

/// The logical id in a path.
fn resource(path: &str) -> Option<String> {
    let within = path.strip_prefix("/Resources/")?;
    within.split('/').next().map(str::to_owned)
}

/// Where it looked, and what it wanted to see there. Not with the value's line and column, which move.
fn collect_failures(rule: &str, value: &Value, found: &mut BTreeSet<Failure>) {
    match value {
        Value::Object(object) => {
            if let Some(context) = object.get("context").and_then(Value::as_str) {
                let mut paths = BTreeSet::new();
                collect_paths(value, &mut paths);
                found.extend(paths.into_iter().map(|path| Failure {
                    check: format!("{rule} {context}"),
                    path,
                }));
            }
            for inner in object.values() {
                collect_failures(rule, inner, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_failures(rule, item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every check names the path at which it looked.
fn collect_paths(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let path = object.get("path").and_then(Value::as_str);
            found.extend(path.map(str::to_owned));
            for inner in object.values() {
                collect_paths(inner, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_paths(item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The first that the author of the rule wrote, in one line.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::Object(object) => {
            let own = object.get("custom_message").and_then(Value::as_str);
            let own = own.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
            own.filter(|text| !text.is_empty())
                .or_else(|| object.values().find_map(message))
        }
        Value::Array(items) => items.iter().find_map(message),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
