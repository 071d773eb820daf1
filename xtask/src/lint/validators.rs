//! The validators: how each is asked, and how its answer is read.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{
    Lint,
    findings::Finding,
    guard, invariants,
    templates::{self, Template},
};
use crate::{
    environments::{Environment, Name},
    process::Process,
    tools::Tool,
    workflows,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Validator {
    /// Against the schemas of CloudFormation
    CfnLint,
    /// Against published policies
    Checkov,
    /// Against our own policies, with cfn-guard
    Policies,
    /// Against the policies of AWS Control Tower, with cfn-guard
    ControlTower,
    /// Across stacks
    Invariants,
    /// Workflows against what is unsafe on GitHub
    Zizmor,
}

impl Validator {
    pub(crate) const ALL: [Self; 6] = [
        Self::CfnLint,
        Self::Checkov,
        Self::Policies,
        Self::ControlTower,
        Self::Invariants,
        Self::Zizmor,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CfnLint => "cfn-lint",
            Self::Checkov => "checkov",
            Self::Policies => "policies",
            Self::ControlTower => "control-tower",
            Self::Invariants => "invariants",
            Self::Zizmor => "zizmor",
        }
    }

    /// How to ask it; [`None`] for what is no program.
    fn command(self, lint: &Lint<'_>, templates: &[Template]) -> anyhow::Result<Option<Command>> {
        let install = |tool: Tool| tool.install(lint.checkout, lint.signals);
        let paths: Vec<PathBuf> = templates
            .iter()
            .map(|template| template.path.clone())
            .collect();
        Ok(match self {
            Self::CfnLint => {
                let mut command = install(Tool::CfnLint)?.script("cfn-lint");
                // `I` as well: among them are policies of deletion.
                command.args(["--format=json", "--include-checks=I", "--regions"]);
                // What there is, such as classes of instances, differs from one to another.
                for name in Name::ALL {
                    command.arg(&Environment::load(&lint.checkout.root, name)?.region);
                }
                command.arg("--");
                command.args(paths);
                Some(command)
            }
            Self::Checkov => {
                let mut command = install(Tool::Checkov)?.script("checkov");
                command.args(["--framework=cloudformation", "--skip-download"]);
                command.args(["--compact", "--quiet", "--output=json"]);
                for path in paths {
                    command.arg("--file").arg(path);
                }
                Some(command)
            }
            Self::Policies => Some(guard::command(
                &install(Tool::CfnGuard)?,
                Path::new(guard::POLICIES),
                &paths,
            )),
            Self::ControlTower => {
                let installed = install(Tool::CfnGuard)?;
                let rules = installed
                    .folder
                    .join("package/rules/control-tower/cfn-guard");
                Some(guard::command(&installed, &rules, &paths))
            }
            Self::Invariants => None,
            Self::Zizmor => {
                let mut command = install(Tool::Zizmor)?.program("zizmor");
                // What it would ask GitHub is left out: lint needs no network.
                command.args(["--offline", "--no-exit-codes", "--quiet"]);
                command.args(["--format=json-v1", workflows::FOLDER]);
                Some(command)
            }
        })
    }

    fn parse(self, output: &[u8], templates: &[Template]) -> anyhow::Result<Vec<Finding>> {
        match self {
            Self::CfnLint => cfn_lint(output, templates),
            Self::Checkov => checkov(output, templates),
            Self::Policies | Self::ControlTower => guarded(self, output, templates),
            Self::Invariants => Ok(invariants::check(templates)),
            Self::Zizmor => zizmor(output),
        }
    }
}

