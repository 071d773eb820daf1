//! What a deployed environment is made of: `infra/environments/<name>.toml`, the only files of `infra`
//! that people edit.
//!
//! An error names the file, the line, the key and what would be right. The keys' doc comments below are
//! their reference in `docs/environments.md`.

mod checks;
mod keys;
mod parsing;
mod reference;

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::Context;

pub(crate) use keys::{Arch, Egress, Keys, Schedule, Spot};
pub(crate) use parsing::parse;
pub(crate) use reference::reference;

/// Which environment. Stacks, roles and log groups carry the name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Name {
    Staging,
    Production,
}

impl Name {
    pub(crate) const ALL: [Self; 2] = [Self::Staging, Self::Production];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with an environment, one line each.
#[derive(Debug)]
pub(crate) struct Faults(pub(crate) String);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Faults {}

/// One environment, checked.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) name: Name,
    pub(crate) keys: Keys,
    /// The file, as it was read.
    text: String,
}

impl std::ops::Deref for Environment {
    type Target = Keys;

    fn deref(&self) -> &Keys {
        &self.keys
    }
}

impl Environment {
    /// Reads `infra/environments/<name>.toml` below `root`.
    ///
    /// # Errors
    /// Everything that is wrong with the file, one line each: `file:line: key: what would be right`.
    pub(crate) fn load(root: &Path, name: Name) -> anyhow::Result<Self> {
        let file = format!("infra/environments/{name}.toml");
        let text = fs::read_to_string(root.join(&file))
            .with_context(|| format!("{file} cannot be read"))?;
        Self::parse(name, &file, &text)
    }

    /// # Errors
    /// As [`Environment::load`]; `file` is only named.
    pub(crate) fn parse(name: Name, file: &str, text: &str) -> anyhow::Result<Self> {
        let keys = parse(file, text)?;
        let environment = Self {
            name,
            keys,
            text: text.to_owned(),
        };
        checks::check(&environment, file, text)?;
        Ok(environment)
    }

    /// Every key that is set, `section.key`, with its value as TOML writes it.
    pub(crate) fn flat(&self) -> BTreeMap<String, String> {
        parsing::flat(&self.text)
    }

    /// PostgreSQL's major version.
    pub(crate) fn postgres(&self) -> &str {
        self.database.version.split('.').next().unwrap_or_default()
    }

    /// As users see the API.
    pub(crate) fn public_url(&self) -> String {
        format!("https://{}", self.domain.name)
    }
}

#[cfg(test)]
mod tests;
