//! What a token lets its bearer do (RFC 6749, section 3.3).

use std::{collections::BTreeSet, fmt, str::FromStr, sync::LazyLock};

use crate::{Error, Result};

/// One right. Rights follow resources, never single operations.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    AccountRead,
    AccountWrite,
    /// Operating the instance. Nothing includes it, and only operators are given it.
    Admin,
    /// Was given by earlier releases, and allows nothing.
    ProjectsRead,
    /// As [`Self::ProjectsRead`].
    ProjectsWrite,
    TasksRead,
    TasksWrite,
}

impl Scope {
    /// What some operation needs, in the order of their names.
    pub const OFFERED: [Self; 5] = [
        Self::AccountRead,
        Self::AccountWrite,
        Self::Admin,
        Self::TasksRead,
        Self::TasksWrite,
    ];

    /// Every right that a session may have, in the order of their names.
    pub const ALL: [Self; 7] = [
        Self::AccountRead,
        Self::AccountWrite,
        Self::Admin,
        Self::ProjectsRead,
        Self::ProjectsWrite,
        Self::TasksRead,
        Self::TasksWrite,
    ];

    /// As it stands in tokens and in the documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountRead => "account:read",
            Self::AccountWrite => "account:write",
            Self::Admin => "admin",
            Self::ProjectsRead => "projects:read",
            Self::ProjectsWrite => "projects:write",
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// The right that includes this one: who may write may read.
    fn included_in(self) -> Option<Self> {
        match self {
            Self::AccountRead => Some(Self::AccountWrite),
            Self::ProjectsRead => Some(Self::ProjectsWrite),
            Self::TasksRead => Some(Self::TasksWrite),
            Self::AccountWrite | Self::Admin | Self::ProjectsWrite | Self::TasksWrite => None,
        }
    }
}

/// The rights of one token; written as their names with spaces between.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Everything that a person may do with what is theirs.
    pub fn own() -> Self {
        let own = Scope::OFFERED.into_iter();
        Self(own.filter(|scope| *scope != Scope::Admin).collect())
    }

    /// All but `scope`; none where nothing remains.
    pub fn without(&self, scope: Scope) -> Option<Self> {
        let mut rest = self.0.clone();
        rest.remove(&scope);
        (!rest.is_empty()).then_some(Self(rest))
    }

    /// Those that were stored with a session. A name of another release, which may run beside this one, allows
    /// nothing here.
    pub fn stored(names: &str) -> Self {
        Self(names.split_whitespace().filter_map(Scope::named).collect())
    }

    /// Whether `scope` is among them, by itself or within another.
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
            || scope
                .included_in()
                .is_some_and(|wider| self.0.contains(&wider))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = Error;

    /// # Errors
    /// [`Error::Invalid`] at `/scope` where a name is unknown or there is none at all.
    fn from_str(names: &str) -> Result<Self> {
        let scopes: BTreeSet<Scope> = names
            .split_whitespace()
            .map(Scope::named)
            .collect::<Option<_>>()
            .ok_or_else(|| Error::invalid("/scope", "unknown-scope", known()))?;
        if scopes.is_empty() {
            return Err(Error::invalid("/scope", "too-short", known()));
        }
        Ok(Self(scopes))
    }
}

/// What is said of a name that is none.
pub fn known() -> String {
    format!(
        "must name one or more of: {}",
        Scope::OFFERED.map(Scope::name).join(", ")
    )
}

/// One or more of the offered names with spaces between, as a regular expression.
pub static ASKED: LazyLock<String> = LazyLock::new(|| {
    let names = Scope::OFFERED.map(Scope::name).join("|");
    format!("^ *({names})( +({names}))* *$")
});

/// As [`ASKED`], also with the names of earlier releases, or empty.
pub static ASKED_BY_FORM: LazyLock<String> = LazyLock::new(|| {
    let names = Scope::ALL.map(Scope::name).join("|");
    format!("^ *(({names})( +|$))*$")
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_write_may_read_but_not_elsewhere() {
        let scopes: Scopes = "tasks:write".parse().unwrap();
        assert!(scopes.allow(Scope::TasksRead));
        assert!(scopes.allow(Scope::TasksWrite));
        assert!(!scopes.allow(Scope::ProjectsRead));
        let scopes: Scopes = "tasks:read".parse().unwrap();
        assert!(!scopes.allow(Scope::TasksWrite));
    }

    #[test]
    fn scopes_are_written_as_they_are_read() {
        assert_eq!(
            Scopes::own().to_string().parse::<Scopes>().unwrap(),
            Scopes::own()
        );
        let scopes: Scopes = " tasks:read account:read tasks:read ".parse().unwrap();
        assert_eq!(scopes.to_string(), "account:read tasks:read");
    }

    #[test]
    fn what_another_release_stored_is_passed_over() {
        let scopes = Scopes::stored("comments:write projects:read tasks:read");
        assert_eq!(scopes.to_string(), "projects:read tasks:read");
        assert!(!Scopes::own().allow(Scope::ProjectsRead));
    }

    #[test]
    fn to_operate_has_to_be_asked_for() {
        assert!(!Scopes::own().allow(Scope::Admin));
        let scopes: Scopes = "admin".parse().unwrap();
        assert!(scopes.allow(Scope::Admin));
        assert!(!scopes.allow(Scope::AccountRead));
    }

    #[test]
    fn an_unknown_scope_or_none_is_refused() {
        for names in ["", "  ", "tasks", "tasks:read root", "TASKS:READ"] {
            assert!(
                matches!(names.parse::<Scopes>(), Err(Error::Invalid(_))),
                "{names}"
            );
        }
    }
}