/// Asks all of them at the same time.
///
/// # Errors
/// Where one does not run, which is not the same as finding something.
pub(crate) fn run(
    lint: &Lint<'_>,
    validators: &[Validator],
    templates: &[Template],
) -> anyhow::Result<Vec<Finding>> {
    let mut running = Vec::new();
    for validator in validators {
        if let Some(command) = validator.command(lint, templates)? {
            running.push((*validator, start(*validator, command, lint)?));
        }
    }
    let mut findings = Vec::new();
    for (validator, process) in running {
        process.finish(lint.signals)?;
        let output = fs::read(lint.folder.path.join(validator.name()))?;
        findings.extend(
            validator
                .parse(&output, templates)
                .with_context(|| failure(validator, lint))?,
        );
    }
    if validators.contains(&Validator::Invariants) {
        findings.extend(Validator::Invariants.parse(&[], templates)?);
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

fn start(validator: Validator, mut command: Command, lint: &Lint<'_>) -> anyhow::Result<Process> {
    let output = lint.folder.path.join(validator.name());
    command
        .current_dir(&lint.checkout.root)
        .stdin(Stdio::null())
        .stdout(File::create(&output)?)
        .stderr(File::create(output.with_extension("err"))?);
    Process::spawn(validator.name(), command, Signal::SIGTERM)
}

fn failure(validator: Validator, lint: &Lint<'_>) -> String {
    let log = lint
        .folder
        .path
        .join(validator.name())
        .with_extension("err");
    let said = fs::read_to_string(log).unwrap_or_default();
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    format!("{}: {}", validator.name(), last.unwrap_or("no message"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CfnLintMatch {
    filename: String,
    location: CfnLintLocation,
    message: String,
    rule: CfnLintRule,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CfnLintLocation {
    path: Option<Vec<serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CfnLintRule {
    id: String,
}

fn cfn_lint(output: &[u8], templates: &[Template]) -> anyhow::Result<Vec<Finding>> {
    let matches: Vec<CfnLintMatch> = serde_json::from_slice(output)?;
    matches
        .into_iter()
        .map(|found| {
            let path = found.location.path.unwrap_or_default();
            let mut path = path.iter().filter_map(serde_json::Value::as_str);
            let section = path.next();
            Ok(Finding {
                validator: Validator::CfnLint,
                rule: found.rule.id,
                template: template(templates, &found.filename)?,
                resource: path
                    .next()
                    .filter(|_| section == Some("Resources"))
                    .unwrap_or_default()
                    .to_owned(),
                message: found.message,
            })
        })
        .collect()
}

/// Where nothing was found at all, only a summary comes.
#[derive(Deserialize)]
struct Checkov {
    #[serde(default)]
    results: CheckovResults,
}

#[derive(Default, Deserialize)]
struct CheckovResults {
    #[serde(default)]
    failed_checks: Vec<CheckovCheck>,
    #[serde(default)]
    parsing_errors: Vec<String>,
}

#[derive(Deserialize)]
struct CheckovCheck {
    check_id: String,
    check_name: String,
    file_abs_path: String,
    resource: String,
}

fn checkov(output: &[u8], templates: &[Template]) -> anyhow::Result<Vec<Finding>> {
    let report: Checkov = serde_json::from_slice(output)?;
    anyhow::ensure!(
        report.results.parsing_errors.is_empty(),
        "it cannot read {:?}",
        report.results.parsing_errors
    );
    let checks = report.results.failed_checks.into_iter();
    checks
        .map(|check| {
            let resource = check.resource.rsplit('.').next().unwrap_or_default();
            Ok(Finding {
                validator: Validator::Checkov,
                rule: check.check_id,
                template: template(templates, &check.file_abs_path)?,
                resource: resource.to_owned(),
                message: check.check_name,
            })
        })
        .collect()
}

/// Where it is, is a list of keys and indices: `jobs`, the job, `steps`, a number.
fn zizmor(output: &[u8]) -> anyhow::Result<Vec<Finding>> {
    let found: Vec<serde_json::Value> = serde_json::from_slice(output)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let findings = found.iter().map(|found| {
        let place = &found["locations"][0]["symbolic"];
        Finding {
            validator: Validator::Zizmor,
            rule: text(&found["ident"]),
            template: text(&place["key"]["Local"]["verbatim_path"]),
            resource: text(&place["route"]["route"][1]["Key"]),
            message: text(&found["desc"]),
        }
    });
    Ok(findings.collect())
}

fn guarded(
    validator: Validator,
    output: &[u8],
    templates: &[Template],
) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for answer in guard::parse(output)? {
        let name = template(templates, &answer.name)?;
        for broken in answer.broken() {
            let finding = |resource: &str| Finding {
                validator,
                rule: broken.rule.to_owned(),
                template: name.clone(),
                resource: resource.to_owned(),
                message: broken.message.clone(),
            };
            findings.extend(broken.resources.iter().map(|resource| finding(resource)));
            if broken.resources.is_empty() {
                findings.push(finding(""));
            }
        }
    }
    Ok(findings)
}

fn template(templates: &[Template], path: &str) -> anyhow::Result<String> {
    let found = templates::named(templates, path);
    Ok(found
        .with_context(|| format!("nobody asked about {path}"))?
        .name
        .clone())
}
