//! `cargo xtask render`: what AWS is told, from the environment files and the programs' own contracts.
//!
//! Everything here needs neither a network nor credentials, and gives the same bytes on every machine. What only an
//! account knows stays a parameter.

mod alarms;
pub(crate) mod bootstrap;
mod compliance;
pub(crate) mod connections;
pub(crate) mod cost;
pub(crate) mod data;
mod files;
mod iam;
mod migrate;
mod network;
pub(crate) mod platform;
mod service;
mod tasks;
pub(crate) mod template;
pub(crate) mod timeouts;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use similar::TextDiff;

use crate::{
    checkout::Checkout, environments::Environment, exit::Exit, progress, signals::Signals,
};
use files::{PAGE, files};
use template::{Stack, Template};

/// Write `infra/rendered` from `infra/environments` and the programs' own contracts
///
/// CloudFormation templates and their parameters, task definitions, policies, and pages about waits, cost and
/// compliance. Needs neither a network nor credentials. Exit code 2 where an environment file
/// has a fault, 4 with --check where something is stale.
///
/// Example: cargo xtask render --check
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Change nothing; show what differs, and fail where something does
    #[arg(long)]
    check: bool,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Path below the checkout → content.
pub(crate) type Files = BTreeMap<PathBuf, String>;

/// Everything of one environment.
pub(crate) struct Rendered {
    pub(crate) environment: Environment,
    /// In the order in which they are made; the first is the account's, not the environment's alone.
    pub(crate) stacks: Vec<(Stack, Template)>,
}

/// Renders the stacks of one environment.
///
/// # Errors
/// Where a task lacks a variable that it requires.
pub(crate) fn render(environment: Environment) -> anyhow::Result<Rendered> {
    let stacks = vec![
        (Stack::Bootstrap, bootstrap::stack()),
        (Stack::Network, network::stack(&environment)),
        (Stack::Data, data::stack(&environment)),
        (Stack::Platform, platform::stack(&environment)),
        (Stack::Migrate, migrate::stack(&environment)?),
        (Stack::Service, service::stack(&environment)?),
    ];
    for (stack, template) in stacks
        .iter()
        .filter(|(stack, _)| *stack != Stack::Bootstrap)
    {
        for (id, resource) in &template.resources {
            ensure!(
                bootstrap::may_be_made(resource.kind),
                "{}/{id} is a {}, which CloudFormation's role may not make: \
                 say what it needs in xtask/src/render/bootstrap/roles/execution.rs",
                stack.as_str(),
                resource.kind,
            );
        }
    }
    Ok(Rendered {
        environment,
        stacks,
    })
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let fresh = files(&checkout.root)?;
    let kept = read(&checkout.root)?;
    let changed: Vec<&PathBuf> = changed(&kept, &fresh);
    if arguments.json {
        print(&json!({"files": fresh.len(), "changed": changed, "written": !arguments.check}))?;
    }
    if arguments.check {
        for path in &changed {
            progress::say(diff(path, &kept, &fresh).trim_end());
        }
        return Ok(verdict(&changed));
    }
    write(&checkout.root, &kept, &fresh)?;
    progress::say(format_args!(
        "{} files are rendered, {} of them changed",
        fresh.len(),
        changed.len()
    ));
    Ok(ExitCode::SUCCESS)
}

/// For `cargo xtask ci`: shows every difference.
pub(crate) fn is_up_to_date(checkout: &Checkout, _: &Signals) -> anyhow::Result<bool> {
    let fresh = files(&checkout.root)?;
    let kept = read(&checkout.root)?;
    let changed = changed(&kept, &fresh);
    for path in &changed {
        progress::say(diff(path, &kept, &fresh).trim_end());
    }
    Ok(verdict(&changed) == ExitCode::SUCCESS)
}

fn verdict(changed: &[&PathBuf]) -> ExitCode {
    if changed.is_empty() {
        return ExitCode::SUCCESS;
    }
    progress::say(format_args!(
        "{} files are stale: run `cargo xtask render` and commit what it writes",
        changed.len()
    ));
    Exit::Differs.into()
}

/// What is there already; a folder that is not there holds nothing.
fn read(root: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    if let Ok(text) = fs::read_to_string(root.join(PAGE)) {
        files.insert(PAGE.into(), text);
    }
    let mut folders = vec![PathBuf::from("infra/rendered")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                files.insert(path, text);
            }
        }
    }
    Ok(files)
}

/// The paths whose content is new, gone or another one.
pub(crate) fn changed<'a>(kept: &'a Files, fresh: &'a Files) -> Vec<&'a PathBuf> {
    let gone = kept.keys().filter(|path| !fresh.contains_key(*path));
    let other = fresh
        .iter()
        .filter(|(path, text)| kept.get(*path) != Some(text));
    let mut paths: Vec<&PathBuf> = gone.chain(other.map(|(path, _)| path)).collect();
    paths.sort();
    paths
}

pub(crate) fn diff(path: &PathBuf, kept: &Files, fresh: &Files) -> String {
    let text = |files: &Files| files.get(path).cloned().unwrap_or_default();
    let (old, new) = (text(kept), text(fresh));
    let name = path.display();
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .header(
            &format!("{name} (committed)"),
            &format!("{name} (rendered)"),
        )
        .to_string()
}

/// Leaves nothing behind that is no longer rendered.
pub(crate) fn write(root: &Path, kept: &Files, fresh: &Files) -> anyhow::Result<()> {
    for path in kept.keys().filter(|path| !fresh.contains_key(*path)) {
        fs::remove_file(root.join(path))?;
    }
    for (path, text) in fresh
        .iter()
        .filter(|(path, text)| kept.get(*path) != Some(text))
    {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn print(value: &Value) -> anyhow::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{value}")?;
    Ok(())
}

#[cfg(test)]
mod tests;
