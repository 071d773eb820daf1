//! `cargo xtask image`: the one image that API, worker and migration run from.
//!
//! Where a container engine runs, it builds the Dockerfile. Where none does, the same image is put together here:
//! the programs over a few packages of Debian's, as an OCI layout.

mod architecture;
mod base;
mod binaries;
mod build;
mod commit;
mod config;
#[cfg(feature = "aws")]
mod ecr;
mod elf;
mod engine;
mod layers;
mod layout;
mod lock;
mod packages;
mod push;
mod registry;
mod sbom;
mod tools;
mod tree;

use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use build::{LARGEST, megabytes};

use crate::exit;

/// Build, push and pin the image that everything runs from
///
/// Example: cargo xtask image build && cargo xtask image push --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(after_help = exit::help())]
    Build(build::Arguments),
    #[command(after_help = exit::help())]
    Push(push::Arguments),
    #[command(after_help = exit::help())]
    Lock(lock::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.verb {
        Verb::Build(arguments) => crate::with_signals(|signals| build::run(arguments, signals)),
        // An upload that is cut short leaves nothing behind: signals may end it anywhere.
        Verb::Push(arguments) => push::run(arguments),
        Verb::Lock(arguments) => crate::with_signals(|signals| lock::run(arguments, signals)),
    }
}

/// SHA-256 in the notation of OCI and of lock files: hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hexadecimal(&sha2::Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
