//! The commit that an image is made from: its labels, its times and its tag.

use std::path::Path;

use anyhow::Context;

use crate::git;

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
    ///
    /// # Errors
    /// [`crate::exit::Exit::Usage`] where Git knows none.
    pub(super) fn of(root: &Path) -> anyhow::Result<Self> {
        git::knows(root)?;
        let line = [
            "log",
            "-1",
            "--format=%H %ct %cd",
            "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
        ];
        let head = git::ask(root, &line)?;
        let mut words = head.split_whitespace();
        let mut word = || words.next().context("git log says too little");
        let (hash, seconds, created) = (word()?, word()?.parse()?, word()?.to_owned());
        let changed = git::changes(root)?;
        let mark = if changed.is_empty() { "" } else { DIRTY };
        Ok(Self {
            revision: format!("{hash}{mark}"),
            seconds,
            created,
            changed,
        })
    }
}
