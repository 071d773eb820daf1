//! The rules of each kind of job.

use std::time::Duration;

use uuid::Uuid;

use super::Job;

/// The rules of one kind of job.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The kind as it is stored.
    pub kind: &'static str,
    /// The newest form of the arguments; a program leaves newer ones to a newer program.
    pub args_version: i16,
    pub queue: &'static str,
    /// Lower is sooner. All due jobs of one priority go before any of the next.
    pub priority: i16,
    /// How often it is tried before it is dead.
    pub max_attempts: i32,
    /// How often somebody else, such as a mail server, may put it off without an attempt being counted.
    pub max_deferrals: i32,
    pub backoff: Backoff,
    /// The longest an attempt may take. It is ended then and counts as failed.
    pub timeout: Duration,
    /// How long a claim lasts without a sign of life, where the worker's own setting does not suit.
    pub lease: Option<Duration>,
    /// How many run at a time, over all workers.
    pub concurrency: Option<u32>,
    /// The group under whose name it shares a rate limit with other kinds, see [`super::limits`].
    pub limit_group: Option<&'static str>,
    pub uniqueness: Uniqueness,
}

/// The wait before attempt n + 1 is random up to the lesser of `cap` and `base · 2ⁿ`, so that what
/// failed together is not tried again together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

/// Which second job of the same unique key is the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Uniqueness {
    /// While the first waits or runs.
    WhileLive,
    /// Always, however the first ended.
    Forever,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a kind that says nothing else goes by.
const USUAL: Rules = Rules {
    kind: "",
    args_version: 1,
    queue: crate::queue::DEFAULT,
    priority: 100,
    max_attempts: 10,
    // With the pauses below, for more than a day: some quotas are daily.
    max_deferrals: 50,
    backoff: Backoff {
        base: Duration::from_secs(5),
        cap: HOUR,
    },
    timeout: MINUTE,
    lease: None,
    concurrency: None,
    limit_group: None,
    uniqueness: Uniqueness::WhileLive,
};

/// What keeps house: nobody waits for it, and twice at a time is of no use.
const HOUSEKEEPING: Rules = Rules {
    priority: 200,
    timeout: HOUR,
    concurrency: Some(1),
    ..USUAL
};

const WELCOME_EMAIL: Rules = Rules {
    kind: "welcome_email",
    limit_group: Some(super::limits::MAIL),
    uniqueness: Uniqueness::Forever,
    ..USUAL
};

/// Somebody sits and waits for it, so it comes first, a worker that died with it is missed sooner, and
/// an hour later it is of no use.
const PASSWORD_RESET_EMAIL: Rules = Rules {
    kind: "password_reset_email",
    limit_group: Some(super::limits::MAIL),
    priority: 50,
    max_attempts: 6,
    max_deferrals: 10,
    lease: Some(Duration::from_secs(20)),
    ..USUAL
};

const ERASE_ACCOUNT: Rules = Rules {
    kind: "erase_account",
    max_attempts: 20,
    timeout: Duration::from_secs(600),
    ..USUAL
};

const REMOVE_OLD_SESSIONS: Rules = Rules {
    kind: "remove_old_sessions",
    ..HOUSEKEEPING
};

const REMOVE_OLD_JOBS: Rules = Rules {
    kind: "remove_old_jobs",
    ..HOUSEKEEPING
};

const REMOVE_OLD_IDEMPOTENCY_KEYS: Rules = Rules {
    kind: "remove_old_idempotency_keys",
    ..HOUSEKEEPING
};

const EMPTY_TRASH: Rules = Rules {
    kind: "empty_trash",
    ..HOUSEKEEPING
};

/// Somebody waits for it at a terminal, and for nothing else.
const SMOKE_TEST: Rules = Rules {
    kind: "smoke_test",
    priority: 0,
    max_attempts: 3,
    timeout: Duration::from_secs(10),
    ..USUAL
};

const INDEX_TASKS: Rules = Rules {
    kind: "index_tasks",
    ..HOUSEKEEPING
};

/// Fast, so that a test sees every attempt.
#[cfg(feature = "probe")]
const PROBE: Rules = Rules {
    kind: "probe",
    args_version: 2,
    max_attempts: 25,
    backoff: Backoff {
        base: Duration::from_millis(50),
        cap: Duration::from_secs(1),
    },
    // Longer than a test pauses a worker, which is to find its job under way.
    timeout: Duration::from_secs(20),
    uniqueness: Uniqueness::Forever,
    ..USUAL
};

/// What a job is about.
pub(super) struct Subject {
    /// What makes two jobs of its kind the same.
    pub(super) identity: String,
    /// The workspace that it concerns, whose members may see it and among whose jobs it counts.
    pub(super) workspace_id: Option<Uuid>,
    /// The person that it concerns, who may see it.
    pub(super) user_id: Option<Uuid>,
}

impl Subject {
    fn none() -> Self {
        Self::identity(String::new())
    }

    fn identity(identity: String) -> Self {
        Self {
            identity,
            workspace_id: None,
            user_id: None,
        }
    }

    fn person(user_id: Uuid) -> Self {
        Self {
            user_id: Some(user_id),
            ..Self::identity(user_id.to_string())
        }
    }
}

/// Makes [`KINDS`] and the matches on a [`Job`] of one table. A variant without a line does not compile.
macro_rules! kinds {
    ($($(#[$condition:meta])* $variant:ident $fields:tt => $rules:ident, $subject:expr;)*) => {
        /// The rules of every kind that this program knows.
        pub const KINDS: &[&Rules] = &[$($(#[$condition])* &$rules),*];

        impl Job {
            pub fn rules(&self) -> &'static Rules {
                match self {
                    $($(#[$condition])* Self::$variant { .. } => &$rules,)*
                }
            }

            pub(super) fn subject(&self) -> Subject {
                match self {
                    $($(#[$condition])* Self::$variant $fields => $subject,)*
                }
            }
        }
    };
}

kinds! {
    WelcomeEmail { user_id } => WELCOME_EMAIL, Subject::person(*user_id);
    // It names no person, because it must not tell whether there is one.
    PasswordResetEmail { email } => PASSWORD_RESET_EMAIL, Subject::identity(email.to_lowercase());
    EraseAccount { user_id } => ERASE_ACCOUNT, Subject::person(*user_id);
    RemoveOldSessions {} => REMOVE_OLD_SESSIONS, Subject::none();
    RemoveOldJobs {} => REMOVE_OLD_JOBS, Subject::none();
    RemoveOldIdempotencyKeys {} => REMOVE_OLD_IDEMPOTENCY_KEYS, Subject::none();
    EmptyTrash {} => EMPTY_TRASH, Subject::none();
    IndexTasks {} => INDEX_TASKS, Subject::none();
    SmokeTest { id } => SMOKE_TEST, Subject::identity(id.to_string());
    #[cfg(feature = "probe")]
    Probe(probe) => PROBE, Subject {
        workspace_id: probe.workspace_id,
        ..Subject::identity(probe.id.to_string())
    };
}

impl Rules {
    /// Those of `kind`, if this program knows it.
    pub fn of(kind: &str) -> Option<&'static Self> {
        KINDS.iter().copied().find(|rules| rules.kind == kind)
    }

    /// Whether this program understands such a job.
    pub(super) fn know(kind: &str, args_version: i16) -> bool {
        Self::of(kind).is_some_and(|rules| rules.args_version >= args_version)
    }
}
