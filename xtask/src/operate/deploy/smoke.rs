//! Whether the worker of a release does jobs, which its health alone does not tell.

use super::{
    roll::Source,
    session::Session,
    task::{self, Limit},
};
use crate::{
    aws::{once, tasks},
    contract::Task,
};

/// The task waits a minute for the job; before that it is placed, and its image fetched.
const LIMIT: Limit = Limit {
    seconds: 240,
    key: None,
};

/// Has one job done by a task of the worker's own definition. Gives why it was not, if so.
///
/// # Errors
/// Where AWS does not answer.
pub(super) async fn job(
    session: &Session<'_>,
    source: &Source,
) -> anyhow::Result<Result<(), String>> {
    let kind = once::kind(session.account, Task::Worker).await?;
    let id = format!("{}-smoke", source.release);
    let command = ["taskhub-worker", "smoke"].map(str::to_owned);
    let started = match once::start(session.account, kind, &id, &command).await? {
        Ok(task) => task,
        Err(why) => return Ok(Err(why)),
    };
    let text = format!("task {} has a job done", tasks::short(&started));
    session.log.event("task", Some("worker"), &text);
    task::end(session, Task::Worker, &started, LIMIT).await
}
