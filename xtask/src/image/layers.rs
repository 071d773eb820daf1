//! The three layers of an image, in the order in which they change: rarely, sometimes, with each commit.

use std::thread;

use anyhow::{Context, anyhow};

use super::{
    base::Base,
    binaries::Binary,
    commit::Commit,
    config::HOME,
    tree::{Layer, Tree},
};
use crate::contract::USER;

/// The time of files that no commit changes, so that their layers stay what they are.
const EPOCH: u64 = 0;

/// Compresses all of them at the same time.
pub(super) fn layers(
    base: &Base,
    binaries: &[Binary],
    commit: &Commit,
) -> anyhow::Result<Vec<Layer>> {
    let programs = programs(binaries)?;
    let work = [
        (&base.system, "base", EPOCH),
        (&base.certificates, "certificates", EPOCH),
        (&programs, "programs", commit.seconds),
    ];
    thread::scope(|scope| {
        let threads =
            work.map(|(tree, name, seconds)| scope.spawn(move || tree.layer(name, seconds)));
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("compressing broke off"))?
            })
            .collect()
    })
}

fn programs(binaries: &[Binary]) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    for binary in binaries {
        tree.file(
            &format!("usr/local/bin/{}", binary.name),
            binary.bytes.as_slice(),
            0o755,
        );
    }
    let (user, _) = USER.split_once(':').context("user and group")?;
    let home = HOME.trim_start_matches('/');
    tree.folder(&format!("{home}/mail"), 0o755, user.parse()?);
    Ok(tree)
}
