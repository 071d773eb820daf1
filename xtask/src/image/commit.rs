//! The commit that an image is made from: its labels, its times and its tag.

use std::{path::Path, process::Command};

use anyhow::Context;

pub(super) struct Commit {
    /// 40 hexadecimal digits; `-dirty` follows where files differ from it.
    pub(super) revision: String,
    /// When it was committed, in seconds since 1970.
    pub(super) seconds: u64,
    /// The same in RFC 3339, UTC.
    pub(super) created: String,
    /// What differs from it, as `git status` lists it.
    pub(super) changed: Vec<String>,
}

/// Ends the revision of an image whose sources are in no commit.
pub(super) const DIRTY: &str = "-dirty";

impl Commit {
    /// That of the checkout.
    pub(super) fn of(root: &Path) -> anyhow::Result<Self> {
        let head = git(
            root,
            &[
                "log",
                "-1",
                "--format=%H %ct %cd",
                "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
            ],
        )?;
        let mut words = head.split_whitespace();
        let mut word = || words.next().context("git log says too little");
        let (hash, seconds, created) = (word()?, word()?.parse()?, word()?.to_owned());
        let changed: Vec<String> = git(root, &["status", "--porcelain"])?
            .lines()
            .map(str::to_owned)
            .collect();
        let mark = if changed.is_empty() { "" } else { DIRTY };
        Ok(Self {
            revision: format!("{hash}{mark}"),
            seconds,
            created,
            changed,
        })
    }
}

/// The whole hash of a commit, however it is named.
///
/// # Errors
/// Where git knows no such commit.
#[cfg(feature = "aws")]
pub(crate) fn named(root: &Path, name: &str) -> anyhow::Result<String> {
    let commit = format!("{name}^{{commit}}");
    let hash = git(
        root,
        &["rev-parse", "--verify", "--end-of-options", &commit],
    )
    .with_context(|| format!("there is no commit {name}"))?;
    Ok(hash.trim().to_owned())
}

fn git(root: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(root)
        .env("TZ", "UTC")
        .output()
        .context("git cannot be run, and the image is labelled with the commit")?;
    anyhow::ensure!(
        output.status.success(),
        "git: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}
