//! How a verb ends, for whoever reads its exit code.

use std::{fmt, process::ExitCode};

use crate::environments::Faults;

/// The exit codes of every verb. 130 and 143 are those of a verb that Ctrl-C or SIGTERM ended; `dev`, `test` and
/// whatever else runs a program pass on that program's code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// A mistake of this program, or something that it did not expect.
    Internal = 1,
    /// Arguments, an environment file or the checkout are wrong. Nothing changed.
    Usage = 2,
    /// A check or a policy says no. Nothing changed.
    Refused = 3,
    /// There are differences, and they were asked for.
    Differs = 4,
    /// Somebody else is at it.
    Locked = 5,
    /// The migration failed. The services were not touched.
    MigrationFailed = 6,
    /// The deployment failed, and the former release is proven to run.
    RolledBack = 7,
    /// It failed, and a person must decide.
    NeedsHuman = 8,
    /// AWS knows no credentials, or they may not do what is needed.
    Denied = 9,
    /// The deadline passed, and AWS still works on it.
    StillRunning = 10,
}

impl Exit {
    const ALL: [Self; 10] = [
        Self::Internal,
        Self::Usage,
        Self::Refused,
        Self::Differs,
        Self::Locked,
        Self::MigrationFailed,
        Self::RolledBack,
        Self::NeedsHuman,
        Self::Denied,
        Self::StillRunning,
    ];

    /// What it says, in a few words.
    fn meaning(self) -> &'static str {
        match self {
            Self::Internal => "an unexpected error",
            Self::Usage => {
                "arguments, an environment file or the checkout are wrong; nothing changed"
            }
            Self::Refused => "a check says no; nothing changed",
            Self::Differs => "there are differences, where they were asked for",
            Self::Locked => "somebody else is at it",
            Self::MigrationFailed => "the migration failed; the services were not touched",
            Self::RolledBack => "the deployment failed, and the former release runs",
            Self::NeedsHuman => "it failed, and a person must decide",
            Self::Denied => "AWS refuses the credentials",
            Self::StillRunning => "the deadline passed, and AWS still works on it",
        }
    }
}

/// For the end of a verb's help.
pub(crate) fn help() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>3}  {}", exit as u8, exit.meaning()));
    format!(
        "Exit codes:\n    0  done\n{}\n  130  interrupted",
        lines.join("\n")
    )
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error whose exit code is decided.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) exit: Exit,
    why: String,
}

impl Failed {
    /// `why` names the cause and the next step.
    pub(crate) fn because(exit: Exit, why: impl Into<String>) -> anyhow::Error {
        Self {
            exit,
            why: why.into(),
        }
        .into()
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Failed {}

/// The code with which an error ends a verb.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    if error.is::<Faults>() {
        return Exit::Usage;
    }
    error
        .downcast_ref::<Failed>()
        .map_or(Exit::Internal, |failed| failed.exit)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_help_tells_of_every_code() {
        let help = help();
        assert_eq!(help.lines().count(), 1 + 1 + Exit::ALL.len() + 1);
        assert!(
            help.contains("    9  AWS refuses the credentials\n"),
            "{help}"
        );
    }

    #[test]
    fn a_code_survives_what_is_said_around_it() {
        let error = Err::<(), _>(Failed::because(Exit::Locked, "held"))
            .context("deploying")
            .expect_err("an error");
        assert_eq!(of(&error), Exit::Locked);
        assert_eq!(format!("{error:#}"), "deploying: held");
        assert_eq!(of(&anyhow::anyhow!("unexpected")), Exit::Internal);
    }
}
