//! Several workers, which are killed, paused and stopped, and start again.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{prober, process::Process};

/// How long a worker lets running jobs go on after SIGTERM, in seconds.
const GRACE: u64 = 3;

/// What the worker promises to need for a stop: the grace time and five seconds. Twice as long, because
/// the machine is busy.
const STOP_LIMIT: Duration = Duration::from_secs(2 * (GRACE + 5));

/// How every worker is started.
pub(super) struct Equipment {
    pub(super) program: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) database_url: String,
    pub(super) redis_url: String,
    pub(super) lease: Duration,
    /// A library that makes a program believe in another time.
    pub(super) faketime: Option<PathBuf>,
}

/// How a worker's process ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) pid: u32,
    pub(super) how: How,
    /// Seconds since 1970.
    pub(super) at: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum How {
    /// By a fault.
    Killed,
    /// By a poison job.
    Aborted,
    /// As it was asked to, and in time.
    Stopped,
    /// As no worker should.
    Wrongly(String),
}

pub(super) struct Fleet {
    equipment: Equipment,
    members: Vec<Member>,
    pub(super) endings: Vec<Ending>,
}

enum Member {
    Up(Process),
    Paused(Process, Instant),
    Stopping(Process, Instant),
    /// Until then.
    Down(Instant),
}

impl Fleet {
    pub(super) fn start(equipment: Equipment, size: usize) -> anyhow::Result<Self> {
        let now = Instant::now();
        let mut fleet = Self {
            equipment,
            members: (0..size).map(|_| Member::Down(now)).collect(),
            endings: Vec::new(),
        };
        fleet.tend()?;
        Ok(fleet)
    }

    /// Notices what has ended, starts what is due, lets the paused go on.
    pub(super) fn tend(&mut self) -> anyhow::Result<()> {
        for place in 0..self.members.len() {
            let member = std::mem::replace(&mut self.members[place], Member::Down(Instant::now()));
            self.members[place] = self.next(member)?;
        }
        Ok(())
    }

    fn next(&mut self, member: Member) -> anyhow::Result<Member> {
        let now = Instant::now();
        let (mut process, stopping) = match member {
            Member::Down(until) if until <= now => return Ok(Member::Up(self.spawn(None)?)),
            Member::Down(until) => return Ok(Member::Down(until)),
            Member::Paused(process, until) if until <= now => {
                signal(&process, Signal::SIGCONT);
                return Ok(Member::Up(process));
            }
            Member::Paused(process, until) => return Ok(Member::Paused(process, until)),
            Member::Up(process) => (process, None),
            Member::Stopping(process, deadline) => (process, Some(deadline)),
        };
        if let Some(status) = process.ended()? {
            self.note(process.id(), how(status, stopping.is_some()));
            return Ok(Member::Down(now));
        }
        Ok(match stopping {
            None => Member::Up(process),
            Some(deadline) if now < deadline => Member::Stopping(process, deadline),
            Some(_) => {
                self.note(process.id(), How::Wrongly("does not stop".to_owned()));
                process.stop();
                Member::Down(now)
            }
        })
    }

    /// With a clock that is `hours` off.
    fn spawn(&self, hours: Option<i32>) -> anyhow::Result<Process> {
        let equipment = &self.equipment;
        let settings = [
            ("DATABASE_URL", equipment.database_url.clone()),
            ("DATABASE_MAX_CONNECTIONS", "5".to_owned()),
            ("REDIS_BROKER", equipment.redis_url.clone()),
            ("JOB_LEASE_SECONDS", equipment.lease.as_secs().to_string()),
            ("WORKER_GRACE_SECONDS", GRACE.to_string()),
            ("WORKER_CONCURRENCY", "20".to_owned()),
        ];
        let mut command = prober::worker_command(&equipment.program, &equipment.folder, &settings)?;
        if let (Some(hours), Some(library)) = (hours, &equipment.faketime) {
            command
                .env("LD_PRELOAD", library)
                .env("FAKETIME", format!("{hours:+}h"))
                // A clock that is wrong goes on as fast as others.
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        Process::spawn("worker", command, Signal::SIGKILL)
    }

    fn note(&mut self, pid: u32, how: How) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = at.unwrap_or_default().as_secs_f64();
        self.endings.push(Ending { pid, how, at });
    }

