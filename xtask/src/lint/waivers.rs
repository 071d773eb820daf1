//! What may be found, and why: `infra/policy/WAIVERS.toml`.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context;
use chrono::NaiveDate;
use serde::Deserialize;
use toml::Spanned;

use super::{
    cases, findings::Finding, guard, invariants, templates::Template, validators::Validator,
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
                policies.extend(cases::rules(&fs::read_to_string(file.path())?));
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const TEXT: &str = r#"
[[waiver]]
rules = ["CKV_AWS_157", "RDS_TWO_ZONES"]
templates = ["staging/data"]
reason = "One zone is enough to try a release in"
owner = "operations"
expires = 2027-06-30
"#;

    fn waivers(text: &str) -> Waivers {
        let policies = ["RDS_TWO_ZONES", "RDS_PRIVATE"].map(str::to_owned);
        Waivers::parse(text, BTreeSet::from(policies)).expect("waivers")
    }

    fn found(validator: Validator, rule: &str) -> Finding {
        Finding {
            validator,
            rule: rule.to_owned(),
            template: "staging/data".to_owned(),
            resource: "Database".to_owned(),
            message: String::new(),
        }
    }

    fn judge(text: &str, findings: &[Finding], today: &str) -> Judged {
        let template = |name: &str| Template {
            name: name.to_owned(),
            path: name.into(),
            content: Value::Null,
        };
        waivers(text).judge(
            findings.to_vec(),
            &Validator::ALL,
            &[template("staging/data"), template("production/data")],
            today.parse().expect("a date"),
        )
    }

    fn both() -> [Finding; 2] {
        [
            found(Validator::Checkov, "CKV_AWS_157"),
            found(Validator::Policies, "RDS_TWO_ZONES"),
        ]
    }

    #[test]
    fn what_is_excused_does_not_count_and_everything_else_does() {
        let mut findings = both().to_vec();
        findings.push(found(Validator::Policies, "RDS_PRIVATE"));
        let judged = judge(TEXT, &findings, "2027-06-30");
        assert_eq!(judged.waived, both());
        assert_eq!(judged.findings, findings[2..]);
        assert_eq!(judged.problems, Vec::<String>::new());
    }

    #[test]
    fn an_expired_waiver_fails_with_its_line() {
        let judged = judge(TEXT, &both(), "2027-07-01");
        let expected =
            "infra/policy/WAIVERS.toml:2: expired on 2027-06-30; operations decides anew";
        assert_eq!(judged.problems, [expected]);
    }

    #[test]
    fn a_waiver_that_nothing_needs_fails() {
        let judged = judge(TEXT, &both()[..1], "2027-01-01");
        let expected =
            "infra/policy/WAIVERS.toml:2: RDS_TWO_ZONES is not found any more: take it out";
        assert_eq!(judged.problems, [expected]);
        let wider = TEXT.replace(
            "[\"staging/data\"]",
            "[\"staging/data\", \"production/data\"]",
        );
        let judged = judge(&wider, &both(), "2027-01-01");
        assert_eq!(judged.problems.len(), 2, "{:?}", judged.problems);
    }

    #[test]
    fn rules_and_templates_that_do_not_exist_fail() {
        let unknown = TEXT
            .replace("RDS_TWO_ZONES", "RDS_TOO_ZONES")
            .replace("staging/data", "staging/date");
        let judged = judge(&unknown, &[], "2027-01-01");
        let problems = judged.problems.join("\n");
        assert!(problems.contains("no validator has a rule RDS_TOO_ZONES"));
        assert!(problems.contains("there is no template staging/date"));
    }

    #[test]
    fn a_waiver_needs_reason_owner_and_end() {
        for key in ["reason", "owner", "expires"] {
            let without: Vec<&str> = TEXT.lines().filter(|line| !line.starts_with(key)).collect();
            let error = Waivers::parse(&without.join("\n"), BTreeSet::new()).err();
            let error = format!("{:#}", error.expect("an error"));
            assert!(error.contains(key) && error.contains("line"), "{error}");
        }
        let judged = judge(&TEXT.replace("operations", ""), &both(), "2027-01-01");
        assert!(judged.problems[0].ends_with("owner is empty"));
    }
}
