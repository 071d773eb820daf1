//! `cargo xtask repair`: what a stuck stack needs.

use crate::{aws::Access, render::template::Stack};

/// Tell what is wrong with a stuck stack, and do what is safe
///
/// Each stack's state, the first failure that led to it and what it means; then the one next step that loses nothing,
/// which is done after `--yes` or a typed confirmation, with the environment's lock. Without one nothing changes and the
/// exit code is 8; where nothing is stuck it is 0.
///
/// Example: cargo xtask repair --env production --stack service --yes
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// One stack only: network, data, platform, migrate, service or bootstrap
    #[arg(long, value_name = "STACK", value_parser = stack)]
    stack: Option<Stack>,
    /// Resources to leave as they are, by their logical ids: neither taken back nor deleted
    #[arg(long, value_name = "ID", value_delimiter = ',', requires = "stack")]
    skip_resources: Vec<String>,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

fn stack(text: &str) -> Result<Stack, String> {
    const ALL: [Stack; 6] = [
        Stack::Bootstrap,
        Stack::Network,
        Stack::Data,
        Stack::Platform,
        Stack::Migrate,
        Stack::Service,
    ];
    let found = ALL.into_iter().find(|stack| stack.as_str() == text);
    found.ok_or_else(|| format!("there are {}", ALL.map(Stack::as_str).join(", ")))
}

#[cfg(feature = "aws")]
mod acting;

#[cfg(feature = "aws")]
pub(crate) use acting::run;
