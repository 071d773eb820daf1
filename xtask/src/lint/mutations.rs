//! `cargo xtask lint --mutate`: whether our policies would find what they are there for.
//!
//! Each protected value of the rendered templates is changed to a wrong one, one at a time, and some rule
//! or invariant must find what it did not find before.

mod protected;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use anyhow::Context;
use serde_json::{Value, json};

use self::protected::{PROTECTED, SURVIVORS};
use super::{
    Lint,
    changes::Change,
    findings::Finding,
    guard::{Answer, Failure},
    invariants,
    policies::{Policy, ask},
    templates::{self, Template},
};
use crate::progress::Step;

/// A template with one wrong value.
struct Mutant {
    /// Of the template.
    template: usize,
    /// The resource's type.
    kind: &'static str,
    /// `AWS::ECS::Service Properties/DesiredCount`
    what: String,
    change: Change,
}

/// Tells whether every mutant was found.
pub(crate) fn run(lint: &Lint<'_>, json: bool) -> anyhow::Result<bool> {
    let step = Step::start();
    let templates = templates::rendered(&lint.checkout.root)?;
    let (mutants, idle) = mutants(&templates)?;
    let survivors = survivors(lint, &templates, &mutants)?;
    let (excused, survivors): (Vec<&Mutant>, Vec<&Mutant>) = survivors
        .into_iter()
        .partition(|mutant| SURVIVORS.iter().any(|(what, _)| *what == mutant.what));
    let stale: Vec<&str> = SURVIVORS
        .iter()
        .map(|(what, _)| *what)
        .filter(|what| !excused.iter().any(|mutant| mutant.what == *what))
        .collect();
    let mut problems: Vec<String> = idle
        .iter()
        .map(|what| format!("{what} stands in no template"))
        .collect();
    problems.extend(
        stale
            .iter()
            .map(|what| format!("{what} does not survive any more")),
    );
    let lines = survivors.iter().map(|mutant| {
        let Change { at, is } = &mutant.change;
        let wrong = is.as_ref().map_or("nothing".to_owned(), Value::to_string);
        format!(
            "{}: nobody finds {wrong} at {at}",
            templates[mutant.template].name
        )
    });
    problems.extend(lines);
    let found = mutants.len() - survivors.len() - excused.len();
    if json {
        let whole = json!({
            "mutants": mutants.len(),
            "found": found,
            "excused": excused.len(),
            "problems": problems,
        });
        writeln!(std::io::stdout(), "{whole}")?;
    } else {
        for problem in &problems {
            writeln!(std::io::stdout(), "{problem}")?;
        }
    }
    let excused = excused.len();
    let all = mutants.len();
    step.done(format_args!(
        "{found} of {all} mutants found, {excused} excused"
    ));
    Ok(problems.is_empty())
}

impl Mutant {
    /// Whether a check failed at this very place, of which there may be several in a resource.
    fn is_named_by(&self, failure: &Failure) -> bool {
        let rest = failure.path.strip_prefix(&self.change.at);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Mutants of the same template and in the same way, or each by itself.
fn grouped<'a>(mutants: &[&'a Mutant], together: bool) -> Vec<Vec<&'a Mutant>> {
    let mut groups: BTreeMap<(usize, &str, String), Vec<&Mutant>> = BTreeMap::new();
    for (number, mutant) in mutants.iter().enumerate() {
        let alone = if together { 0 } else { number };
        let way = format!("{alone} {:?}", mutant.change.is);
        let group = groups.entry((mutant.template, &mutant.what, way));
        group.or_default().push(mutant);
    }
    groups.into_values().collect()
}

/// The template of these mutants, with all of their changes: the last first, for what goes moves what
/// comes after it.
fn mutated(templates: &[Template], mutants: &[&Mutant]) -> anyhow::Result<Value> {
    let mut content = templates[mutants[0].template].content.clone();
    for mutant in mutants.iter().rev() {
        content = mutant.change.apply(&content)?;
    }
    Ok(content)
}

/// Every protected value wrong in every way, and what of the list stands nowhere.
fn mutants(templates: &[Template]) -> anyhow::Result<(Vec<Mutant>, Vec<String>)> {
    let mut mutants = Vec::new();
    let mut idle = Vec::new();
    for (kind, properties) in PROTECTED {
        for (selector, wrong) in *properties {
            let what = format!("{kind} {selector}");
            let mut stands = false;
            for (index, template) in templates.iter().enumerate() {
                for at in places(&template.content, kind, selector) {
                    stands = true;
                    for change in changes(&template.content, &at, wrong)? {
                        mutants.push(Mutant {
                            template: index,
                            kind,
                            what: what.clone(),
                            change,
                        });
                    }
                }
            }
            if !stands {
                idle.push(what);
            }
        }
    }
    Ok((mutants, idle))
}

/// The pointers of a selector's values in all resources of a kind.
fn places(template: &Value, kind: &str, selector: &str) -> Vec<String> {
    let resources = template["Resources"].as_object();
    resources
        .into_iter()
        .flatten()
        .filter(|(_, resource)| resource["Type"] == kind)
        .flat_map(|(id, resource)| {
            let mut found = vec![(format!("/Resources/{id}"), resource)];
            for part in selector.split('/') {
                found = found
                    .into_iter()
                    .flat_map(|(at, value)| step(&at, value, part))
                    .collect();
            }
            found.into_iter().map(|(at, _)| at)
        })
        .collect()
}

