//! `cargo xtask queries`: what a real database says of every query, kept in `.sqlx`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    cargo,
    checkout::Checkout,
    environment,
    launch::{self, Identity},
    process,
    progress::{self, Step},
    run_folder::RunFolder,
    servers::{
        self,
        postgres::{Data, Postgres, Program, start_throw_away},
    },
    signals::Signals,
};

/// Rewrite `.sqlx` from a throw-away database that the migrations made
///
/// Builds read `.sqlx` and never touch a database. Run this after changing a query or a migration.
///
/// Example: cargo xtask queries --check
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Change nothing; fail where `.sqlx` is not what the database says
    #[arg(long)]
    check: bool,
}

/// File name → content.
type Queries = BTreeMap<String, Vec<u8>>;

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    if arguments.check {
        return Ok(if is_up_to_date(&checkout, signals)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let fresh = describe(&checkout, signals)?;
    let kept = kept(&checkout);
    for line in differences(&read(&kept)?, &fresh) {
        progress::say(line);
    }
    replace(&kept, &fresh)?;
    progress::say(format_args!(".sqlx holds {} queries", fresh.len()));
    Ok(ExitCode::SUCCESS)
}

/// Names every query that is not as the database describes it.
pub(crate) fn is_up_to_date(checkout: &Checkout, signals: &Signals) -> anyhow::Result<bool> {
    let fresh = describe(checkout, signals)?;
    let stale = differences(&read(&kept(checkout))?, &fresh);
    for line in &stale {
        progress::say(line);
    }
    if !stale.is_empty() {
        progress::say(".sqlx is stale: run `cargo xtask queries` and commit what it writes");
    }
    Ok(stale.is_empty())
}

fn kept(checkout: &Checkout) -> PathBuf {
    checkout.root.join(".sqlx")
}

/// Asks a new database about every query.
fn describe(checkout: &Checkout, signals: &Signals) -> anyhow::Result<Queries> {
    let step = Step::start();
    let folder = RunFolder::create(checkout, "queries")?;
    let program = servers::postgres_program(&checkout.packages(), signals)?
        .context("PostgreSQL 15 or newer is missing: `cargo xtask dev` says how to install it")?;
    let data = Data::place(checkout, &program, &folder.path)?;
    data.initialised(data.initialise()?, "taskhub", signals)?;
    let postgres = start_throw_away(&data, signals)?;
    migrate(checkout, &program, &postgres, signals)?;
    step.done("migrated a throw-away database");

    let step = Step::start();
    let answers = folder.path.join("sqlx");
    fs::create_dir(&answers)?;
    // The macros write while they are expanded, so the workspace's own crates must be compiled anew;
    // their dependencies need not.
    let target = checked(checkout);
    let cleaned = process::run("cargo", clean(checkout, &target), signals)?;
    anyhow::ensure!(cleaned.success(), "cargo clean failed");
    let mut check = cargo::command();
    check
        .args([
            "check",
            "--workspace",
            "--all-targets",
            "--exclude=xtask",
            "--target-dir",
        ])
        .arg(&target)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &answers)
        .env("DATABASE_URL", postgres.url("taskhub"))
        .env("CARGO_INCREMENTAL", "0");
    let status = process::run("cargo", check, signals)?;
    anyhow::ensure!(
        status.success(),
        "the workspace does not compile against the migrated database"
    );
    let fresh = read(&answers)?;
    step.done(format_args!("asked about {} queries", fresh.len()));
    Ok(fresh)
}

/// Where code is checked that is not run. Clippy uses it too: both need the same of the dependencies.
pub(crate) fn checked(checkout: &Checkout) -> PathBuf {
    checkout.target.join("check")
}

fn clean(checkout: &Checkout, target: &Path) -> Command {
    let mut command = cargo::command();
    command
        .args(["clean", "--quiet", "--target-dir"])
        .arg(target);
    for package in checkout.packages_with_queries() {
        command.args(["-p", package]);
    }
    command
}

/// Applies the migrations as files, for the program that holds them may not compile before this.
fn migrate(
    checkout: &Checkout,
    program: &Program,
    postgres: &Postgres,
    signals: &Signals,
) -> anyhow::Result<()> {
    let psql = [program.bin.join("psql")]
        .into_iter()
        .filter(|file| file.is_file())
        .chain(environment::on_path("psql"))
        .next()
        .context("this needs psql, which the PostgreSQL that was found lacks")?;
    let mut command = launch::command(psql, Identity::Own, Signal::SIGTERM);
    command
        .args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--dbname",
        ])
        .arg(postgres.url("taskhub"));
    for file in migrations(checkout)? {
        command.arg("--file").arg(file);
    }
    let status = process::run("psql", command, signals)?;
    anyhow::ensure!(status.success(), "the migrations fail");
    Ok(())
}

fn migrations(checkout: &Checkout) -> anyhow::Result<Vec<PathBuf>> {
    let folder = checkout.root.join("migrations");
    let mut files = Vec::new();
    for entry in
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A folder that is not there holds none.
fn read(folder: &Path) -> anyhow::Result<Queries> {
    let mut queries = Queries::new();
    if !folder.exists() {
        return Ok(queries);
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            queries.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(queries)
}

fn replace(folder: &Path, queries: &Queries) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for name in read(folder)?
        .keys()
        .filter(|name| !queries.contains_key(*name))
    {
        fs::remove_file(folder.join(name))?;
    }
    for (name, content) in queries {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

/// One line for every query that is new, gone or described otherwise.
fn differences(kept: &Queries, fresh: &Queries) -> Vec<String> {
    let gone = kept
        .iter()
        .filter(|(name, _)| !fresh.contains_key(*name))
        .map(|(name, content)| line("unused", name, content));
    let changed = fresh
        .iter()
        .filter_map(|(name, content)| match kept.get(name) {
            None => Some(line("missing", name, content)),
            Some(other) if other != content => Some(line("stale", name, content)),
            Some(_) => None,
        });
    gone.chain(changed).collect()
}

fn line(state: &str, name: &str, content: &[u8]) -> String {
    let query = serde_json::from_slice::<serde_json::Value>(content)
        .ok()
        .and_then(|described| Some(described.get("query")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let words: Vec<&str> = query.split_whitespace().collect();
    let start: String = words.join(" ").chars().take(70).collect();
    format!("{state:>8}  {name}  {start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(entries: &[(&str, &str)]) -> Queries {
        entries
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_owned()))
            .collect()
    }

    #[test]
    fn a_stale_query_is_named_with_its_text() {
        let kept = queries(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let fresh = queries(&[("a", "1"), ("b", r#"{"query": "select\n  1"}"#), ("d", "1")]);
        let lines = differences(&kept, &fresh);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("unused  c"));
        assert!(lines[1].contains("stale  b  select 1"));
        assert!(lines[2].contains("missing  d"));
    }

    #[test]
    fn rewriting_leaves_nothing_unused_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let fresh = queries(&[("new", "1")]);
        fs::write(folder.path().join("old"), "1").expect("a file");
        replace(folder.path(), &fresh).expect("a folder that can be written");
        assert_eq!(read(folder.path()).expect("a folder"), fresh);
    }
}
