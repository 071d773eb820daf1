//! `cargo xtask lint`: what outside validators and our own policies say of the rendered templates.

mod cases;
mod changes;
mod findings;
mod guard;
mod invariants;
mod mutations;
mod policies;
mod templates;
mod validators;
mod waivers;

use std::{io::Write, process::ExitCode};

use serde_json::json;

use self::{findings::Finding, templates::Template, validators::Validator, waivers::Waivers};
use crate::{
    checkout::Checkout,
    progress::{self, Step},
    run_folder::RunFolder,
    signals::Signals,
};

/// Check the rendered templates and the workflows
///
/// With cfn-lint, checkov, cfn-guard (our policies in infra/policy and those of AWS Control Tower) and checks
/// across stacks; the workflows with zizmor. Nothing may be found that infra/policy/WAIVERS.toml does not excuse, and every waiver there
/// must be needed. Ends with 3 where something is found. The validators install themselves below target/.
///
/// Example: cargo xtask lint --tool policies
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Only what this one says
    #[arg(long, value_enum, value_name = "NAME")]
    tool: Option<Validator>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Try our policies on their cases: templates that must pass, and changes that must not
    #[arg(long, conflicts_with_all = ["tool", "mutate"])]
    cases: bool,
    /// Put a wrong value in the place of each protected one, and see that it is found
    #[arg(long, conflicts_with_all = ["tool", "cases"])]
    mutate: bool,
}

/// Nothing was changed, and something was found.
const FOUND: u8 = 3;

/// What lint needs wherever it runs something.
pub(crate) struct Lint<'a> {
    pub(crate) checkout: &'a Checkout,
    pub(crate) folder: RunFolder,
    pub(crate) signals: &'a Signals,
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let lint = Lint {
        checkout: &checkout,
        folder: RunFolder::create(&checkout, "lint")?,
        signals,
    };
    let passed = if arguments.cases {
        cases::run(&lint, arguments.json)?
    } else if arguments.mutate {
        mutations::run(&lint, arguments.json)?
    } else {
        let validators = arguments
            .tool
            .map_or_else(|| Validator::ALL.to_vec(), |tool| vec![tool]);
        validate(&lint, &validators, arguments.json)?
    };
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}

/// Whether `cargo xtask ci` may go on.
pub(crate) fn is_clean(checkout: &Checkout, signals: &Signals) -> anyhow::Result<bool> {
    let lint = Lint {
        checkout,
        folder: RunFolder::create(checkout, "lint")?,
        signals,
    };
    validate(&lint, &Validator::ALL, false)
}

fn validate(lint: &Lint<'_>, validators: &[Validator], json: bool) -> anyhow::Result<bool> {
    let step = Step::start();
    let templates = templates::rendered(&lint.checkout.root)?;
    let found = validators::run(lint, validators, &templates)?;
    let waivers = Waivers::read(&lint.checkout.root)?;
    let judged = waivers.judge(
        found,
        validators,
        &templates,
        chrono::Utc::now().date_naive(),
    );
    let clean = judged.findings.is_empty() && judged.problems.is_empty();
    if json {
        let whole = json!({
            "templates": templates.len(),
            "findings": judged.findings,
            "waived": judged.waived,
            "problems": judged.problems,
            "clean": clean,
        });
        writeln!(std::io::stdout(), "{whole}")?;
    } else {
        print(&judged)?;
    }
    step.done(summary(validators, &templates, &judged));
    Ok(clean)
}

fn print(judged: &waivers::Judged) -> anyhow::Result<()> {
    if !judged.findings.is_empty() {
        write!(std::io::stdout(), "{}", findings::table(&judged.findings))?;
    }
    for problem in &judged.problems {
        progress::say(problem);
    }
    Ok(())
}

/// `5 templates; cfn-lint 0, checkov 2 and 3 waived`.
fn summary(validators: &[Validator], templates: &[Template], judged: &waivers::Judged) -> String {
    let count = |findings: &[Finding], validator: Validator| {
        let of_it = findings
            .iter()
            .filter(|finding| finding.validator == validator);
        of_it.count()
    };
    let counts: Vec<String> = validators
        .iter()
        .map(|validator| {
            let (left, waived) = (
                count(&judged.findings, *validator),
                count(&judged.waived, *validator),
            );
            format!("{} {left} ({waived} waived)", validator.name())
        })
        .collect();
    format!(
        "{} templates; findings of {}",
        templates.len(),
        counts.join(", ")
    )
}
