//! `cargo xtask drift`: what was changed beside CloudFormation.

use crate::aws::Access;

/// Compare what stands in the account with the stacks' templates
///
/// CloudFormation looks at each resource and tells every property that somebody has changed by hand. Types that it cannot
/// compare are named. Nothing is changed, and a deployment would not bring it back either: it compares templates. Change
/// it back by hand, or the template to say the same.
///
/// Example: cargo xtask drift --env production --detailed-exitcode
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// End with exit code 4 where something differs
    #[arg(long)]
    detailed_exitcode: bool,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    aws::wait(aws::until(signals, comparing::compare(arguments)))
}

#[cfg(feature = "aws")]
pub(crate) mod comparing {
    use std::{io::Write, process::ExitCode};

    use serde_json::json;

    use super::Arguments;
    use crate::{
        aws::{
            account::Account,
            differences::{self, Differences},
            stacks,
        },
        exit::{Exit, Failed},
        progress::{Step, say},
    };

    /// Of others, CloudFormation refuses to look.
    const COMPARABLE: [&str; 4] = [
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "UPDATE_ROLLBACK_FAILED",
    ];

    pub(super) async fn compare(arguments: &Arguments) -> anyhow::Result<ExitCode> {
        let account = Account::open(&arguments.access).await?;
        let mut found = Vec::new();
        for (stack, _) in &account.rendered.stacks {
            let step = Step::start();
            let differences = of_stack(&account, &stack.name(account.environment().name)).await?;
            let count = differences.resources.len();
            step.done(format_args!("{}: {count} differ", differences.stack));
            tell(&differences);
            found.push(differences);
        }
        if arguments.access.json {
            let environment = account.environment().name.as_str();
            let whole = json!({"environment": environment, "stacks": found});
            writeln!(std::io::stdout(), "{whole}")?;
        }
        let differs = found.iter().any(|stack| !stack.resources.is_empty());
        if differs && arguments.detailed_exitcode {
            return Ok(Exit::Differs.into());
        }
        if found.iter().any(|stack| stack.note.is_some()) {
            return Err(Failed::because(
                Exit::Internal,
                "not everything could be compared: the lines above tell what and why",
            ));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn of_stack(account: &Account, name: &str) -> anyhow::Result<Differences> {
        let existing = stacks::describe(account, name).await?;
        let status = existing.map(|existing| existing.status);
        match status {
            Some(status) if COMPARABLE.contains(&status.as_str()) => {
                differences::detect(account, name).await
            }
            Some(status) => Ok(without(
                name,
                &format!("is {status}, and cannot be compared"),
            )),
            None => Ok(without(name, "is not there")),
        }
    }

    fn without(name: &str, why: &str) -> Differences {
        Differences {
            stack: name.to_owned(),
            note: Some(why.to_owned()),
            ..Differences::default()
        }
    }

    /// For people: each property that is another one.
    pub(crate) fn tell(differences: &Differences) {
        for resource in &differences.resources {
            say(format_args!(
                "  {} ({}) {}: {}",
                resource.resource, resource.kind, resource.name, resource.change
            ));
            for property in &resource.properties {
                say(format_args!(
                    "    {} {}: {} instead of {}",
                    property.path, property.difference, property.actual, property.expected
                ));
            }
        }
        if !differences.unsupported.is_empty() {
            let kinds: Vec<&str> = differences.unsupported.iter().map(String::as_str).collect();
            say(format_args!(
                "  CloudFormation cannot compare: {}",
                kinds.join(", ")
            ));
        }
        if let Some(note) = &differences.note {
            say(format_args!("  {} {note}", differences.stack));
        }
    }
}
