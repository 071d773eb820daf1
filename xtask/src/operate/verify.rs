//! `cargo xtask verify`: whether everything is there that a deployment only names.

#[cfg(feature = "aws")]
pub(crate) mod checks;
#[cfg(feature = "aws")]
pub(crate) mod resources;
#[cfg(feature = "aws")]
pub(crate) mod secrets;

use crate::aws::Access;

/// Check that everything is there that a deployment only names
///
/// The stacks and what they keep for each other, the secrets (never their values), the image, the certificate, the
/// log groups, the target group, the cluster and the alarms, none of which may ring. Everything that is wrong is told
/// at once, each with its next step, and then the exit code is 3. Nothing is changed.
///
/// Not looked at, for want of permission or of an API that is cheap to carry: free addresses of subnets, quotas of
/// Fargate, the database's own state.
///
/// Example: cargo xtask verify --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The image's digest, sha256:…; the one that runs unless given
    #[arg(long, value_name = "DIGEST", value_parser = crate::operate::plan::digest)]
    image: Option<String>,
    /// Alarms may ring
    #[arg(long)]
    alarms_known: bool,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{aws, exit::Exit};

    let asked = checks::Asked {
        image: arguments.image.clone(),
        alarms_known: arguments.alarms_known,
        before_deploying: false,
    };
    let checks = aws::wait(aws::until(signals, async {
        let account = aws::account::Account::open(&arguments.access).await?;
        checks::all(&account, &asked).await
    }))?;
    checks::show(&checks, arguments.access.environment, arguments.access.json)?;
    if checks.iter().all(checks::Check::is_fine) {
        Ok(std::process::ExitCode::SUCCESS)
    } else {
        Ok(Exit::Refused.into())
    }
}
