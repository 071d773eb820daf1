//! Tasks that a deployment runs once.

use std::time::Duration;

use aws_sdk_ecs::types::Task;
use tokio::time::{Instant, sleep};

use super::{session::Session, stopped};
use crate::{
    aws::{
        apply::LOOK,
        once,
        tasks::{self, Lines},
    },
    contract,
};

/// How long a task may take.
pub(super) struct Limit {
    pub(super) seconds: u64,
    /// The key of the environment's file that says so, if one does.
    pub(super) key: Option<&'static str>,
}

/// Waits for the end of a task and tells what it writes. Past the limit it is stopped. Gives why it did not end
/// well, if so.
///
/// # Errors
/// Where AWS does not say.
pub(super) async fn end(
    session: &Session<'_>,
    kind: contract::Task,
    task: &str,
    limit: Limit,
) -> anyhow::Result<Result<(), String>> {
    let account = session.account;
    let deadline = Instant::now() + Duration::from_secs(limit.seconds);
    let mut lines = Lines::of(account, kind.name(), task);
    let arns = [task.to_owned()];
    loop {
        let found = tasks::describe(account, &session.cluster(), &arns).await?;
        tell(session, kind, &mut lines).await?;
        if let Some(ended) = found
            .iter()
            .find(|task| task.last_status.as_deref() == Some("STOPPED"))
        {
            // What was written last arrives last.
            sleep(LOOK).await;
            tell(session, kind, &mut lines).await?;
            return Ok(verdict(ended));
        }
        if Instant::now() > deadline {
            once::stop(account, task, "the deadline has passed").await?;
            let key = limit.key.map_or_else(String::new, |key| format!(", {key}"));
            let why = format!("it was stopped after {} s{key}", limit.seconds);
            return Ok(Err(why));
        }
        sleep(LOOK).await;
    }
}

async fn tell(
    session: &Session<'_>,
    kind: contract::Task,
    lines: &mut Lines,
) -> anyhow::Result<()> {
    for line in lines.next(session.account).await? {
        session.log.event("log", Some(kind.name()), line.trim_end());
    }
    Ok(())
}

fn verdict(task: &Task) -> Result<(), String> {
    let (code, reason) = tasks::end(task);
    if code == Some(0) {
        return Ok(());
    }
    Err(stopped::explained(reason, code))
}
