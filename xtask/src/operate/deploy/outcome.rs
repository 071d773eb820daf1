//! The services change, and what comes of it is proven and recorded, whichever way it ends.

use std::time::Duration;

use chrono::Utc;
use tokio::time::{Instant, sleep};

use super::{
    proof,
    roll::{self, End, Source},
    session::{Session, Stage},
    smoke,
};
use crate::{
    aws::{
        apply::Started,
        releases::{self, Outcome, Release},
    },
    exit::{self, Exit, Failed},
    operate::verify::{checks::Check, resources},
    render::template::{Stack, text},
};

/// Between two looks at the alarms.
const LOOK: Duration = Duration::from_secs(10);

/// The steps roll, prove and record.
///
/// # Errors
/// [`Exit::RolledBack`] where the former release runs again, [`Exit::NeedsHuman`] where that is not proven.
pub(crate) async fn roll(
    session: &Session<'_>,
    mut release: Release,
    source: &Source,
) -> anyhow::Result<()> {
    let former = roll::running(session).await?;
    release.former = former
        .as_ref()
        .map(|former| (former.release.clone(), former.digest.clone()));
    let rolled = session
        .log
        .step("roll", async {
            // First the template, then the release that names it: a ledger never promises what it has not.
            let template = text(&source.template);
            releases::keep_template(session.account, session.bucket, &release.id, template).await?;
            let started = roll::start(session, source).await?;
            releases::record(session.account, session.bucket, &release).await?;
            roll::watch(session, &started).await
        })
        .await;
    conclude(session, release, source, former, rolled).await
}

/// Watches what another process began.
///
/// # Errors
/// As [`roll`].
pub(crate) async fn attach(
    session: &Session<'_>,
    release: Release,
    source: &Source,
) -> anyhow::Result<()> {
    session.enter(Stage::Rolling);
    let started = Started {
        stack: Stack::Service.name(session.account.environment().name),
        was_there: release.former.is_some(),
    };
    let watched = session
        .log
        .step("roll", roll::watch(session, &started))
        .await;
    let former = match &release.former {
        Some((id, digest)) if *id != "none" => {
            let template = releases::template(session.account, session.bucket, id).await;
            template.ok().map(|template| Source {
                template,
                release: id.clone(),
                digest: digest.clone(),
            })
        }
        Some(_) | None => None,
    };
    conclude(session, release, source, former, watched).await
}

async fn conclude(
    session: &Session<'_>,
    mut release: Release,
    source: &Source,
    former: Option<Source>,
    rolled: anyhow::Result<End>,
) -> anyhow::Result<()> {
    let ended = match rolled {
        Ok(End::Reached) => match session.log.step("prove", prove(session, source)).await {
            Ok(()) => Ok(()),
            Err(error) if exit::of(&error) == Exit::RolledBack => {
                take_back(session, former, error).await
            }
            Err(error) => Err(error),
        },
        Ok(End::WentBack(why)) => {
            let proven = match former {
                Some(former) => {
                    let proof = proof::services(session, &former);
                    session.log.step("prove the former release", proof).await
                }
                None => Err(anyhow::anyhow!("there is no former release")),
            };
            Err(went_back(&why, proven))
        }
        Err(error) => Err(error),
    };
    if let Err(error) = &ended
        && is_unknown(session, error)
    {
        session.goes_on.set(true);
        return Err(still_going_on(session, error));
    }
    session.enter(Stage::Before);
    release.ended = Some(Utc::now());
    release.reason = ended.as_ref().err().map(|error| format!("{error:#}"));
    release.outcome = match &ended {
        Ok(()) => Outcome::Ok,
        Err(error) if exit::of(error) == Exit::RolledBack => Outcome::RolledBack,
        Err(_) => Outcome::Failed,
    };
    let recording = releases::record(session.account, session.bucket, &release);
    if let Err(error) = session.log.step("record", recording).await {
        // What runs is proven, whether or not the ledger knows.
        let text = format!("the ledger does not have it: {error:#}");
        session.log.event("warning", None, &text);
    }
    ended
}

/// Whether it was the watching that failed, not what was watched.
fn is_unknown(session: &Session<'_>, error: &anyhow::Error) -> bool {
    let of_the_watcher = matches!(
        exit::of(error),
        Exit::Internal | Exit::Denied | Exit::StillRunning
    );
    session.stage() == Stage::Rolling && of_the_watcher
}

fn still_going_on(session: &Session<'_>, error: &anyhow::Error) -> anyhow::Error {
    let name = session.account.environment().name;
    Failed::because(
        exit::of(error),
        format!(
            "{error:#}. The services go on changing in AWS, where circuit breaker and alarms protect them; nothing is \
             recorded yet: `cargo xtask deploy --env {name} --attach` watches them, proves and records it"
        ),
    )
}

async fn prove(session: &Session<'_>, source: &Source) -> anyhow::Result<()> {
    proof::services(session, source).await?;
    let commit = proof::answers(session).await?;
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    let text = format!(
        "healthy tasks run {}; the API answers, built from commit {commit}",
        source.digest
    );
    session.log.event("proof", None, &text);
    if let Err(why) = smoke::job(session, source).await? {
        let why = format!("the release is not proven: no worker did a job: {why}");
        return Err(Failed::because(Exit::RolledBack, why));
    }
    bake(session).await
}

/// The alarms stay quiet for a while.
async fn bake(session: &Session<'_>) -> anyhow::Result<()> {
    let seconds = u64::from(session.account.environment().deploy.bake);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let may_ring = session.rolling.alarms_known;
        let alarms = resources::alarms(session.account, Stack::Service, may_ring).await?;
        let ringing: Vec<String> = alarms.iter().filter_map(Check::line).collect();
        if !ringing.is_empty() {
            return Err(Failed::because(Exit::RolledBack, ringing.join("; ")));
        }
        if Instant::now() > deadline {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// The former release is put back where AWS did not do it by itself.
async fn take_back(
    session: &Session<'_>,
    former: Option<Source>,
    why: anyhow::Error,
) -> anyhow::Result<()> {
    let why = format!("{why:#}");
    session.log.event("failed", None, &why);
    let Some(former) = former else {
        return Err(Failed::because(
            Exit::NeedsHuman,
            format!("{why}; it is the first release, so there is none to go back to"),
        ));
    };
    let going_back = async {
        let started = roll::start(session, &former).await?;
        match roll::watch(session, &started).await? {
            End::Reached => proof::services(session, &former).await,
            End::WentBack(why) => Err(anyhow::anyhow!(why)),
        }
    };
    let proven = session.log.step("take back", going_back).await;
    Err(went_back(&why, proven))
}

fn went_back(why: &str, proven: anyhow::Result<()>) -> anyhow::Error {
    match proven {
        Ok(()) => Failed::because(
            Exit::RolledBack,
            format!("{why}; the former release is proven to run"),
        ),
        Err(error) => Failed::because(
            Exit::NeedsHuman,
            format!("{why}; and the former release is not proven to run: {error:#}"),
        ),
    }
}
