//! What a log line holds.

use std::{
    io,
    sync::{Arc, Mutex},
};

use secrecy::SecretString;
use taskhub::{
    settings::{Log, LogFormat},
    telemetry,
};
use tracing::Level;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panicked")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `work` logs.
fn logged(level: Level, format: LogFormat, work: impl FnOnce()) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = telemetry::subscriber(Log { level, format }, move || writer.clone());
    tracing::subscriber::with_default(subscriber, work);
    let bytes = lines.0.lock().expect("no writer panicked").clone();
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_line_is_one_object_with_the_fields_of_its_span() {
    let text = logged(Level::INFO, LogFormat::Json, || {
        let span = tracing::info_span!(target: "taskhub_api", "request", request_id = "r-1");
        let _inside = span.enter();
        tracing::info!(target: "taskhub_api", status = 200, "answered\nwell");
    });

    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "answered\nwell");
    assert_eq!(line["status"], 200);
    assert_eq!(line["span"]["request_id"], "r-1");
    assert!(line["timestamp"].is_string());
}

#[test]
fn libraries_only_warn_whatever_the_level() {
    let text = logged(Level::TRACE, LogFormat::Text, || {
        tracing::trace!(target: "taskhub_worker::relay", "ours");
        tracing::info!(target: "aws_smithy_runtime", "theirs");
        tracing::warn!(target: "sqlx::query", "slow");
    });

    assert!(text.contains("ours") && text.contains("slow"), "{text}");
    assert!(!text.contains("theirs"), "{text}");
}

#[test]
fn a_secret_cannot_be_logged() {
    let secret = SecretString::from("sentinel");
    let text = logged(Level::INFO, LogFormat::Json, || {
        tracing::info!(target: "taskhub", ?secret, "a careless line");
    });

    assert!(text.contains("a careless line"), "{text}");
    assert!(!text.contains("sentinel"), "{text}");
}