/// One step down: a key, `*` for every element, or `[KEY=VALUE]` for elements that have it.
fn step<'a>(at: &str, value: &'a Value, part: &str) -> Vec<(String, &'a Value)> {
    let condition = part
        .strip_prefix('[')
        .and_then(|part| part.strip_suffix(']'));
    if part != "*" && condition.is_none() {
        let inner = value.get(part.replace("~1", "/"));
        return inner
            .map(|inner| (format!("{at}/{part}"), inner))
            .into_iter()
            .collect();
    }
    let wanted = condition.and_then(|condition| condition.split_once('='));
    let items = value.as_array().into_iter().flatten().enumerate();
    items
        .filter(|(_, item)| wanted.is_none_or(|(key, is)| item[key] == is))
        .map(|(index, item)| (format!("{at}/{index}"), item))
        .collect()
}

/// A wrong value is JSON; an empty text takes the value away. What stands there already is not wrong.
fn changes(template: &Value, at: &str, wrong: &[&str]) -> anyhow::Result<Vec<Change>> {
    let mut changes = Vec::new();
    for text in wrong {
        let is: Option<Value> = match *text {
            "" => None,
            text => Some(serde_json::from_str(text).with_context(|| text.to_owned())?),
        };
        if is.as_ref() != template.pointer(at) {
            changes.push(Change {
                at: at.to_owned(),
                is,
            });
        }
    }
    Ok(changes)
}

/// First all mutants of a kind in one document each, since most failures name the place; then, one by
/// one, those that no failure named.
fn survivors<'a>(
    lint: &Lint<'_>,
    templates: &[Template],
    mutants: &'a [Mutant],
) -> anyhow::Result<Vec<&'a Mutant>> {
    let mut left: Vec<&Mutant> = mutants.iter().collect();
    for (round, together) in [("together", true), ("alone", false)] {
        for policy in Policy::all(&lint.checkout.root)? {
            left = unnoticed(&policy, lint, templates, left, round, together)?;
        }
    }
    let agreed: BTreeSet<Finding> = invariants::check(templates).into_iter().collect();
    let mut survivors = Vec::new();
    for mutant in left {
        if !breaks_invariant(templates, mutant, &agreed)? {
            survivors.push(mutant);
        }
    }
    Ok(survivors)
}

/// A file of rules asks only about some types: only mutants of these are put before it, and only
/// resources of these are left in them. That is exact, and many times as fast.
fn unnoticed<'a>(
    policy: &Policy,
    lint: &Lint<'_>,
    templates: &[Template],
    mutants: Vec<&'a Mutant>,
    round: &str,
    together: bool,
) -> anyhow::Result<Vec<&'a Mutant>> {
    let (concerned, mut left): (Vec<&Mutant>, Vec<&Mutant>) = mutants
        .into_iter()
        .partition(|mutant| policy.mentions(mutant.kind));
    let groups = grouped(&concerned, together);
    let mut documents: Vec<Value> = templates
        .iter()
        .map(|template| policy.part(&template.content))
        .collect();
    for group in &groups {
        documents.push(policy.part(&mutated(templates, group)?));
    }
    let answers = ask(
        lint,
        &policy.path,
        &format!("{}-{round}", policy.name),
        &documents,
    )?;
    let (before, after) = answers.split_at(templates.len());
    let known: Vec<BTreeSet<Failure>> = before.iter().map(Answer::failures).collect();
    for (group, answer) in groups.into_iter().zip(after) {
        let failures = answer.failures();
        let new: Vec<&Failure> = failures.difference(&known[group[0].template]).collect();
        let alone = group.len() == 1;
        let noticed = |mutant: &&Mutant| {
            new.iter()
                .any(|failure| alone || mutant.is_named_by(failure))
        };
        left.extend(group.into_iter().filter(|mutant| !noticed(mutant)));
    }
    Ok(left)
}

fn breaks_invariant(
    templates: &[Template],
    mutant: &Mutant,
    agreed: &BTreeSet<Finding>,
) -> anyhow::Result<bool> {
    let mut changed: Vec<Template> = templates.to_vec();
    changed[mutant.template].content = mutated(templates, &[mutant])?;
    let findings = invariants::check(&changed);
    Ok(findings.iter().any(|finding| !agreed.contains(finding)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_finds_every_place() {
        let template = json!({"Resources": {
            "A": {"Type": "T", "Properties": {"List": [{"Key": "a", "Value": 1}, {"Key": "b", "Value": 2}]}},
            "B": {"Type": "U", "Properties": {"List": [{"Key": "a", "Value": 3}]}},
        }});
        let found = |selector| places(&template, "T", selector);
        assert_eq!(found("Properties/List/*/Value").len(), 2);
        assert_eq!(
            found("Properties/List/[Key=b]/Value"),
            ["/Resources/A/Properties/List/1/Value"]
        );
        assert_eq!(found("Properties/Other"), Vec::<String>::new());
    }

    #[test]
    fn what_stands_there_already_is_no_mutant() {
        let changes = changes(&json!({"a": false}), "/a", &["false", "true", ""]);
        assert_eq!(changes.expect("JSON").len(), 2);
    }
}
