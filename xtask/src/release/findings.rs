//! What is wrong with a release.

use serde::Serialize;

use super::migrations::Migration;

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    /// `0012_labels.sql`
    pub(super) file: String,
    /// Counted from 1; `None` where it is the file as a whole.
    pub(super) line: Option<usize>,
    pub(super) rule: String,
    /// What is wrong, and what to do.
    pub(super) message: String,
}

impl Finding {
    pub(super) fn whole(migration: &Migration, rule: &str, message: impl Into<String>) -> Self {
        Self {
            file: migration.name.clone(),
            line: None,
            rule: rule.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn line(&self) -> String {
        let place = self
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        format!("{}{place}  {}  {}", self.file, self.rule, self.message)
    }
}
