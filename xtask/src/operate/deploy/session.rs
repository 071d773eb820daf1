//! What the steps of one deployment share.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use super::{Rolling, interruption, log::Log};
use crate::{
    aws::{
        account::Account,
        lock::{Holder, Lock},
        until,
    },
    signals::Signals,
};

/// What an interruption would interrupt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Nothing has changed yet.
    Before,
    /// The change sets of a plan are open, and are taken away first.
    Planning,
    /// CloudFormation changes this stack.
    Stack(String),
    /// This task migrates.
    Migrating(String),
    /// The services change.
    Rolling,
}

/// Where something is deployed to, and how.
pub(crate) struct Place<'a> {
    pub(crate) account: &'a Account,
    pub(crate) bucket: &'a str,
    pub(crate) log: &'a Log,
    pub(crate) rolling: &'a Rolling,
    pub(crate) signals: &'a Signals,
}

impl Place<'_> {
    /// Runs `work` with the lock, and gives it back unless something goes on in AWS.
    ///
    /// # Errors
    /// Those of `work`; [`crate::exit::Exit::Locked`] where somebody else has the lock.
    pub(crate) async fn locked(
        &self,
        why: &str,
        release: &str,
        work: impl AsyncFnOnce(&Session<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let patience = Duration::from_secs(self.rolling.lock_wait);
        let holder = Holder::new(&self.account.caller, why, Some(release));
        let taking = Lock::take(self.account, self.bucket, holder, patience);
        let taken = self.log.step("lock", until(self.signals, taking)).await;
        let lock = interruption::untouched(self.log, taken)?;
        let session = Session {
            account: self.account,
            bucket: self.bucket,
            log: self.log,
            rolling: self.rolling,
            lock: &lock,
            stage: RefCell::new(Stage::Before),
            goes_on: Cell::new(false),
        };
        let ended = tokio::select! {
            ended = work(&session) => ended,
            never = lock.keep() => match never {},
            signal = interruption::awaited(&session, self.signals) => {
                Err(interruption::act(&session, self.signals, signal).await.into())
            }
        };
        let goes_on = session.goes_on.get();
        let ending = async {
            if goes_on {
                lock.leave().await
            } else {
                lock.release().await
            }
        };
        if let Err(error) = ending.await {
            // What came of the deployment is more important.
            let text = format!("the lock ends with its lease: {error:#}");
            self.log.event("warning", None, &text);
        }
        ended
    }
}

/// What the steps have while they hold the lock.
pub(crate) struct Session<'a> {
    pub(crate) account: &'a Account,
    pub(crate) bucket: &'a str,
    pub(crate) log: &'a Log,
    pub(crate) rolling: &'a Rolling,
    pub(crate) lock: &'a Lock<'a>,
    stage: RefCell<Stage>,
    /// What is begun goes on in AWS, so the lock is not given back.
    pub(crate) goes_on: Cell<bool>,
}

impl Session<'_> {
    pub(crate) fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    pub(crate) fn enter(&self, stage: Stage) {
        *self.stage.borrow_mut() = stage;
    }

    pub(crate) fn cluster(&self) -> String {
        self.account.cluster()
    }

    /// How long a release may take to be proven.
    pub(crate) fn timeout(&self) -> Duration {
        let own = u64::from(self.account.environment().deploy.timeout);
        Duration::from_secs(self.rolling.timeout.unwrap_or(own))
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.rolling.lock_wait)
    }
}
