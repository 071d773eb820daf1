//! `cargo xtask deploy`: one release into one environment, and the truth about what came of it.

#[cfg(feature = "aws")]
mod attach;
#[cfg(feature = "aws")]
mod image;
#[cfg(feature = "aws")]
mod interruption;
#[cfg(feature = "aws")]
pub(crate) mod log;
#[cfg(feature = "aws")]
pub(crate) mod migration;
#[cfg(feature = "aws")]
pub(crate) mod outcome;
#[cfg(feature = "aws")]
pub(crate) mod proof;
#[cfg(feature = "aws")]
pub(crate) mod roll;
#[cfg(feature = "aws")]
pub(crate) mod session;
#[cfg(feature = "aws")]
mod smoke;
#[cfg(feature = "aws")]
pub(crate) mod steps;
#[cfg(any(feature = "aws", test))]
pub(crate) mod stopped;
#[cfg(feature = "aws")]
mod task;

use crate::{aws::Access, checkout::Checkout, git, operate::plan::digest};

/// Deploy an image: check, migrate, roll, prove, record
///
/// Twelve steps, each with its seconds. Nothing is changed before all checks have passed; the services change last, and
/// only after the migration has ended well. Success means that healthy targets run this very image: what AWS says of
/// its own success does not count. A deployment that fails is taken back, and the former release is proven too.
///
/// Ctrl-C before the services change ends it; while they change, AWS goes on by itself and `--attach` watches it again.
///
/// Example: cargo xtask image push --env staging && cargo xtask deploy --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The image's digest, as it was pushed; that of the checkout's commit unless given
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    image: Option<String>,
    /// The commit whose image is deployed, as git names it; the checkout's unless given
    #[arg(long, value_name = "COMMIT", conflicts_with = "image")]
    commit: Option<String>,
    #[command(flatten)]
    rolling: Rolling,
    /// Check everything, show the plan, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Watch the deployment that is under way, prove it and record it
    #[arg(long, conflicts_with_all = ["image", "commit", "dry_run"])]
    attach: bool,
}

impl Arguments {
    /// A release is written down with the commit that it is of. `--attach` reads it from there.
    ///
    /// # Errors
    /// [`crate::exit::Exit::Usage`] where Git does not know the checkout.
    pub(crate) fn need_a_commit(&self) -> anyhow::Result<()> {
        if self.attach {
            return Ok(());
        }
        git::knows(&Checkout::find()?.root)
    }
}

/// How a release is rolled.
#[derive(clap::Args, Clone)]
pub(crate) struct Rolling {
    /// How many seconds to wait for whoever else deploys
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) lock_wait: u64,
    /// After how many seconds a release that is not proven is taken back; the environment's own unless given
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// What becomes of a release that is rolling when this is interrupted
    #[arg(long, value_enum, default_value_t = OnInterrupt::Detach)]
    pub(crate) on_interrupt: OnInterrupt,
    /// Where the API is asked after the roll; the environment's own address unless given
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Alarms may ring before the deployment
    #[arg(long)]
    pub(crate) alarms_known: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum OnInterrupt {
    /// AWS goes on by itself
    Detach,
    /// AWS is told to go back
    Rollback,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::aws;

    arguments.need_a_commit()?;
    let log = log::Log::new(arguments.access.json, 12);
    let ended = if arguments.attach {
        aws::wait(attach::watch(arguments, &log, signals))
    } else {
        aws::wait(steps::deploy(arguments, &log, signals))
    };
    log.result(&ended);
    ended.map(|()| std::process::ExitCode::SUCCESS)
}
