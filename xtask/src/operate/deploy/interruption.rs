//! What becomes of a deployment that somebody interrupts.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    OnInterrupt,
    log::Log,
    roll,
    session::{Session, Stage},
};
use crate::{
    aws::{self, once},
    signals::{Interrupted, Signals},
};

/// What a migration may still do after the first signal.
const GRACE: Duration = Duration::from_secs(10);

/// A second signal within this means: go back.
const SECOND: Duration = Duration::from_secs(5);

/// Signals this close to the first are the same one: a process and its group are told of it.
const SAME: Duration = Duration::from_millis(500);

/// Waits for a signal. While a plan is made, it is the plan's.
pub(super) async fn awaited(session: &Session<'_>, signals: &Signals) -> Interrupted {
    loop {
        if session.stage() != Stage::Planning
            && let Err(interrupted) = signals.wait(Duration::ZERO)
        {
            return interrupted;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Says what goes on and what does not, and ends what would be left half done.
pub(super) async fn act(
    session: &Session<'_>,
    signals: &Signals,
    signal: Interrupted,
) -> Interrupted {
    let log = session.log;
    let stage = session.stage();
    let name = session.account.environment().name;
    match stage {
        Stage::Before | Stage::Planning => {
            log.event("interrupted", None, "nothing was changed");
        }
        Stage::Stack(stack) => {
            let text = format!(
                "CloudFormation goes on with {stack}; the services were not touched. Deploy again: it waits for the end"
            );
            log.event("interrupted", None, &text);
        }
        Stage::Migrating(task) => stop(session, signals, &task).await,
        Stage::Rolling => {
            let text = format!(
                "the services go on changing in AWS; circuit breaker and alarms protect them. \
                 `cargo xtask deploy --env {name} --attach` watches them; once more within 5 s takes them back"
            );
            log.event("interrupted", None, &text);
            let again = again(signals).await;
            if again || session.rolling.on_interrupt == OnInterrupt::Rollback {
                log.event("interrupted", None, "the services are told to go back");
                roll::stop(session).await;
            }
            session.goes_on.set(true);
        }
    }
    signal
}

/// Says so where it was a signal that ended `done`, which changes nothing.
pub(super) fn untouched<T>(log: &Log, done: anyhow::Result<T>) -> anyhow::Result<T> {
    if let Err(error) = &done
        && error.is::<Interrupted>()
    {
        log.event("interrupted", None, "nothing was changed");
    }
    done
}

/// Whether somebody asks once more.
async fn again(signals: &Signals) -> bool {
    let same = Instant::now() + SAME;
    while timeout_at(same, aws::interruption(signals)).await.is_ok() {}
    timeout(SECOND, aws::interruption(signals)).await.is_ok()
}

/// Its transaction is rolled back where it does not end by itself.
async fn stop(session: &Session<'_>, signals: &Signals, task: &str) {
    let text = "the migration has 10 s to end, then it is stopped and its transaction rolled back";
    session.log.event("interrupted", None, text);
    let grace = Instant::now() + SAME;
    while timeout_at(grace, aws::interruption(signals)).await.is_ok() {}
    drop(timeout(GRACE, aws::interruption(signals)).await);
    let stopped = once::stop(session.account, task, "interrupted by the operator").await;
    let text = match stopped {
        Ok(_) => "the migration was stopped; the services were not touched".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    session.log.event("interrupted", None, &text);
}
