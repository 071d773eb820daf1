//! `cargo xtask bootstrap`: what an account needs once, before anything is deployed to it.

use crate::aws::Access;

/// Make what an account and region need once: registry, state bucket, key, roles
///
/// The bootstrap stack. It needs an administrator's credentials; whatever is deployed later does not. Repeated, it
/// brings the stack up to date.
///
/// Example: cargo xtask bootstrap --env staging --github acme/taskhub
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The GitHub repository whose workflows may plan and deploy
    #[arg(long, value_name = "OWNER/NAME")]
    github: Option<String>,
    /// The account's identity provider for GitHub, where it has one already
    #[arg(long, value_name = "ARN")]
    github_provider: Option<String>,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    aws::wait(aws::until(signals, making::bring(arguments)))?;
    Ok(std::process::ExitCode::SUCCESS)
}

#[cfg(feature = "aws")]
mod making {
    use std::{collections::BTreeMap, io::Write, time::Duration};

    use serde_json::json;

    use super::Arguments;
    use crate::{
        aws::{account::Account, apply, parameters, stacks::Wanted, state},
        progress::{Step, say},
        render::template::Stack,
    };

    /// Somebody else's change of the same stack.
    const PATIENCE: Duration = Duration::from_secs(600);

    pub(super) async fn bring(arguments: &Arguments) -> anyhow::Result<()> {
        let step = Step::start();
        let account = Account::open(&arguments.access).await?;
        let name = account.environment().name;
        let existing = apply::ready(&account, Stack::Bootstrap, PATIENCE).await?;
        let template = crate::render::bootstrap::stack().to_value();
        let given = [
            ("GitHubRepository", &arguments.github),
            ("GitHubProviderArn", &arguments.github_provider),
        ];
        let given = given.into_iter();
        let given: BTreeMap<String, String> = given
            .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)))
            .collect();
        let wanted = Wanted {
            stack: Stack::Bootstrap,
            template: &template,
            given,
            topic: parameters::kept(&account, Stack::Bootstrap, "topic-arn").await?,
        };
        let token = format!("bootstrap-{}", chrono::Utc::now().timestamp());
        let started = apply::start(&account, &wanted, existing.as_ref(), &token).await?;
        if let Some(started) = &started {
            apply::finish(&account, started).await?;
        }
        apply::protect(&account, Stack::Bootstrap, None).await?;
        let bucket = state::bucket(&account).await?;
        let stack = Stack::Bootstrap.name(name);
        let done = match started {
            None => "is as it should be",
            Some(started) if started.was_there => "is changed",
            Some(_) => "is made",
        };
        step.done(format_args!("{stack} {done}"));
        if arguments.access.json {
            let whole = json!({"stack": stack, "changed": done != "is as it should be", "state_bucket": bucket});
            writeln!(std::io::stdout(), "{whole}")?;
        }
        say(format_args!("the state bucket is {bucket}"));
        if arguments.github.is_some() {
            let role = |name: &str| {
                format!(
                    "arn:{}:iam::{}:role/taskhub-{name}",
                    account.partition, account.id
                )
            };
            say(format_args!(
                "roles for GitHub: {}, {}",
                role("plan"),
                role(&format!("deploy-{name}"))
            ));
        }
        Ok(())
    }
}
