//! `cargo xtask release`: whether what would be released next fits what runs now.

mod conversation;
mod findings;
mod git;
mod migrations;
mod programs;
mod rules;
mod squawk;
mod statements;
mod trial;
pub(crate) mod verdict;

use std::{
    fmt,
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use serde_json::json;

use self::{
    findings::Finding,
    git::{Commit, Earlier},
    migrations::Migration,
    programs::Programs,
    trial::{LONGEST, Seen},
    verdict::Verdict,
};
use crate::{
    checkout::Checkout,
    exit::{self, Exit},
    git as repository,
    progress::{self, Step},
    run_folder::RunFolder,
    signals::Signals,
};

/// Examine a release before it goes out
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(clap::Subcommand)]
enum Order {
    #[command(after_help = exit::help())]
    Check(Check),
}

/// Tell whether the new migrations are safe, and whether a rollback over them would be
///
/// The SQL is checked by Squawk and by our own rules (docs/deployment.md); then the programs of the earlier
/// release and of this one run on both schemas, on servers of their own, and the schema changes while the earlier
/// ones serve on 100,000 tasks. Nobody may be kept waiting for more than a second, and every answer must be right.
///
/// What it found is left in target/release-check.json; `deploy` writes it into the ledger, and `rollback` asks it.
///
/// Example: cargo xtask release check --against v3
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct Check {
    /// The release that runs now: the newest tag v… before HEAD unless given, and without a tag the commit before it.
    /// A whole hash may be all zeros, or of a commit that is gone, as pipelines pass it on: then nothing is compared
    #[arg(long, value_name = "COMMIT")]
    against: Option<String>,
    /// Only look at the SQL, which takes a moment; the verdict is then that a rollback is not safe
    #[arg(long)]
    sql: bool,
    /// A folder with the earlier release's programs, instead of building them; then nothing is left for `deploy`
    #[arg(long, value_name = "FOLDER", requires = "new_binaries")]
    old_binaries: Option<PathBuf>,
    /// A folder with this release's programs, likewise
    #[arg(long, value_name = "FOLDER", requires = "old_binaries")]
    new_binaries: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// What a check has wherever it runs something.
struct Gate<'a> {
    checkout: &'a Checkout,
    folder: PathBuf,
    signals: &'a Signals,
}

impl Gate<'_> {
    fn pause(&self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            self.signals.wait(left)?;
        }
        Ok(())
    }
}

/// A migration fails, as it would in production.
#[derive(Debug)]
struct NotApplied(String);

impl fmt::Display for NotApplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the migration fails: {}", self.0)
    }
}

impl std::error::Error for NotApplied {}

/// What was found.
struct Found {
    against: Option<Commit>,
    /// Why there is nothing to compare with, where that is so.
    nothing: Option<String>,
    fresh: Vec<Migration>,
    findings: Vec<Finding>,
    seen: Option<Seen>,
    /// Everything that keeps the release from going out, beside findings.
    wrong: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let Order::Check(check) = &arguments.order;
    let checkout = Checkout::find()?;
    repository::knows(&checkout.root)?;
    let is_whole = check.old_binaries.is_none() && !check.sql;
    if is_whole {
        verdict::forget(&checkout)?;
    }
    let folder = RunFolder::create(&checkout, "release")?;
    let gate = Gate {
        checkout: &checkout,
        folder: folder.path.clone(),
        signals,
    };
    let begun = Instant::now();
    let found = examine(check, &gate, &folder)?;
    let (head, is_clean) = git::head(&checkout.root)?;
    let verdict = judge(check, &found, head);
    let whole = report(&found, &verdict, is_clean, begun.elapsed());
    if is_clean && is_whole {
        verdict::keep(&checkout, &whole)?;
    }
    if check.json {
        writeln!(std::io::stdout(), "{whole}")?;
    }
    say(&found, &verdict);
    Ok(if verdict.passed {
        ExitCode::SUCCESS
    } else {
        Exit::Refused.into()
    })
}

