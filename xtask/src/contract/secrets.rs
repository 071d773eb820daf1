//! Which secret gives which program which variable.

use super::Task;

/// One secret of Secrets Manager. Its name is `taskhub/<environment>/<name>`.
pub(crate) struct Secret {
    pub(crate) name: &'static str,
    /// Its logical id in the data stack.
    pub(crate) resource: &'static str,
    /// The variables that its content becomes where nobody renames them.
    pub(crate) holds: &'static [&'static str],
    /// Who reads it, and as which of the variables.
    pub(crate) readers: &'static [(Task, &'static [&'static str])],
}

/// All of them. A task reads those that name it and no others.
pub(crate) const SECRETS: &[Secret] = &[
    Secret {
        name: "database-owner",
        resource: "DatabaseOwnerSecret",
        holds: &["DATABASE_URL"],
        readers: &[(Task::Migrate, &["DATABASE_URL"])],
    },
    Secret {
        name: "database-service",
        resource: "DatabaseServiceSecret",
        holds: &["DATABASE_URL"],
        readers: &[
            (Task::Api, &["DATABASE_URL"]),
            (Task::Worker, &["DATABASE_URL"]),
            // The migration makes this role and sets its password.
            (Task::Migrate, &["SERVICE_DATABASE_URL"]),
        ],
    },
    Secret {
        name: "cache",
        resource: "CacheSecret",
        holds: &["REDIS_BROKER"],
        readers: &[
            (Task::Api, &["REDIS_BROKER"]),
            (Task::Worker, &["REDIS_BROKER"]),
        ],
    },
    Secret {
        name: "app",
        resource: "AppSecret",
        holds: &["JWT_SECRET"],
        readers: &[(Task::Api, &["JWT_SECRET"])],
    },
    Secret {
        name: "mail",
        resource: "MailSecret",
        holds: &["MAIL_URL"],
        readers: &[(Task::Worker, &["MAIL_URL"])],
    },
];

impl Secret {
    /// Those that `task` reads, in the order in which `TASKHUB_SECRETS` names them.
    pub(crate) fn read_by(task: Task) -> impl Iterator<Item = &'static Self> {
        SECRETS
            .iter()
            .filter(move |secret| secret.given_to(task).is_some())
    }

    /// The variables it gives to `task`.
    pub(crate) fn given_to(&self, task: Task) -> Option<&'static [&'static str]> {
        let reader = self.readers.iter().find(|(reader, _)| *reader == task);
        reader.map(|(_, variables)| *variables)
    }

    /// The name by which `task` asks for it to be renamed, in `NAME=secret`.
    pub(crate) fn renamed_for(&self, task: Task) -> Option<&'static str> {
        match self.given_to(task)? {
            [name] if !self.holds.contains(name) => Some(name),
            _ => None,
        }
    }

    /// Of the SSM parameter that holds its ARN.
    pub(crate) fn parameter(&self) -> String {
        format!("{}-secret", self.name)
    }
}

/// Whom the services sign in as after `role`, and before it: of two roles in turn, one can always sign in while the
/// other gets a new password.
pub(crate) fn other_role(role: &str) -> String {
    role.strip_suffix("_2")
        .map_or_else(|| format!("{role}_2"), str::to_owned)
}
