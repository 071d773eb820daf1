//! From text to typed keys, and from a key back to its line.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::{Table, Value, de::DeTable};

use super::Faults;

/// # Errors
/// Where the text is not TOML, or a key is unknown, missing or of another type.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Faults> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = line_at(text, start);
        let key = key_at(text, line);
        let message = error.message().replace('\n', " ");
        Faults(format!("{file}:{line}: {key}: {message}"))
    })
}

/// The line of `section.key`, or of whatever of it there is.
pub(super) fn line_of(text: &str, path: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else {
        return 1;
    };
    let mut table = document.get_ref();
    let mut start = 0;
    for name in path.split('.') {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else {
            break;
        };
        start = key.span().start;
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    line_at(text, start)
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// What stands on that line, with the section it belongs to.
fn key_at(text: &str, line: usize) -> String {
    let mut section = "";
    let mut key = "";
    for (index, content) in text.lines().enumerate().take(line) {
        let content = content.trim();
        if let Some(name) = content.strip_prefix('[') {
            section = name.split(']').next().unwrap_or_default();
            key = "";
        } else if index + 1 == line {
            key = content.split('=').next().unwrap_or_default().trim();
        }
    }
    let parts: Vec<&str> = [section, key]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(".")
}

/// Every key with its value as TOML writes it.
pub(super) fn flat(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    if let Ok(table) = toml::from_str::<Table>(text) {
        flatten("", &table, &mut values);
    }
    values
}

fn flatten(prefix: &str, table: &Table, values: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        match value {
            Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, values),
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_) => {
                values.insert(format!("{prefix}{name}"), value.to_string());
            }
        }
    }
}
