//! Which image is deployed, where its digest is not given.

use std::path::Path;

use super::Arguments;
use crate::{
    aws::account::Account,
    exit::{Exit, Failed},
    git,
    operate::verify::resources,
};

/// The digest, and the commit that the image was made from in eight digits.
///
/// # Errors
/// [`Exit::Refused`] where the repository has no image of the commit, [`Exit::Usage`] where there is no such commit.
pub(super) async fn chosen(
    arguments: &Arguments,
    account: &Account,
    root: &Path,
    head: String,
) -> anyhow::Result<(String, String)> {
    if let Some(digest) = &arguments.image {
        return Ok((digest.clone(), head));
    }
    let wanted = arguments.commit.as_deref().unwrap_or("HEAD");
    let commit = git::find(root, wanted)
        .ok_or_else(|| Failed::because(Exit::Usage, format!("there is no commit {wanted}")))?;
    let short = commit.get(..8).unwrap_or(&commit).to_owned();
    let digest = resources::tagged(account, &commit).await?;
    let digest = digest.ok_or_else(|| {
        let name = account.environment().name;
        let why = format!(
            "the repository has no image of commit {short}: make and push it with `cargo xtask image build` and \
             `cargo xtask image push --env {name}`, or name another with --image or --commit"
        );
        Failed::because(Exit::Refused, why)
    })?;
    Ok((digest, short))
}
