//! Signals as events of the main thread.
//!
//! They are blocked in every thread and fetched by one, so that nothing is interrupted half-way and
//! whoever waits for a child hears of a Ctrl-C at once. Children must not inherit the blocked mask:
//! [`crate::launch`] clears it.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// BSD's kernels, and so that of macOS, drop a SIGCHLD that no handler asks for, even a blocked one: whoever waits for a
/// child there looks again by themself.
const LONGEST: Duration = if cfg!(target_os = "linux") {
    Duration::MAX
} else {
    Duration::from_millis(200)
};

/// The mask is blocked; [`Signals::wait`] tells what came.
pub(crate) struct Signals(Receiver<Signal>);

/// Somebody asked `xtask` to stop.
#[derive(Debug)]
pub(crate) struct Interrupted(pub(crate) Signal);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stopped by {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

impl Signals {
    /// Must be called before the first other thread starts, for threads inherit the mask.
    pub(crate) fn block() -> anyhow::Result<Self> {
        let set: SigSet = [
            Signal::SIGINT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGCHLD,
        ]
        .into_iter()
        .collect();
        set.thread_block().context("signals cannot be blocked")?;
        let (sender, receiver) = channel();
        thread::spawn(move || {
            while let Ok(signal) = set.wait() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Returns when a child has changed or the time is up; elsewhere than on Linux, also a little sooner.
    ///
    /// # Errors
    /// [`Interrupted`] where somebody wants `xtask` to stop.
    pub(crate) fn wait(&self, timeout: Duration) -> Result<(), Interrupted> {
        match self.0.recv_timeout(timeout.min(LONGEST)) {
            Ok(Signal::SIGCHLD) | Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(signal) => Err(Interrupted(signal)),
            Err(RecvTimeoutError::Disconnected) => Err(Interrupted(Signal::SIGTERM)),
        }
    }
}
