//! `xtask launch`, through which every other program is started.
//!
//! Between `fork` and `exec` Rust allows no safe code, so the things that belong there are done by a
//! program of its own that replaces itself: giving up root, asking to die with the parent, clearing
//! the signal mask.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use nix::{
    sys::signal::{SigSet, Signal},
    unistd::{Gid, Pid, Uid, getpid, getppid},
};

/// As whom a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Own,
    /// As `nobody` in a user namespace where that is what root is called. Files stay root's.
    Nobody,
    Other(Uid, Gid),
}

/// The uid and gid of `nobody`: the one that the kernel itself gives to what has no mapping.
const NOBODY: u32 = 65534;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends at once where this process is gone already
    #[arg(long)]
    parent: Option<i32>,
    /// The signal to receive when the parent ends
    #[arg(long)]
    on_death: Signal,
    #[arg(long)]
    as_nobody: bool,
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Arguments {
    /// A command as it is, for [`become_command`].
    #[cfg(feature = "aws")]
    pub(crate) fn of(command: Vec<OsString>) -> Self {
        Self {
            parent: None,
            on_death: Signal::SIGHUP,
            as_nobody: false,
            uid: None,
            gid: None,
            command,
        }
    }
}

/// A program that receives `on_death` when this process ends, however it ends. Must be spawned by the
/// main thread: the kernel means the parent's thread when it says parent.
pub(crate) fn command(program: impl AsRef<OsStr>, identity: Identity, on_death: Signal) -> Command {
    let mut command = Command::new(own_program());
    command
        .args(prefix(getpid(), identity, on_death))
        .arg(program)
        .process_group(0);
    command
}

/// What stands before the program and its arguments.
pub(crate) fn prefix(parent: Pid, identity: Identity, on_death: Signal) -> Vec<String> {
    let mut line = vec!["launch".to_owned(), format!("--parent={parent}")];
    line.push(format!("--on-death={on_death}"));
    match identity {
        Identity::Own => {}
        Identity::Nobody => line.push("--as-nobody".to_owned()),
        Identity::Other(uid, gid) => {
            line.extend([format!("--uid={uid}"), format!("--gid={gid}")]);
        }
    }
    line.push("--".to_owned());
    line
}

/// Puts this very program into `folder`, for whoever starts it once cargo may have replaced the file.
pub(crate) fn copy_into(folder: &Path) -> anyhow::Result<PathBuf> {
    let copy = folder.join("xtask");
    std::fs::copy(own_program(), &copy).context("this program cannot be copied")?;
    Ok(copy)
}

/// This very program, even where cargo has put a newer one in its place.
fn own_program() -> OsString {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().map_or_else(|_| "xtask".into(), Into::into)
}

/// Becomes the command. Returns only if that fails, or if the parent is gone.
pub(crate) fn become_command(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.as_nobody {
        become_nobody().context("no user namespace")?;
    }
    if let (Some(uid), Some(gid)) = (arguments.uid, arguments.gid) {
        become_other(Uid::from_raw(uid), Gid::from_raw(gid))?;
    }
    // After the identity: a change of it clears the wish.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(arguments.on_death).context("PR_SET_PDEATHSIG")?;
    if arguments
        .parent
        .is_some_and(|parent| getppid() != Pid::from_raw(parent))
    {
        return Ok(ExitCode::FAILURE);
    }
    SigSet::empty()
        .thread_set_mask()
        .context("the signal mask cannot be cleared")?;
    let (program, rest) = arguments
        .command
        .split_first()
        .context("no command to run")?;
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("{} cannot be run", program.display()))
}

#[cfg(target_os = "linux")]
fn become_other(uid: Uid, gid: Gid) -> anyhow::Result<()> {
    use nix::unistd::{setgid, setgroups, setuid};
    setgroups(&[gid]).context("setgroups")?;
    setgid(gid).context("setgid")?;
    setuid(uid).context("setuid")
}

/// Elsewhere the groups of root would stay.
#[cfg(not(target_os = "linux"))]
fn become_other(uid: Uid, _: Gid) -> anyhow::Result<()> {
    anyhow::bail!("root becomes user {uid} on Linux alone: run this as a normal user")
}

#[cfg(target_os = "linux")]
fn become_nobody() -> anyhow::Result<()> {
    use nix::{
        sched::{CloneFlags, unshare},
        unistd::{getegid, geteuid},
    };
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{NOBODY} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{NOBODY} {gid} 1"))?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn become_nobody() -> anyhow::Result<()> {
    anyhow::bail!("only Linux has user namespaces ({NOBODY})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launcher_is_told_whom_to_follow_and_whom_to_be() {
        let parent = Pid::from_raw(7);
        let line = prefix(
            parent,
            Identity::Other(Uid::from_raw(1000), Gid::from_raw(100)),
            Signal::SIGINT,
        );
        assert_eq!(
            line,
            [
                "launch",
                "--parent=7",
                "--on-death=SIGINT",
                "--uid=1000",
                "--gid=100",
                "--"
            ]
        );
        assert!(
            prefix(parent, Identity::Nobody, Signal::SIGINT).contains(&"--as-nobody".to_owned())
        );
    }
}
