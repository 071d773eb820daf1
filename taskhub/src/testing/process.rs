//! A process that does not outlive the test that started it, not even when that is killed.

use std::{
    io,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[derive(Debug)]
pub struct Process {
    child: Child,
    /// A shell that waits for this test's end of a pipe to close, and kills.
    _watchdog: Child,
}

impl Process {
    /// # Panics
    /// Where the program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let watchdog = Command::new("sh")
            .args(["-c", "read -r _; kill -9 $0 2>/dev/null"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        Self {
            child,
            _watchdog: watchdog,
        }
    }

    /// # Panics
    /// Where the process has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a living process");
    }

    /// Waits for its end.
    pub fn wait(&mut self) {
        // It may have been waited for already.
        let _ = self.child.wait();
    }

    /// Ends it as if the power had failed.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// Where the operating system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
