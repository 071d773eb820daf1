//! `cargo xtask destroy`: an environment that nobody needs any more.

use crate::aws::Access;

/// Delete an environment's stacks
///
/// Everything is listed first: what goes, what stays, which data is lost. Then the environment's name has to be typed, or given
/// as --confirm. The service goes first, then migrate, platform and network. The data stack, and the network that it is
/// in, go only with --include-data, after its protection was taken off by hand; the database leaves a last snapshot. What
/// the account has once, the bootstrap stack, is never deleted. Repeated, it goes on where it stopped.
///
/// Example: cargo xtask destroy --env staging --confirm staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The environment's name once more, instead of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// The database, the cache and the secrets too
    #[arg(long)]
    include_data: bool,
    /// How many seconds to wait for whoever deploys
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_wait: u64,
}

#[cfg(feature = "aws")]
mod acting;
#[cfg(feature = "aws")]
mod listing;

#[cfg(feature = "aws")]
pub(crate) use acting::run;
