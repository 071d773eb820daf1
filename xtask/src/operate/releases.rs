//! `cargo xtask releases`: what was released, when, by whom, and what came of it.

use crate::aws::Access;

/// List what was released, the newest first
///
/// Example: cargo xtask releases --env production --limit 5
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// How many
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use std::io::Write;

    use crate::{
        aws::{self, account::Account, releases, state},
        progress::say,
    };

    let found = aws::wait(aws::until(signals, async {
        let account = Account::open(&arguments.access).await?;
        let bucket = state::bucket(&account).await?;
        releases::newest(&account, &bucket, arguments.limit).await
    }))?;
    if arguments.access.json {
        let whole = serde_json::json!({"releases": found});
        writeln!(std::io::stdout(), "{whole}")?;
    }
    for release in &found {
        say(release.line());
    }
    if found.is_empty() {
        say("nothing was released yet");
    }
    Ok(std::process::ExitCode::SUCCESS)
}
