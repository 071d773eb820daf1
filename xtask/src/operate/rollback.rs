//! `cargo xtask rollback`: a former release again.

use crate::{aws::Access, operate::deploy::Rolling};

/// Go back to a release that ran well
///
/// The services get the former image, template and settings; stacks below them and the database's schema stay as they
/// are. Where the schema has changed since, that is refused, unless `cargo xtask release check` has seen the older
/// programs work on it. It is rolled and proven like every release.
///
/// Example: cargo xtask rollback --env production
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(flatten)]
    access: Access,
    /// The release, as `cargo xtask releases` names it; the last good one before what runs unless given
    #[arg(long, value_name = "RELEASE")]
    to: Option<String>,
    /// Go back although the schema has changed since
    #[arg(long)]
    i_know_schema: bool,
    #[command(flatten)]
    rolling: Rolling,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{aws, operate::deploy::log::Log};

    let log = Log::new(arguments.access.json, 7);
    let ended = aws::wait(going_back::go(arguments, &log, signals));
    log.result(&ended);
    ended.map(|()| std::process::ExitCode::SUCCESS)
}

#[cfg(any(feature = "aws", test))]
mod choice;

#[cfg(feature = "aws")]
mod going_back {
    use anyhow::Context;
    use chrono::Utc;

    use super::{Arguments, choice};
    use crate::{
        aws::{
            account::Account,
            releases::{self, Outcome, Release},
            state, until,
        },
        exit::{Exit, Failed},
        operate::{
            deploy::{
                log::Log,
                outcome,
                roll::Source,
                session::{Place, Session},
                steps,
            },
            verify::resources,
        },
        signals::Signals,
    };

    /// As far as the ledger is looked through.
    const FAR: usize = 200;

    pub(super) async fn go(
        arguments: &Arguments,
        log: &Log,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let preflight = async {
            let account = Account::open(&arguments.access).await?;
            let bucket = state::bucket(&account).await?;
            let ledger = releases::newest(&account, &bucket, FAR).await?;
            Ok((account, bucket, ledger))
        };
        let (account, bucket, ledger) = log.step("preflight", until(signals, preflight)).await?;
        let target = choice::choose(&ledger, arguments.to.as_deref())
            .map_err(|why| Failed::because(Exit::Refused, why))?;
        if !arguments.i_know_schema
            && let Some(why) = choice::unsafe_schema(&ledger, target)
        {
            return Err(Failed::because(Exit::Refused, why));
        }
        let release = Release {
            id: format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), target.commit),
            who: account.caller.clone(),
            rollback_to: Some(target.id.clone()),
            migrations: choice::schema(&ledger).into_iter().collect(),
            // Nobody has tried what would be gone back to from here.
            verdict: None,
            former: None,
            started: Utc::now(),
            ended: None,
            outcome: Outcome::Rolling,
            reason: None,
            ..target.clone()
        };
        log.release(&release.id);
        let why = format!("going back to {}", target.id);
        let id = release.id.clone();
        let place = Place {
            account: &account,
            bucket: &bucket,
            log,
            rolling: &arguments.rolling,
            signals,
        };
        place
            .locked(&why, &id, async |session| {
                again(session, release, &target.id).await
            })
            .await
    }

    async fn again(session: &Session<'_>, release: Release, target: &str) -> anyhow::Result<()> {
        let log = session.log;
        log.step("triage", steps::triage(session)).await?;
        let template = log
            .step("image", async {
                let image = resources::image(session.account, &release.digest).await?;
                let mut checks = resources::awake(session.account).await?;
                checks.push(image);
                steps::refuse(&checks)?;
                releases::template(session.account, session.bucket, target)
                    .await
                    .context("the ledger lacks what the release was made from")
            })
            .await?;
        let source = Source {
            template,
            release: release.id.clone(),
            digest: release.digest.clone(),
        };
        outcome::roll(session, release, &source).await
    }
}
