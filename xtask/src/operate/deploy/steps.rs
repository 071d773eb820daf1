//! The twelve steps, in their order.

use anyhow::Context;
use chrono::Utc;

use super::{
    Arguments, image,
    interruption::untouched,
    log::Log,
    migration, outcome,
    roll::{self, Source},
    session::{Place, Session, Stage},
};
use crate::{
    aws::{
        account::Account,
        apply, parameters,
        releases::{Outcome, Release},
        stacks::Wanted,
        state, until,
    },
    checkout::Checkout,
    environments::Name,
    exit::{Exit, Failed},
    git,
    operate::{
        plan,
        verify::{checks, resources},
    },
    release::verdict::{self, Verdict},
    render::{self, template::Stack},
    signals::Signals,
};

/// What every release needs before it migrates, in order.
const BASE: [Stack; 3] = [Stack::Network, Stack::Data, Stack::Platform];

/// What deployments change; the account's own stack has a verb of its own.
const STACKS: [Stack; 5] = [
    Stack::Network,
    Stack::Data,
    Stack::Platform,
    Stack::Migrate,
    Stack::Service,
];

/// # Errors
/// With the exit code that says what is left.
pub(super) async fn deploy(
    arguments: &Arguments,
    log: &Log,
    signals: &Signals,
) -> anyhow::Result<()> {
    let checkout = Checkout::find()?;
    let preflight = async {
        let account = Account::open(&arguments.access).await?;
        let head = commit(&checkout, account.environment().name)?;
        let bucket = state::bucket(&account).await?;
        let chosen = image::chosen(arguments, &account, &checkout.root, head).await?;
        Ok((account, chosen, bucket))
    };
    let begun = log.step("preflight", until(signals, preflight)).await;
    let (account, (digest, commit), bucket) = untouched(log, begun)?;
    let release = Release {
        id: format!("{}-{commit}", Utc::now().format("%Y%m%dT%H%M%SZ")),
        commit,
        digest,
        who: account.caller.clone(),
        rollback_to: None,
        migrations: migration::names(&checkout.root)?,
        verdict: verdict(&checkout, log)?,
        former: None,
        started: Utc::now(),
        ended: None,
        outcome: Outcome::Rolling,
        reason: None,
    };
    let place = Place {
        account: &account,
        bucket: &bucket,
        log,
        rolling: &arguments.rolling,
        signals,
    };
    if arguments.dry_run {
        return rehearse(&place, &checkout, &release).await;
    }
    log.release(&release.id);
    let why = format!("deploying {}", release.id);
    let id = release.id.clone();
    place
        .locked(&why, &id, async |session| {
            everything(session, &place, &checkout, release).await
        })
        .await
}

/// What the migration gate said of this checkout. A release that it refused does not go out.
fn verdict(checkout: &Checkout, log: &Log) -> anyhow::Result<Option<Verdict>> {
    let verdict = verdict::of(checkout)?;
    let text = match &verdict {
        None => "`cargo xtask release check` was not asked about this commit: a rollback over new migrations \
                 will be refused"
            .to_owned(),
        Some(verdict) if !verdict.passed => {
            return Err(Failed::because(
                Exit::Refused,
                "`cargo xtask release check` refused this commit: see what it says",
            ));
        }
        Some(verdict) if verdict.rollback_safe => format!("a rollback is safe: {}", verdict.why),
        Some(verdict) => format!("a rollback is not safe: {}", verdict.why),
    };
    log.event("gate", None, &text);
    Ok(verdict)
}

/// Step 3 to 12.
async fn everything(
    session: &Session<'_>,
    place: &Place<'_>,
    checkout: &Checkout,
    release: Release,
) -> anyhow::Result<()> {
    let log = session.log;
    log.step("triage", triage(session)).await?;
    checked(place, Some(session), checkout, &release.digest).await?;
    log.step("base stacks", base(session)).await?;
    log.step("migrate", migrate(session, &release)).await?;
    let source = Source {
        template: fresh(session.account, Stack::Service)?,
        release: release.id.clone(),
        digest: release.digest.clone(),
    };
    outcome::roll(session, release, &source).await
}

/// Steps 4 to 7 and no more.
async fn rehearse(place: &Place<'_>, checkout: &Checkout, release: &Release) -> anyhow::Result<()> {
    checked(place, None, checkout, &release.digest).await?;
    place.log.event(
        "dry run",
        None,
        "every check has passed; nothing was changed",
    );
    Ok(())
}

/// Steps 4 to 7, which change nothing.
async fn checked(
    place: &Place<'_>,
    session: Option<&Session<'_>>,
    checkout: &Checkout,
    digest: &str,
) -> anyhow::Result<()> {
    let Place { account, log, .. } = place;
    log.step("image", is_there(account, digest)).await?;
    log.step("render", async { rendered(checkout, place.signals) })
        .await?;
    let enter = |stage| {
        if let Some(session) = session {
            session.enter(stage);
        }
    };
    enter(Stage::Planning);
    let planned = log.step("plan", planned(place, digest)).await;
    enter(Stage::Before);
    // The plan hears of a signal itself, for it has change sets to take away.
    untouched(log, planned)?;
    let alarms_known = place.rolling.alarms_known;
    log.step("verify", verified(account, alarms_known)).await
}