fn examine(check: &Check, gate: &Gate<'_>, folder: &RunFolder) -> anyhow::Result<Found> {
    let root = &gate.checkout.root;
    let against = match &check.against {
        None => git::earlier(root)?,
        Some(name) => git::named(root, name)?,
    };
    let (against, nothing) = match against {
        Earlier::Known(commit) => (Some(commit), None),
        Earlier::Nothing(why) => (None, Some(why)),
    };
    let mut found = Found {
        against: against.clone(),
        nothing,
        fresh: Vec::new(),
        findings: Vec::new(),
        seen: None,
        wrong: Vec::new(),
    };
    let Some(against) = against else {
        return Ok(found);
    };
    let step = Step::start();
    let old = migrations::of(root, &against)?;
    let new = migrations::present(root)?;
    (found.fresh, found.findings) = migrations::compare(&old, &new);
    let said = squawk::ask(gate, &found.fresh)?;
    found
        .findings
        .extend(rules::check(root, &against, &found.fresh, &said));
    step.done(format_args!(
        "{} migrations are new since {}; {} findings",
        found.fresh.len(),
        against.name,
        found.findings.len()
    ));
    if found.fresh.is_empty() || !found.findings.is_empty() || check.sql {
        return Ok(found);
    }
    let given = check
        .old_binaries
        .as_deref()
        .zip(check.new_binaries.as_deref());
    let programs = Programs::build(gate, &against, given)?;
    match trial::run(gate, folder, programs, (&old, &new)) {
        Ok(seen) => {
            found.wrong = too_long(&seen);
            found.wrong.extend(seen.wrong.iter().cloned());
            found.seen = Some(seen);
        }
        Err(error) if error.is::<NotApplied>() => found.wrong.push(error.to_string()),
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Who was kept waiting, and by what.
fn too_long(seen: &Seen) -> Vec<String> {
    let longest = LONGEST.as_secs_f64();
    let mut wrong = Vec::new();
    for migration in &seen.migrations {
        for lock in migration.locks.iter().filter(|lock| lock.seconds > longest) {
            wrong.push(format!(
                "migration {} holds {} on {} for {:.1} s: others may wait for {longest:.0} s at most",
                migration.version, lock.mode, lock.relation, lock.seconds
            ));
        }
    }
    if seen.load.slowest_ms > longest * 1000.0 {
        wrong.push(format!(
            "a request took {:.1} s while the schema changed, and {longest:.0} s is the most",
            seen.load.slowest_ms / 1000.0
        ));
    }
    wrong
}

fn judge(check: &Check, found: &Found, commit: String) -> Verdict {
    let passed = found.findings.is_empty() && found.wrong.is_empty();
    let refused = found
        .seen
        .as_ref()
        .and_then(|seen| seen.old_refused.as_ref());
    let (rollback_safe, why) = match &found.against {
        None => (
            false,
            "there is no earlier release to go back to".to_owned(),
        ),
        Some(_) if !passed => (false, "the check has failed".to_owned()),
        Some(against) if found.fresh.is_empty() => {
            (true, format!("the schema is that of {}", against.name))
        }
        Some(_) if check.sql => (false, "only the SQL was looked at".to_owned()),
        Some(against) => match refused {
            Some(why) => (
                false,
                format!(
                    "the programs of {} refuse the new schema: {why}",
                    against.name
                ),
            ),
            None => (
                true,
                format!("the programs of {} work on the new schema", against.name),
            ),
        },
    };
    Verdict {
        commit,
        against: found.against.as_ref().map(|against| against.hash.clone()),
        passed,
        rollback_safe,
        why,
    }
}

fn report(found: &Found, verdict: &Verdict, is_clean: bool, took: Duration) -> serde_json::Value {
    let names: Vec<&str> = found
        .fresh
        .iter()
        .map(|fresh| fresh.name.as_str())
        .collect();
    json!({
        "commit": verdict.commit,
        "uncommitted_changes": !is_clean,
        "against": verdict.against,
        "against_name": found.against.as_ref().map(|against| &against.name),
        "nothing_to_compare_with": found.nothing,
        "migrations": names,
        "findings": found.findings,
        "seen": found.seen,
        "wrong": found.wrong,
        "passed": verdict.passed,
        "rollback_safe": verdict.rollback_safe,
        "why": verdict.why,
        "seconds": (took.as_secs_f64() * 10.0).round() / 10.0,
    })
}

fn say(found: &Found, verdict: &Verdict) {
    for finding in &found.findings {
        progress::say(finding.line());
    }
    for wrong in &found.wrong {
        progress::say(wrong);
    }
    for migration in found.seen.iter().flat_map(|seen| &seen.migrations) {
        let longest = migration.locks.first();
        let lock = longest.map_or_else(
            || "nothing that others wait for".to_owned(),
            |lock| {
                format!(
                    "{} on {} for {:.0} ms",
                    lock.mode,
                    lock.relation,
                    lock.seconds * 1000.0
                )
            },
        );
        let took = migration.seconds;
        progress::say(format_args!(
            "migration {}: {took:.2} s, {lock}",
            migration.version
        ));
    }
    if let Some(why) = &found.nothing {
        progress::say(format_args!("{why}: there is nothing to compare with"));
    }
    let may = if verdict.passed { "passed" } else { "refused" };
    let safe = if verdict.rollback_safe { "yes" } else { "no" };
    progress::say(format_args!(
        "{may}; rollback safe: {safe}, {}",
        verdict.why
    ));
}
