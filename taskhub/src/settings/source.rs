//! Where values come from, and which of them wins.

use std::{collections::BTreeMap, ffi::OsString, io, path::Path};

use secrecy::{ExposeSecret, SecretString};

use super::{Failure, Problem, Problems, VARIABLES};
use crate::secrets;

/// The values of the known variables, whatever they came from.
#[derive(Debug)]
pub struct Source {
    values: BTreeMap<&'static str, SecretString>,
}

impl Source {
    /// Reads the environment, `.env` and the secrets that `TASKHUB_SECRETS` names.
    ///
    /// # Errors
    /// Where `.env` cannot be parsed, a variable is not UTF-8, or a secret cannot be read.
    pub async fn load() -> Result<Self, Failure> {
        let mut source = Self::local()?;
        let entries = source.secret_entries();
        if !entries.is_empty() {
            let secrets = secrets::read(&entries, secrets::loader(), secrets::DEADLINE).await?;
            source.lay_under(secrets);
        }
        Ok(source)
    }

    /// Reads the environment and `.env` alone.
    ///
    /// # Errors
    /// As [`Source::load`].
    pub fn local() -> Result<Self, Problems> {
        let mut source = Self::from_values(environment()?);
        let environment = source.get("APP_ENV").map(ExposeSecret::expose_secret);
        // An image or a shell in production must not be changed by a file that happens to lie there.
        if !matches!(environment, Some("staging" | "production")) {
            source.lay_under(dotenv(Path::new(".env"))?);
        }
        Ok(source)
    }

    /// These values and no others.
    pub fn from_values<N, V>(values: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: Into<SecretString>,
    {
        let mut source = Self {
            values: BTreeMap::new(),
        };
        source.lay_under(values);
        source
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// Whether anything comes from Secrets Manager.
    pub fn has_secrets(&self) -> bool {
        !self.secret_entries().is_empty()
    }

    /// What `TASKHUB_SECRETS` lists.
    fn secret_entries(&self) -> Vec<String> {
        let entries = self
            .get("TASKHUB_SECRETS")
            .map_or("", |entries| entries.expose_secret());
        entries
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Takes what is not set yet. Names that are no variables are passed over.
    pub fn lay_under<N, V>(&mut self, values: impl IntoIterator<Item = (N, V)>)
    where
        N: AsRef<str>,
        V: Into<SecretString>,
    {
        for (name, value) in values {
            let known = VARIABLES
                .iter()
                .find(|variable| variable.name == name.as_ref());
            let value = value.into();
            if let (Some(variable), false) = (known, value.expose_secret().is_empty()) {
                self.values.entry(variable.name).or_insert(value);
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
fn environment() -> Result<Vec<(&'static str, String)>, Problems> {
    let values: Vec<(&str, Result<String, OsString>)> = VARIABLES
        .iter()
        .filter_map(|variable| {
            Some((
                variable.name,
                std::env::var_os(variable.name)?.into_string(),
            ))
        })
        .collect();
    let problems: Vec<Problem> = values
        .iter()
        .filter(|(_, value)| value.is_err())
        .map(|(name, _)| Problem::new(name, "is not UTF-8"))
        .collect();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    Ok(values
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.ok()?)))
        .collect())
}

/// What `path` says; nothing where there is no such file.
fn dotenv(path: &Path) -> Result<Vec<(String, String)>, Problems> {
    let lines = match dotenvy::from_path_iter(path) {
        Ok(lines) => lines,
        Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(_) => return Err(Problem::new(".env", "cannot be read").into()),
    };
    lines
        // The library's message repeats the line, which may hold a secret.
        .map(|line| {
            line.map_err(|_| Problem::new(".env", "holds a line that is not NAME=value").into())
        })
        .collect()
}
