//! What can go wrong in a deployment, and how it must end.
//!
//! A fault is a script before the real program or another environment for it, never another program.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{ValueEnum, builder::PossibleValue};

use super::rendered::Speed;
use crate::{contract::Task as Kind, shell};

/// The two releases of a rehearsal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Old,
    New,
}

impl Version {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    CrashAtBoot,
    WorkerCrashesAtBoot,
    NeverReady,
    ReadyThenCrash,
    SettingMissing,
    SigtermFirst,
    SlowRequests,
    IgnoresSigterm,
    KilledWithoutDraining,
    MigrationFails,
    MigrationHangs,
    DatabaseRestarts,
    CacheDown,
}

/// What users may notice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Promise {
    /// No request fails.
    Nothing,
    /// None fails once the old version serves alone again.
    NothingAfterwards,
    /// None fails but while the database is away.
    OnlyTheOutage,
}

/// In which order a task is ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// ECS: deregistered, drained, SIGTERM, SIGKILL.
    DrainedFirst,
    /// SIGTERM, and deregistered only a moment later.
    SigtermFirst,
    /// SIGKILL, and deregistered when that is noticed.
    Killed,
}

impl ValueEnum for Fault {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Fault {
    pub(super) const ALL: [Self; 13] = [
        Self::CrashAtBoot,
        Self::WorkerCrashesAtBoot,
        Self::NeverReady,
        Self::ReadyThenCrash,
        Self::SettingMissing,
        Self::SigtermFirst,
        Self::SlowRequests,
        Self::IgnoresSigterm,
        Self::KilledWithoutDraining,
        Self::MigrationFails,
        Self::MigrationHangs,
        Self::DatabaseRestarts,
        Self::CacheDown,
    ];

    pub(super) fn name(self) -> &'static str {
        self.row().0
    }

    pub(super) fn about(self) -> &'static str {
        self.row().1
    }

    /// The exit code with which the rehearsal must end.
    pub(super) fn code(self) -> u8 {
        self.row().2
    }

    /// The catalogue: name, what happens, exit code.
    fn row(self) -> (&'static str, &'static str, u8) {
        match self {
            Self::CrashAtBoot => ("crash-at-boot", "the new API dies while it starts", 7),
            Self::WorkerCrashesAtBoot => (
                "worker-crashes-at-boot",
                "the new worker dies while it starts",
                7,
            ),
            Self::NeverReady => ("never-ready", "the new API runs and never answers", 7),
            Self::ReadyThenCrash => (
                "ready-then-crash",
                "the new API dies a moment after it has become healthy",
                7,
            ),
            Self::SettingMissing => (
                "setting-missing",
                "the new API lacks a setting that it requires",
                7,
            ),
            Self::SigtermFirst => (
                "sigterm-first",
                "tasks get SIGTERM before they are deregistered",
                0,
            ),
            Self::SlowRequests => (
                "slow-requests",
                "the same, with requests that take longer than the drain",
                0,
            ),
            Self::IgnoresSigterm => (
                "ignores-sigterm",
                "the old API does not heed SIGTERM and is killed",
                0,
            ),
            Self::KilledWithoutDraining => (
                "killed-without-draining",
                "tasks are killed at work: requests must be seen to fail",
                3,
            ),
            Self::MigrationFails => ("migration-fails", "the migration ends with an error", 6),
            Self::MigrationHangs => ("migration-hangs", "the migration does not end", 6),
            Self::DatabaseRestarts => (
                "database-restarts",
                "PostgreSQL restarts while the API rolls",
                0,
            ),
            Self::CacheDown => ("cache-down", "Redis is away during the roll", 0),
        }
    }

    pub(super) fn promise(self) -> Promise {
        match self {
            Self::ReadyThenCrash => Promise::NothingAfterwards,
            Self::DatabaseRestarts => Promise::OnlyTheOutage,
            Self::CrashAtBoot
            | Self::WorkerCrashesAtBoot
            | Self::NeverReady
            | Self::SettingMissing
            | Self::SigtermFirst
            | Self::SlowRequests
            | Self::IgnoresSigterm
            | Self::KilledWithoutDraining
            | Self::MigrationFails
            | Self::MigrationHangs
            | Self::CacheDown => Promise::Nothing,
        }
    }

    pub(super) fn ending(self) -> Ending {
        match self {
            Self::SigtermFirst | Self::SlowRequests => Ending::SigtermFirst,
            Self::KilledWithoutDraining => Ending::Killed,
            Self::CrashAtBoot
            | Self::WorkerCrashesAtBoot
            | Self::NeverReady
            | Self::ReadyThenCrash
            | Self::SettingMissing
            | Self::IgnoresSigterm
            | Self::MigrationFails
            | Self::MigrationHangs
            | Self::DatabaseRestarts
            | Self::CacheDown => Ending::DrainedFirst,
        }
    }

    /// A setting that the task is not given.
    pub(super) fn withheld(self, kind: Kind, version: Version) -> Option<&'static str> {
        let hit = self == Self::SettingMissing && kind == Kind::Api && version == Version::New;
        hit.then_some("DATABASE_URL")
    }

    /// What runs in the program's place: the program is `"$@"`.
    fn script(self, kind: Kind, version: Version, speed: Speed) -> Option<String> {
        let moment = speed.wait(10).as_secs_f64();
        match (self, kind, version) {
            (Self::CrashAtBoot, Kind::Api, Version::New)
            | (Self::WorkerCrashesAtBoot, Kind::Worker, Version::New) => Some(
                "start \"$@\" & program=$!\nsleep 0.1\nkill -ABRT $program\nwait $program"
                    .to_owned(),
            ),
            (Self::NeverReady, Kind::Api, Version::New) => {
                Some("LISTEN_ADDRESS=127.0.0.1:0 exec \"$@\"".to_owned())
            }
            (Self::ReadyThenCrash, Kind::Api, Version::New) => Some(format!(
                "start \"$@\" & program=$!\n\
                 until \"$1\" healthcheck 2>/dev/null; do sleep 0.1; done\n\
                 sleep {}\nkill -ABRT $program\nwait $program",
                // Two checks make it healthy; the crash comes between them and the end of the drain.
                moment * 3.5
            )),
            (Self::IgnoresSigterm, Kind::Api, Version::Old) => {
                Some("trap '' TERM\nstart \"$@\" &\nwait".to_owned())
            }
            (Self::MigrationHangs, Kind::Migrate, Version::New) => {
                Some("kill -STOP $$\nexec \"$@\"".to_owned())
            }
            _ => None,
        }
    }

    /// Writes the script that runs in a task's place, where the fault has one for it.
    pub(super) fn wrapper(
        self,
        kind: Kind,
        version: Version,
        speed: Speed,
        folder: &Path,
    ) -> anyhow::Result<Option<PathBuf>> {
        let Some(script) = self.script(kind, version, speed) else {
            return Ok(None);
        };
        let launcher = std::env::current_exe().context("where this program is")?;
        let file = folder.join(format!("{}.sh", self.name()));
        if !file.exists() {
            let text = format!(
                "#!/bin/sh\nstart() {{ exec {} launch --on-death=SIGKILL -- \"$@\"; }}\n{script}\n",
                shell::quoted(launcher)
            );
            fs::write(&file, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Some(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_lists_every_fault() {
        let page = include_str!("../../../docs/operations.md");
        for fault in Fault::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                fault.name(),
                fault.about(),
                fault.code()
            );
            assert!(page.contains(&row), "docs/operations.md lacks {row}");
        }
    }
}