pub(crate) async fn triage(session: &Session<'_>) -> anyhow::Result<()> {
    for stack in STACKS {
        apply::ready(session.account, stack, session.patience()).await?;
    }
    Ok(())
}

async fn is_there(account: &Account, digest: &str) -> anyhow::Result<()> {
    refuse(&[resources::image(account, digest).await?])
}

/// What is committed is what would be rendered: whoever reviewed it has seen what is deployed.
fn rendered(checkout: &Checkout, signals: &Signals) -> anyhow::Result<()> {
    if render::is_up_to_date(checkout, signals)? {
        return Ok(());
    }
    Err(Failed::because(
        Exit::Refused,
        "infra/rendered is stale: run `cargo xtask render`, look at it and commit it",
    ))
}

async fn planned(place: &Place<'_>, digest: &str) -> anyhow::Result<()> {
    let plan = plan::asking::plan(place.account, Some(digest), place.signals).await?;
    plan::report::show(&plan, false)?;
    if plan.refused.is_empty() {
        return Ok(());
    }
    Err(Failed::because(Exit::Refused, plan.refused.join("; ")))
}

/// Everything that is there already. What is not will be made by this deployment, but for the account's own stack.
async fn verified(account: &Account, alarms_known: bool) -> anyhow::Result<()> {
    let asked = checks::Asked {
        image: None,
        alarms_known,
        before_deploying: true,
    };
    refuse(&checks::all(account, &asked).await?)
}

pub(crate) fn refuse(found: &[checks::Check]) -> anyhow::Result<()> {
    let wrong: Vec<String> = found.iter().filter_map(checks::Check::line).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failed::because(
        Exit::Refused,
        format!(
            "the services were not touched, for\n  {}",
            wrong.join("\n  ")
        ),
    ))
}

async fn base(session: &Session<'_>) -> anyhow::Result<()> {
    let account = session.account;
    for stack in BASE {
        bring(session, stack, None).await?;
        let policy = (stack == Stack::Data).then(|| render::data::stack_policy().to_string());
        apply::protect(account, stack, policy).await?;
    }
    // Now all of it must be there, and not only what was before.
    verified(account, true).await
}

async fn migrate(session: &Session<'_>, release: &Release) -> anyhow::Result<()> {
    bring(session, Stack::Migrate, Some(release)).await?;
    migration::run(session, &release.id).await
}

/// One stack, to what its template says.
async fn bring(
    session: &Session<'_>,
    stack: Stack,
    release: Option<&Release>,
) -> anyhow::Result<()> {
    let account = session.account;
    let existing = apply::ready(account, stack, session.patience()).await?;
    let template = fresh(account, stack)?;
    let given = release.map(|release| roll::given(&release.id, &release.digest));
    let wanted = Wanted {
        stack,
        template: &template,
        given: given.unwrap_or_default(),
        topic: parameters::kept(account, Stack::Bootstrap, "topic-arn").await?,
    };
    session.lock.is_held()?;
    let token = release.map_or_else(
        || format!("base-{}", Utc::now().timestamp()),
        |release| release.id.clone(),
    );
    let started = apply::start(account, &wanted, existing.as_ref(), &token).await?;
    let Some(started) = started else {
        session.log.event(
            "stack",
            None,
            &format!("{} is as it should be", stack.as_str()),
        );
        return Ok(());
    };
    session.enter(Stage::Stack(started.stack.clone()));
    let ended = apply::finish(account, &started).await;
    session.enter(Stage::Before);
    ended?;
    let done = if started.was_there { "changed" } else { "made" };
    session
        .log
        .event("stack", None, &format!("{} is {done}", stack.as_str()));
    Ok(())
}

/// As this checkout renders it.
pub(super) fn fresh(account: &Account, stack: Stack) -> anyhow::Result<serde_json::Value> {
    let found = account
        .rendered
        .stacks
        .iter()
        .find(|(other, _)| *other == stack);
    let (_, template) =
        found.with_context(|| format!("no {} stack is rendered", stack.as_str()))?;
    Ok(template.to_value())
}

/// Short, of the checkout. Production is deployed from what is committed.
fn commit(checkout: &Checkout, name: Name) -> anyhow::Result<String> {
    if name == Name::Production && !git::changes(&checkout.root)?.is_empty() {
        return Err(Failed::because(
            Exit::Usage,
            "production is deployed from what is committed, and this checkout has changes: `git status` lists them",
        ));
    }
    let short = git::ask(&checkout.root, &["rev-parse", "--short=8", "HEAD"])?;
    Ok(short.trim().to_owned())
}
