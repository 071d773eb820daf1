//! What may be found, and why: `infra/policy/WAIVERS.toml`.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context;
use chrono::NaiveDate;
use serde::Deserialize;
use toml::Spanned;

use super::{
    findings::Finding, guard, invariants, policies, templates::Template, validators::Validator,
};

const FILE: &str = "infra/policy/WAIVERS.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "waiver")]
    waivers: Vec<Spanned<Waiver>>,
}

/// Excuses each of `rules` in each of `templates`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiver {
    rules: Vec<String>,
    templates: Vec<String>,
    /// Only on these; without them, on all.
    #[serde(default)]
    resources: Vec<String>,
    reason: String,
    /// Who decides when it has expired.
    owner: String,
    /// Its last day.
    expires: toml::value::Datetime,
}

pub(crate) struct Waivers {
    entries: Vec<Entry>,
    /// The rules of our own policies.
    policies: BTreeSet<String>,
}

struct Entry {
    line: usize,
    waiver: Waiver,
    expires: NaiveDate,
}

/// Findings, sorted into what counts and what does not.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    pub(crate) waived: Vec<Finding>,
    /// What is wrong with the waivers themselves, with file and line.
    pub(crate) problems: Vec<String>,
}

impl Waivers {
    /// # Errors
    /// Where the file is no list of waivers, with the line.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(root.join(FILE)).context(FILE)?;
        let mut policies = BTreeSet::new();
        for file in fs::read_dir(root.join(guard::POLICIES))?.flatten() {
            if file.path().extension().is_some_and(|end| end == "guard") {
                policies.extend(policies::rules(&fs::read_to_string(file.path())?));
            }
        }
        Self::parse(&text, policies)
    }

    fn parse(text: &str, policies: BTreeSet<String>) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).context(FILE)?;
        let entries = file.waivers.into_iter().map(|waiver| {
            let line = text[..waiver.span().start].matches('\n').count() + 1;
            let waiver = waiver.into_inner();
            Ok(Entry {
                line,
                expires: date(&waiver).with_context(|| place(line))?,
                waiver,
            })
        });
        Ok(Self {
            entries: entries.collect::<anyhow::Result<_>>()?,
            policies,
        })
    }

    /// `validators` are those that were asked: a waiver for another one cannot be called unused.
    pub(crate) fn judge(
        &self,
        found: Vec<Finding>,
        validators: &[Validator],
        templates: &[Template],
        today: NaiveDate,
    ) -> Judged {
        let mut judged = Judged::default();
        for entry in &self.entries {
            let problems = self.problems(entry, &found, validators, templates, today);
            let place = place(entry.line);
            judged
                .problems
                .extend(problems.map(|problem| format!("{place}: {problem}")));
        }
        for finding in found {
            let excused = self
                .entries
                .iter()
                .any(|entry| entry.waiver.covers(&finding));
            let list = if excused {
                &mut judged.waived
            } else {
                &mut judged.findings
            };
            list.push(finding);
        }
        judged
    }

    fn problems(
        &self,
        entry: &Entry,
        found: &[Finding],
        validators: &[Validator],
        templates: &[Template],
        today: NaiveDate,
    ) -> impl Iterator<Item = String> {
        let waiver = &entry.waiver;
        let mut problems = Vec::new();
        if entry.expires < today {
            let (date, owner) = (entry.expires, &waiver.owner);
            problems.push(format!("expired on {date}; {owner} decides anew"));
        }
        for (name, text) in [("reason", &waiver.reason), ("owner", &waiver.owner)] {
            if text.trim().is_empty() {
                problems.push(format!("{name} is empty"));
            }
        }
        let known = |name: &String| templates.iter().any(|template| template.name == *name);
        for name in waiver.templates.iter().filter(|name| !known(name)) {
            problems.push(format!("there is no template {name}"));
        }
        for rule in &waiver.rules {
            let Some(validator) = self.validator(rule) else {
                problems.push(format!("no validator has a rule {rule}"));
                continue;
            };
            if validators.contains(&validator) {
                problems.extend(waiver.unused(rule, found));
            }
        }
        problems.into_iter()
    }

    /// Whose rule it is, by the way it is written.
    fn validator(&self, rule: &str) -> Option<Validator> {
        let digits = |rest: &str| rest.len() == 4 && rest.chars().all(|c| c.is_ascii_digit());
        if rule.starts_with("CKV_") || rule.starts_with("CKV2_") {
            Some(Validator::Checkov)
        } else if rule.strip_prefix(['E', 'W', 'I']).is_some_and(digits) {
            Some(Validator::CfnLint)
        } else if self.policies.contains(rule) {
            Some(Validator::Policies)
        } else if invariants::NAMES.contains(&rule) {
            Some(Validator::Invariants)
        } else if rule.ends_with("_check") && rule.to_lowercase() == rule {
            Some(Validator::ControlTower)
        } else {
            None
        }
    }
}

impl Waiver {
    fn covers(&self, finding: &Finding) -> bool {
        self.rules.contains(&finding.rule)
            && self.templates.contains(&finding.template)
            && (self.resources.is_empty() || self.resources.contains(&finding.resource))
    }

    /// A template or a resource in which nobody found what the rule excuses.
    fn unused(&self, rule: &str, found: &[Finding]) -> Vec<String> {
        let covered: Vec<&Finding> = found
            .iter()
            .filter(|finding| finding.rule == rule && self.covers(finding))
            .collect();
        if covered.is_empty() {
            return vec![format!("{rule} is not found any more: take it out")];
        }
        let idle = |name: &String| !covered.iter().any(|finding| finding.template == *name);
        let templates = self.templates.iter().filter(|name| idle(name));
        templates
            .map(|name| format!("{rule} is not found in {name}: take it out there"))
            .collect()
    }
}

fn date(waiver: &Waiver) -> anyhow::Result<NaiveDate> {
    let date = waiver.expires.date.context("expires is no date")?;
    NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
        .context("expires is no date")
}

fn place(line: usize) -> String {
    format!("{FILE}:{line}")
}
