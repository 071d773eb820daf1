//! `cargo xtask doctor`: whether this machine and these credentials can do what other verbs ask of them.

#[cfg(feature = "aws")]
mod access;
mod machine;
mod report;

use std::process::ExitCode;

use crate::{aws, environments::Name, exit::Exit};

/// Check the machine, the credentials and the account that other verbs need
///
/// Programs, credentials and how long they last, the account, the region, and the clock, which AWS allows to be five
/// minutes wrong. Everything that is amiss is told at once, each with what helps. Exit code 3 where something is amiss,
/// 9 where it is the credentials.
///
/// Example: cargo xtask doctor --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The environment, as its file in infra/environments is called
    #[arg(long = "env", value_name = "NAME", value_parser = aws::environment, required_unless_present = "offline")]
    environment: Option<Name>,
    /// A profile of the AWS configuration files
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Look at this machine only
    #[arg(long)]
    pub(crate) offline: bool,
}

/// What was found of one thing.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Finding {
    /// `docker`
    pub(crate) what: &'static str,
    /// What it is, or what is wrong with it.
    pub(crate) found: String,
    /// What helps; absent where all is well.
    pub(crate) fix: Option<String>,
    /// Only some verbs need it.
    pub(crate) is_optional: bool,
    /// Whether AWS would refuse whoever asks.
    #[serde(skip)]
    pub(crate) is_access: bool,
}

/// Looks at this machine only, which needs no program but this one.
///
/// # Errors
/// Where standard output cannot be written.
#[cfg(not(feature = "aws"))]
pub(crate) fn offline(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    finish(&machine::findings(), arguments)
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<ExitCode> {
    let mut findings = machine::findings();
    if let Some(environment) = arguments.environment.filter(|_| !arguments.offline) {
        let access = aws::Access {
            environment,
            profile: arguments.profile.clone(),
            json: arguments.json,
        };
        findings.extend(aws::wait(aws::until(signals, access::findings(&access)))?);
    }
    finish(&findings, arguments)
}

fn finish(findings: &[Finding], arguments: &Arguments) -> anyhow::Result<ExitCode> {
    report::show(findings, arguments.json)?;
    let amiss = |finding: &&Finding| finding.fix.is_some() && !finding.is_optional;
    let mut wrong = findings.iter().filter(amiss).peekable();
    if wrong.peek().is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let is_access = wrong.any(|finding| finding.is_access);
    Ok(if is_access {
        Exit::Denied
    } else {
        Exit::Refused
    }
    .into())
}
