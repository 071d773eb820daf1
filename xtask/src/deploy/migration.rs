//! The migration, as a task of its own: the services change only after it has ended well.

use std::time::Duration;

use aws_sdk_ecs::types::Task;
use tokio::time::{Instant, sleep};

use super::{
    session::{Session, Stage},
    stopped,
};
use crate::{
    aws::{
        apply::LOOK,
        once,
        tasks::{self, Lines},
    },
    contract,
    exit::{Exit, Failed},
};

/// Runs it to its end, with what it writes.
///
/// # Errors
/// [`Exit::MigrationFailed`] with the reason. The services were not touched then.
pub(crate) async fn run(session: &Session<'_>, release: &str) -> anyhow::Result<()> {
    session.lock.is_held()?;
    let task = start(session, release).await?;
    session.enter(Stage::Migrating(task.clone()));
    let text = format!("task {} started", tasks::short(&task));
    session.log.event("task", Some("migrate"), &text);
    let ended = watch(session, &task).await;
    session.enter(Stage::Before);
    ended
}

/// Asked twice for the same release, ECS starts one task.
async fn start(session: &Session<'_>, release: &str) -> anyhow::Result<String> {
    let kind = once::kind(session.account, contract::Task::Migrate).await?;
    let started = once::start(session.account, kind, release, &[]).await?;
    started.map_err(|why| failed(&why))
}

async fn watch(session: &Session<'_>, task: &str) -> anyhow::Result<()> {
    let patience = session.account.environment().migrate.timeout;
    let deadline = Instant::now() + Duration::from_secs(u64::from(patience));
    let mut lines = Lines::of(session.account, "migrate", task);
    let arns = [task.to_owned()];
    loop {
        let found = tasks::describe(session.account, &session.cluster(), &arns).await?;
        tell(session, &mut lines).await?;
        if let Some(ended) = found
            .iter()
            .find(|task| task.last_status.as_deref() == Some("STOPPED"))
        {
            // What was written last arrives last.
            sleep(LOOK).await;
            tell(session, &mut lines).await?;
            return verdict(ended);
        }
        if Instant::now() > deadline {
            once::stop(session.account, task, "the deadline has passed").await?;
            return Err(failed(&format!(
                "it was stopped after {patience} s, migrate.timeout"
            )));
        }
        sleep(LOOK).await;
    }
}

async fn tell(session: &Session<'_>, lines: &mut Lines) -> anyhow::Result<()> {
    for line in lines.next(session.account).await? {
        session.log.event("log", Some("migrate"), line.trim_end());
    }
    Ok(())
}

fn verdict(task: &Task) -> anyhow::Result<()> {
    let containers = task.containers.as_deref().unwrap_or_default();
    let code = containers.iter().find_map(|container| container.exit_code);
    if code == Some(0) {
        return Ok(());
    }
    let of_container = containers
        .iter()
        .find_map(|container| container.reason.as_deref());
    let reason = of_container.or(task.stopped_reason.as_deref());
    Err(failed(&stopped::explained(
        reason.unwrap_or("it ended without a reason"),
        code,
    )))
}

fn failed(why: &str) -> anyhow::Error {
    Failed::because(
        Exit::MigrationFailed,
        format!("the migration failed: {why}. The services were not touched; it can be run again"),
    )
}

/// The names of the checkout's migrations, in order.
///
/// # Errors
/// Where they cannot be listed.
pub(super) fn names(root: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("migrations"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".sql").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}
