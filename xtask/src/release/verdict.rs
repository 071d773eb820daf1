//! What a check came to: for whoever reads it, for a pipeline, and for the release that is deployed next.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkout::Checkout;

/// Below the target folder: what the last check said.
const FILE: &str = "release-check.json";

/// What is kept of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// 40 hexadecimal digits.
    pub(crate) commit: String,
    /// The release that it was compared with, likewise; `None` where there was none.
    pub(crate) against: Option<String>,
    /// Whether the release may go out.
    pub(crate) passed: bool,
    /// Whether the programs of `against` were seen to work on this release's schema.
    pub(crate) rollback_safe: bool,
    pub(crate) why: String,
}

/// Where a check leaves what it found.
fn file(checkout: &Checkout) -> PathBuf {
    checkout.target.join(FILE)
}

/// Removes what an earlier check found, so that one which ends before it has found anything leaves nothing of another
/// commit's behind.
///
/// # Errors
/// Where the file is there and cannot be removed.
pub(super) fn forget(checkout: &Checkout) -> anyhow::Result<()> {
    match fs::remove_file(file(checkout)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps it, with all that was seen.
///
/// # Errors
/// Where the file cannot be written.
pub(super) fn keep(checkout: &Checkout, whole: &Value) -> anyhow::Result<()> {
    fs::create_dir_all(&checkout.target)?;
    // Whole or not at all, for a deployment may read it.
    let draft = file(checkout).with_extension("draft");
    fs::write(&draft, format!("{whole:#}\n"))?;
    fs::rename(draft, file(checkout))?;
    Ok(())
}

/// What a check said of this very checkout, if one was made and no file was changed since.
///
/// # Errors
/// Where git does not tell what this checkout is.
#[cfg(feature = "aws")]
pub(crate) fn of(checkout: &Checkout) -> anyhow::Result<Option<Verdict>> {
    let (head, is_clean) = super::git::head(&checkout.root)?;
    let text = fs::read_to_string(file(checkout)).unwrap_or_default();
    let verdict = serde_json::from_str(&text).ok();
    Ok(verdict.filter(|verdict: &Verdict| is_clean && verdict.commit == head))
}
