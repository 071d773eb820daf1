//! Expand and contract: what a migration may do while the programs of the release before it run.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, path::Path, sync::LazyLock};

use regex::Regex;

use super::{
    findings::Finding,
    git::{self, Commit},
    migrations::{Migration, Phase},
    squawk::{self, Said},
    statements::{self, Statement},
};

/// What Squawk says of a statement that takes away what older programs may use, or forbids what they may do.
/// Only a contract does that.
const TAKES_AWAY: [&str; 15] = [
    "adding-not-nullable-field",
    "adding-required-field",
    "ban-drop-column",
    "ban-drop-database",
    "ban-drop-default",
    "ban-drop-function",
    "ban-drop-not-null",
    "ban-drop-schema",
    "ban-drop-table",
    "ban-drop-type",
    "ban-drop-view",
    "changing-column-type",
    "renaming-column",
    "renaming-object",
    "renaming-table",
];

/// A table and what follows its name.
static ALTER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^alter table (?:if exists )?(?:only )?(?<table>[\w."]+) "#));
static CREATE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^create (?:unlogged )?table (?:if not exists )?(?<table>[\w."]+)"#)
});
static UNIQUE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^create unique index (?:concurrently )?(?:if not exists )?(?:([\w."]+) )?on (?:only )?(?<table>[\w."]+)"#,
    )
});
static EMPTIED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"^(?:delete from|truncate(?: table)?) (?:only )?(?<table>[\w."]+)"#)
});
static CONSTRAINT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"\badd (?:constraint ([\w"]+) )?(?:check|unique|exclude|primary key)\b"#)
});
static FLOOR: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^update schema_floor set version = (\d+)\b"));

#[expect(clippy::expect_used, reason = "a constant, tried by every test here")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

/// What is wrong with the new migrations, beside what Squawk said of them. `against` is the earlier release.
pub(super) fn check(
    root: &Path,
    against: &Commit,
    fresh: &[Migration],
    said: &[Said],
) -> Vec<Finding> {
    let texts: Vec<Vec<Statement>> = fresh
        .iter()
        .map(|migration| statements::split(&migration.text))
        .collect();
    // Nobody uses what was not there before.
    let made: BTreeSet<String> = texts
        .iter()
        .flatten()
        .filter_map(|statement| table(&CREATE, statement))
        .collect();
    let mut findings = Vec::new();
    for (migration, statements) in fresh.iter().zip(&texts) {
        let mut found = taken_away(migration, statements, &made);
        let of_it = said.iter().filter(|said| said.file == migration.name);
        let (takes, blocks): (Vec<&Said>, Vec<&Said>) =
            of_it.partition(|said| TAKES_AWAY.contains(&said.rule.as_str()));
        found.extend(takes.into_iter().map(squawk::finding));
        match migration.phase() {
            Err(why) => findings.push(Finding::whole(migration, "phase", why)),
            Ok(Phase::Expand) => {
                findings.extend(found.into_iter().map(only_in_a_contract));
                if floor(statements).is_some() {
                    findings.push(Finding::whole(
                        migration,
                        "floor",
                        "it says that older programs no longer fit: that is a contract, `-- phase: contract`",
                    ));
                }
            }
            Ok(Phase::Contract { after }) => {
                findings.extend(contract(
                    root,
                    against,
                    migration,
                    &after,
                    floor(statements),
                ));
            }
        }
        findings.extend(blocks.into_iter().map(squawk::finding));
    }
    findings
}

fn only_in_a_contract(finding: Finding) -> Finding {
    Finding {
        message: format!(
            "{} The release before this one may need it: take it away once that is gone, with `-- phase: contract` and \
             `-- after-release: …`",
            finding.message
        ),
        ..finding
    }
}

/// What Squawk does not mind: rows that go, and constraints that forbid more than before.
fn taken_away(
    migration: &Migration,
    statements: &[Statement],
    made: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |statement: &Statement, rule: &str, message: &str| {
        found.push(Finding {
            line: Some(statement.line),
            ..Finding::whole(migration, rule, message)
        });
    };
    for statement in statements {
        let there_before =
            |pattern: &Regex| table(pattern, statement).is_some_and(|name| !made.contains(&name));
        if there_before(&EMPTIED) {
            tell(statement, "rows-go", "Rows are removed.");
        }
        let index = there_before(&UNIQUE) && forbids_more(&UNIQUE, "index", statement, statements);
        let table =
            there_before(&ALTER) && forbids_more(&CONSTRAINT, "constraint", statement, statements);
        if index || table {
            tell(
                statement,
                "forbids-more",
                "Rows that could be written before may be refused now.",
            );
        }
    }
    found
}

fn table(pattern: &Regex, statement: &Statement) -> Option<String> {
    Some(pattern.captures(&statement.text)?["table"].replace('"', ""))
}

/// Whether one is added that does not stand in the place of another of its name.
fn forbids_more(
    pattern: &Regex,
    kind: &str,
    statement: &Statement,
    statements: &[Statement],
) -> bool {
    let mut added = pattern.captures_iter(&statement.text);
    added.any(|captures| {
        let Some(name) = captures.get(1) else {
            return true;
        };
        let name = name.as_str();
        let dropped = ["", "if exists ", "concurrently ", "concurrently if exists "]
            .map(|words| format!("drop {kind} {words}{name}"));
        let replaces = |other: &Statement| dropped.iter().any(|drop| names(&other.text, drop));
        !statements.iter().any(replaces)
    })
}

/// Whether a text has these words, and the last of them whole.
fn names(text: &str, words: &str) -> bool {
    let mut places = text.match_indices(words);
    places.any(|(at, _)| {
        let next = text[at + words.len()..].chars().next();
        next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
    })
}

/// To which version the file raises the floor, if it does.
fn floor(statements: &[Statement]) -> Option<i64> {
    let mut found = statements.iter().filter_map(|statement| {
        let captures = FLOOR.captures(&statement.text)?;
        captures[1].parse().ok()
    });
    found.next()
}

/// What a contract promises: that the named release is out, and that older programs are kept from starting.
fn contract(
    root: &Path,
    against: &Commit,
    migration: &Migration,
    after: &str,
    floor: Option<i64>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    // `20261125T191300Z-140d8257`, as the ledger calls a release, ends with its commit.
    let named = after.rsplit_once("Z-").map_or(after, |(_, commit)| commit);
    let since = git::find(root, named);
    match &since {
        None => findings.push(Finding::whole(
            migration,
            "after-release",
            format!("there is no release {after}: name a tag, a commit, or what `cargo xtask releases` lists"),
        )),
        Some(since) if !git::is_ancestor(root, &since.hash, &against.hash) => {
            findings.push(Finding::whole(
                migration,
                "after-release",
                format!(
                    "{after} must be out before this: the release before this one, {}, does not contain it",
                    against.name
                ),
            ));
        }
        Some(_) => {}
    }
    let known = since.and_then(|since| super::migrations::of(root, &since).ok());
    let newest = known.and_then(|known| known.iter().map(Migration::version).max());
    match (floor, newest) {
        (None, _) => findings.push(Finding::whole(
            migration,
            "floor",
            "older programs must be kept from starting: `update schema_floor set version = …`, the newest migration \
             that they must know",
        )),
        (Some(floor), Some(newest)) if floor > newest => findings.push(Finding::whole(
            migration,
            "floor",
            format!(
                "{after} knows the migrations up to {newest}: with the floor at {floor} it could not start again"
            ),
        )),
        (Some(_), _) => {}
    }
    findings
}
