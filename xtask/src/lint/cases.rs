//! `cargo xtask lint --cases`: our policies on templates made to pass and to break them.
//!
//! Beside each `infra/policy/NAME.guard` stands `NAME.cases.json`: one template that passes every rule of
//! the file, and for each rule changes of it, each of which that rule must find.

use std::{collections::BTreeMap, fs, io::Write};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Lint, changes::Change, guard, policies};
use crate::progress::Step;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    passes: Value,
    /// By the rule's name.
    fails: BTreeMap<String, Vec<Change>>,
}

/// Tells whether every rule does what its cases say.
pub(crate) fn run(lint: &Lint<'_>, json: bool) -> anyhow::Result<bool> {
    let step = Step::start();
    let mut problems = Vec::new();
    let (mut rules, mut cases) = (0, 0);
    for name in policies::names(&lint.checkout.root)? {
        let tried = try_policy(lint, &name).with_context(|| name.clone())?;
        rules += tried.rules;
        cases += tried.cases;
        problems.extend(tried.problems);
    }
    if json {
        let whole = json!({"rules": rules, "cases": cases, "problems": problems});
        writeln!(std::io::stdout(), "{whole}")?;
    } else {
        for problem in &problems {
            writeln!(std::io::stdout(), "{problem}")?;
        }
    }
    step.done(format_args!(
        "{rules} rules in {cases} cases, {} of them wrong",
        problems.len()
    ));
    Ok(problems.is_empty())
}

struct Tried {
    rules: usize,
    cases: usize,
    problems: Vec<String>,
}

fn try_policy(lint: &Lint<'_>, name: &str) -> anyhow::Result<Tried> {
    let path = |ending: &str| {
        lint.checkout
            .root
            .join(guard::POLICIES)
            .join(format!("{name}.{ending}"))
    };
    let rules = policies::rules(&fs::read_to_string(path("guard"))?);
    let cases: Cases = serde_json::from_slice(&fs::read(path("cases.json"))?)?;
    let failing: Vec<(&String, &Change)> = cases
        .fails
        .iter()
        .flat_map(|(rule, changes)| changes.iter().map(move |change| (rule, change)))
        .collect();
    let mut documents = vec![cases.passes.clone()];
    for (rule, change) in &failing {
        let changed = change.apply(&cases.passes);
        documents.push(changed.with_context(|| (*rule).clone())?);
    }
    let answers = policies::ask(lint, &path("guard"), name, &documents)?;

    let mut problems = Vec::new();
    for rule in &rules {
        if !answers[0].compliant.contains(rule) {
            problems.push(format!("{name}: {rule} does not pass its good template"));
        }
        if cases.fails.get(rule).is_none_or(Vec::is_empty) {
            problems.push(format!("{name}: {rule} has no case that fails"));
        }
    }
    for ((rule, change), answer) in failing.iter().zip(&answers[1..]) {
        if !answer.broken().any(|broken| broken.rule == *rule) {
            problems.push(format!("{name}: {rule} does not find {change:?}"));
        }
    }
    Ok(Tried {
        rules: rules.len(),
        cases: documents.len(),
        problems,
    })
}
