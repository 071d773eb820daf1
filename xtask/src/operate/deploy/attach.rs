//! A deployment whose watcher has gone: another one takes its place.

use super::{Arguments, log::Log, outcome, roll::Source, session::Place};
use crate::{
    aws::{
        account::Account,
        releases::{self, Outcome},
        state, until,
    },
    exit::{Exit, Failed},
    signals::Signals,
};

/// Watches what was begun and is not recorded as ended, proves it and records it.
///
/// # Errors
/// As [`super::steps::deploy`]; [`Exit::Refused`] where nothing is under way.
pub(super) async fn watch(
    arguments: &Arguments,
    log: &Log,
    signals: &Signals,
) -> anyhow::Result<()> {
    let preflight = async {
        let account = Account::open(&arguments.access).await?;
        let bucket = state::bucket(&account).await?;
        Ok((account, bucket))
    };
    let (account, bucket) = log.step("preflight", until(signals, preflight)).await?;
    let newest = releases::newest(&account, &bucket, 1).await?;
    let release = newest
        .into_iter()
        .find(|release| release.outcome == Outcome::Rolling)
        .ok_or_else(|| {
            Failed::because(
                Exit::Refused,
                "no release is under way: `cargo xtask status`",
            )
        })?;
    log.release(&release.id);
    let source = Source {
        template: releases::template(&account, &bucket, &release.id).await?,
        release: release.id.clone(),
        digest: release.digest.clone(),
    };
    let place = Place {
        account: &account,
        bucket: &bucket,
        log,
        rolling: &arguments.rolling,
        signals,
    };
    let why = format!("watching {}", release.id);
    let id = release.id.clone();
    place
        .locked(&why, &id, async |session| {
            outcome::attach(session, release, &source).await
        })
        .await
}
