//! What happened when: a line on stderr for people, and with `--json` an object on stdout for machines.

use std::{io::Write, time::Instant};

use serde::Serialize;
use serde_json::Value;

use crate::progress;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    /// Seconds since the rehearsal began.
    pub(super) ts: f64,
    pub(super) phase: &'static str,
    /// `task`, `target`, `service`, `step` or `fault`.
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<String>,
    pub(super) message: String,
}

pub(super) struct Journal {
    pub(super) begun: Instant,
    pub(super) phase: &'static str,
    json: bool,
}

impl Journal {
    pub(super) fn new(json: bool) -> Self {
        Self {
            begun: Instant::now(),
            phase: "start",
            json,
        }
    }

    pub(super) fn step(&self, message: impl Into<String>) {
        self.note("step", None, None, message);
    }

    pub(super) fn fault(&self, message: impl Into<String>) {
        self.note("fault", None, None, message);
    }

    pub(super) fn service(&self, service: &'static str, message: impl Into<String>) {
        self.note("service", Some(service), None, message);
    }

    pub(super) fn note(
        &self,
        kind: &'static str,
        service: Option<&'static str>,
        task: Option<String>,
        message: impl Into<String>,
    ) {
        let event = Event {
            ts: (self.begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            phase: self.phase,
            kind,
            service,
            task,
            message: message.into(),
        };
        progress::say(line(&event));
        if self.json {
            print(&serde_json::to_value(event).unwrap_or_default());
        }
    }
}

/// Writes one line of JSON. A reader that is gone is no reason to stop.
pub(super) fn print(value: &Value) {
    drop(writeln!(std::io::stdout(), "{value}"));
}

fn line(event: &Event) -> String {
    let service = event.service.unwrap_or_default();
    let task = event.task.as_deref().unwrap_or_default();
    format!(
        "{:>8.2} s  {service:<6}  {task:<12}  {}",
        event.ts, event.message
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_time_the_service_the_task_and_what_happened() {
        let event = Event {
            ts: 12.345,
            phase: "during",
            kind: "task",
            service: Some("api"),
            task: Some("task-7 new".to_owned()),
            message: "RUNNING".to_owned(),
        };
        assert_eq!(line(&event), "   12.35 s  api     task-7 new    RUNNING");
    }
}
