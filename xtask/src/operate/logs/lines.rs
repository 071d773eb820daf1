//! One line of a task's log.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::Level;

/// As CloudWatch keeps it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    /// `api`, `worker` or `migrate`.
    pub(super) service: &'static str,
    /// The task's own id.
    pub(super) task: String,
    /// Usually a JSON object, but whatever a program writes.
    pub(super) text: String,
}

/// What stands elsewhere in a readable line, or says nothing to its reader.
const APART: [&str; 5] = ["timestamp", "level", "message", "target", "span"];

impl Line {
    /// Whether it is at least as grave; one that does not tell its level is.
    pub(super) fn is_as_grave_as(&self, wanted: Level) -> bool {
        let level = self.object().and_then(|object| level(&object));
        level.is_none_or(|level| level <= wanted)
    }

    /// One JSON object: as the program wrote it where it wrote one.
    pub(super) fn json(&self) -> String {
        let text = self.text.trim_end();
        if self.object().is_some() && !text.contains('\n') {
            return text.to_owned();
        }
        json!({
            "timestamp": self.time().to_rfc3339_opts(SecondsFormat::Millis, true),
            "service": self.service,
            "task": self.task,
            "message": text,
        })
        .to_string()
    }

    /// Time, task, level, message, then the fields.
    pub(super) fn readable(&self) -> String {
        let time = self.time().format("%F %H:%M:%S%.3f");
        let task = self.task.get(..8).unwrap_or(&self.task);
        let mut line = format!("{time} {}/{task} ", self.service);
        let Some(object) = self.object() else {
            line.push_str(&shown(self.text.trim_end()));
            return line;
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "{:5} {}",
            shown(text("level")),
            shown(text("message"))
        );
        let own = object
            .iter()
            .filter(|(name, _)| !APART.contains(&name.as_str()));
        let around = object.get("span").and_then(Value::as_object);
        let around = around
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "name");
        for (name, value) in own.chain(around) {
            let _ = write!(line, " {}={}", shown(name), field(value));
        }
        line
    }

    fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_str(&self.text).ok()
    }

    fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.at).unwrap_or_default()
    }
}

fn level(object: &Map<String, Value>) -> Option<Level> {
    match object.get("level")?.as_str()? {
        "ERROR" => Some(Level::Error),
        "WARN" => Some(Level::Warn),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        "TRACE" => Some(Level::Trace),
        _ => None,
    }
}

fn field(value: &Value) -> String {
    match value.as_str() {
        Some(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => shown(text),
        _ => shown(&value.to_string()),
    }
}

/// Users choose parts of what is logged: none of it may command the terminal.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() && letter != '\t' {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            at: 1_700_000_000_123,
            service: "api",
            task: "0123456789abcdef".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_line_of_our_programs_is_readable() {
        let answered = r#"{"timestamp":"2023-11-14T22:13:20.1Z","level":"INFO","message":"answered","status":200,"note":"two words","target":"taskhub_api::edge","span":{"method":"GET","request_id":"r-1","name":"request"}}"#;
        assert_eq!(
            line(answered).readable(),
            "2023-11-14 22:13:20.123 api/01234567 INFO  answered note=\"two words\" status=200 method=GET request_id=r-1"
        );
        assert_eq!(line(answered).json(), answered);
    }

    #[test]
    fn a_line_that_is_no_json_is_shown_and_is_json_for_programs() {
        for text in ["thread 'main' panicked", "{\"half\":", "[1]", "", "17"] {
            let line = line(text);
            assert!(line.readable().ends_with(text), "{text}");
            let read: Value = serde_json::from_str(&line.json()).expect("JSON");
            assert_eq!(
                (&read["message"], &read["service"]),
                (&json!(text), &json!("api"))
            );
            assert!(line.is_as_grave_as(Level::Error));
        }
    }

    #[test]
    fn graver_lines_pass_and_lighter_ones_do_not() {
        let warning = line(r#"{"level":"WARN","message":"slow"}"#);
        assert!(warning.is_as_grave_as(Level::Warn) && warning.is_as_grave_as(Level::Info));
        assert!(!warning.is_as_grave_as(Level::Error));
        assert!(line(r#"{"level":7}"#).is_as_grave_as(Level::Error));
    }

    #[test]
    fn nothing_that_was_logged_commands_the_terminal() {
        let clearing =
            line("{\"level\":\"INFO\",\"message\":\"\\u001b[2J\",\"\\u0007\":\"a\\nb\"}");
        for text in [clearing.readable(), line("\u{1b}[2J").readable()] {
            assert!(
                !text.contains(|letter: char| letter.is_control()),
                "{text:?}"
            );
        }
    }
}