    /// Takes a member that is up out of its place, if there is one; `choice` tells which.
    fn take(&mut self, choice: usize) -> anyhow::Result<Option<(usize, Process)>> {
        self.tend()?;
        let up: Vec<usize> = (0..self.members.len())
            .filter(|place| matches!(self.members[*place], Member::Up(_)))
            .collect();
        let Some(&place) = up.get(choice % up.len().max(1)) else {
            return Ok(None);
        };
        let member = std::mem::replace(&mut self.members[place], Member::Down(Instant::now()));
        Ok(match member {
            Member::Up(process) => Some((place, process)),
            Member::Paused(..) | Member::Stopping(..) | Member::Down(_) => None,
        })
    }

    /// Whether there was one to kill; likewise below.
    pub(super) fn kill(&mut self, choice: usize, down: Duration) -> anyhow::Result<bool> {
        let Some((place, process)) = self.take(choice)? else {
            return Ok(false);
        };
        self.end(process)?;
        self.members[place] = Member::Down(Instant::now() + down);
        Ok(true)
    }

    fn end(&mut self, mut process: Process) -> anyhow::Result<()> {
        // It may have ended by itself since it was last looked at.
        let how = process.ended()?.map(|status| how(status, false));
        process.stop();
        self.note(process.id(), how.unwrap_or(How::Killed));
        Ok(())
    }

    pub(super) fn pause(&mut self, choice: usize, time: Duration) -> anyhow::Result<bool> {
        let Some((place, process)) = self.take(choice)? else {
            return Ok(false);
        };
        signal(&process, Signal::SIGSTOP);
        self.members[place] = Member::Paused(process, Instant::now() + time);
        Ok(true)
    }

    pub(super) fn stop(&mut self, choice: usize) -> anyhow::Result<bool> {
        let Some((place, process)) = self.take(choice)? else {
            return Ok(false);
        };
        signal(&process, Signal::SIGTERM);
        self.members[place] = Member::Stopping(process, Instant::now() + STOP_LIMIT);
        Ok(true)
    }

    /// Whether one is paused, and may yet do what it should not.
    pub(super) fn is_paused(&self) -> bool {
        let mut members = self.members.iter();
        members.any(|member| matches!(member, Member::Paused(..)))
    }

    /// Kills one and starts it with a wrong clock.
    pub(super) fn shift_clock(&mut self, choice: usize, hours: i32) -> anyhow::Result<bool> {
        if self.equipment.faketime.is_none() {
            return Ok(false);
        }
        let Some((place, process)) = self.take(choice)? else {
            return Ok(false);
        };
        self.end(process)?;
        self.members[place] = Member::Up(self.spawn(Some(hours))?);
        Ok(true)
    }
}

/// A process that has been asked to stop may still die of a poison job first.
fn how(status: ExitStatus, stopping: bool) -> How {
    if status.signal() == Some(Signal::SIGABRT as i32) {
        return How::Aborted;
    }
    if stopping && status.success() {
        return How::Stopped;
    }
    How::Wrongly(format!("ended with {status}"))
}

/// The child has not been waited for, so its number is still its own.
fn signal(process: &Process, signal: Signal) {
    if let Ok(pid) = i32::try_from(process.id()) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_asked_to_may_end_well() {
        let exited = |code| ExitStatus::from_raw(code << 8);
        assert_eq!(how(exited(0), true), How::Stopped);
        assert_eq!(how(ExitStatus::from_raw(6), false), How::Aborted);
        for (status, stopping) in [(exited(0), false), (exited(1), true), (exited(101), false)] {
            assert!(matches!(how(status, stopping), How::Wrongly(_)));
        }
    }
}
