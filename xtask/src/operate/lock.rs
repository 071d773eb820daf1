//! `cargo xtask lock`: who may deploy.

use crate::aws::Access;

/// See who deploys, keep others from it, or take the lock away
///
/// A deployment takes and returns the lock by itself, and the lock of one that has died ends with its lease of two
/// minutes. `hold` keeps everybody out until `release`, which also takes away what somebody else holds.
///
/// Example: cargo xtask lock hold --env production --message "the database is being moved"
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show who holds it; exit code 5 where somebody does
    Status(Access),
    /// Hold it until it is released
    Hold {
        #[command(flatten)]
        access: Access,
        /// Why, for whoever waits
        #[arg(long, short)]
        message: String,
    },
    /// Take it from whoever holds it
    Release(Access),
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    aws::wait(aws::until(signals, acting::act(&arguments.action)))
}

#[cfg(feature = "aws")]
mod acting {
    use std::{io::Write, process::ExitCode};

    use serde_json::json;

    use super::Action;
    use crate::{
        aws::{account::Account, lock, state},
        exit::Exit,
        progress::say,
    };

    pub(super) async fn act(action: &Action) -> anyhow::Result<ExitCode> {
        let (Action::Status(access) | Action::Hold { access, .. } | Action::Release(access)) =
            action;
        let account = Account::open(access).await?;
        let bucket = state::bucket(&account).await?;
        if let Action::Hold { message, .. } = action {
            lock::hold(&account, &bucket, message).await?;
        }
        let found = lock::read(&account, &bucket).await?;
        let held = found.filter(|(held, _)| held.is_held());
        if matches!(action, Action::Release(_))
            && let Some((held, tag)) = held
        {
            say(format_args!("taken from {}", held.describe()));
            lock::break_open(&account, &bucket, held, &tag).await?;
            return Ok(ExitCode::SUCCESS);
        }
        if access.json {
            let holder = held.as_ref().map(|(held, _)| held);
            writeln!(std::io::stdout(), "{}", json!({"holder": holder}))?;
        }
        match &held {
            Some((held, _)) => say(format_args!("held by {}", held.describe())),
            None => say("nobody holds it"),
        }
        let is_answer = matches!(action, Action::Status(_)) && held.is_some();
        Ok(if is_answer {
            Exit::Locked.into()
        } else {
            ExitCode::SUCCESS
        })
    }
}
