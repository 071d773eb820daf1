//! Programs that this one starts and must not leave behind.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitCode, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::signals::{Interrupted, Signals};

/// How long a program may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running program in a process group of its own. Dropping it stops it and waits.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) child: Child,
    pub(crate) stop_with: Signal,
    asked: bool,
}

impl Process {
    /// Starts what [`crate::launch::command`] made.
    pub(crate) fn spawn(
        name: &'static str,
        mut command: Command,
        stop_with: Signal,
    ) -> anyhow::Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        Ok(Self {
            name,
            child,
            stop_with,
            asked: false,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("{} cannot be waited for", self.name))
    }

    /// Waits for its end. Where `xtask` is asked to stop meanwhile, the whole group is passed the
    /// signal and its end is awaited first.
    pub(crate) fn finish(mut self, signals: &Signals) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if let Err(Interrupted(signal)) = signals.wait(Duration::from_secs(3600)) {
                self.stop_with = signal;
                self.stop();
                return Err(Interrupted(signal).into());
            }
        }
    }

    /// Asks it to stop, once, and does not wait.
    pub(crate) fn ask(&mut self) {
        if !self.asked && matches!(self.child.try_wait(), Ok(None)) {
            self.asked = true;
            self.signal(self.stop_with);
        }
    }

    /// Stops it, kindly first. Does nothing where it has ended.
    pub(crate) fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.ask();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.signal(Signal::SIGKILL);
        drop(self.child.wait());
    }

    /// The child has not been waited for, so its number is still its own.
    fn signal(&self, signal: Signal) {
        let Ok(group) = i32::try_from(self.child.id()) else {
            return;
        };
        match killpg(Pid::from_raw(group), signal) {
            // Only a process that has dropped to another user may refuse; then it is our child's child.
            Ok(()) | Err(Errno::ESRCH | Errno::EPERM) => {}
            Err(error) => crate::progress::say(format_args!("{}: {error}", self.name)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end.
///
/// # Errors
/// [`Interrupted`] as in [`Process::finish`].
pub(crate) fn run(
    name: &'static str,
    command: Command,
    signals: &Signals,
) -> anyhow::Result<ExitStatus> {
    Process::spawn(name, command, Signal::SIGTERM)?.finish(signals)
}

/// The code with which to end where another program's end decides: 128 + n for signal n, as shells do.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
