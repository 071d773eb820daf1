//! The migration, as a task of its own: the services change only after it has ended well.

use super::{
    session::{Session, Stage},
    task::{self, Limit},
};
use crate::{
    aws::{once, tasks},
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
    let limit = Limit {
        seconds: session.account.environment().migrate.timeout.into(),
        key: Some("migrate.timeout"),
    };
    let ended = task::end(session, contract::Task::Migrate, &task, limit).await;
    session.enter(Stage::Before);
    ended?.map_err(|why| failed(&why))
}

/// Asked twice for the same release, ECS starts one task.
async fn start(session: &Session<'_>, release: &str) -> anyhow::Result<String> {
    let kind = once::kind(session.account, contract::Task::Migrate).await?;
    let started = once::start(session.account, kind, release, &[]).await?;
    started.map_err(|why| failed(&why))
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
