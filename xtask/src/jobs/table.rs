//! Answers as a person reads them.

use std::fmt::Write as _;

use serde_json::Value;

pub(super) fn jobs(jobs: &[Value]) -> String {
    if jobs.is_empty() {
        return "no such jobs\n".to_owned();
    }
    let rows = jobs.iter().map(|job| {
        [
            text(&job["id"]),
            text(&job["kind"]),
            state(job),
            attempts(job),
            text(when(job).1),
            text(&job["last_error"]),
        ]
    });
    columns(
        ["ID", "KIND", "STATE", "ATTEMPT", "WHEN", "LAST ERROR"],
        rows,
    )
}

pub(super) fn job(job: &Value) -> String {
    let mut facts = vec![
        ("id", text(&job["id"])),
        ("kind", text(&job["kind"])),
        ("state", state(job)),
        (
            "queue",
            format!(
                "{}, priority {}",
                text(&job["queue"]),
                text(&job["priority"])
            ),
        ),
        ("attempt", attempts(job)),
        ("crashes", text(&job["crashes"])),
        ("enqueued", text(&job["created_at"])),
        (when(job).0, text(when(job).1)),
    ];
    let rest = [
        ("worker", "worker_id"),
        ("user", "user_id"),
        ("workspace", "workspace_id"),
        ("trace", "trace_id"),
        ("arguments", "args"),
        ("progress", "progress"),
        ("result", "result"),
        ("last error", "last_error"),
    ];
    let rest = rest.map(|(name, field)| (name, text(&job[field])));
    facts.extend(rest.into_iter().filter(|(_, text)| text != "-"));
    if job["deferrals"].as_i64().is_some_and(|count| count > 0) {
        facts.push(("put off", format!("{} times", text(&job["deferrals"]))));
    }
    let mut shown = String::new();
    for (name, value) in facts {
        let _ = writeln!(shown, "{name:<11}{value}");
    }
    let log = job["log"].as_array().into_iter().flatten();
    let rows: Vec<_> = log
        .map(|entry| {
            ["at", "attempt", "outcome", "worker_id", "error"].map(|field| text(&entry[field]))
        })
        .collect();
    if !rows.is_empty() {
        shown.push('\n');
        shown += &columns(["AT", "ATTEMPT", "OUTCOME", "WORKER", "ERROR"], rows);
    }
    shown
}

/// What became of an order.
pub(super) fn outcome(job: &Value) -> String {
    format!("{}  {}\n", text(&job["id"]), state(job))
}

pub(super) fn stats(stats: &Value) -> String {
    let mut shown = kinds(stats);
    let list = |field: &str| stats[field].as_array().is_some_and(|list| !list.is_empty());
    if list("pauses") {
        shown = format!("{shown}\n{}", pauses(&stats["pauses"]));
    }
    for limit in stats["limits"].as_array().into_iter().flatten() {
        let [name, jobs, seconds] =
            ["name", "jobs", "period_seconds"].map(|field| text(&limit[field]));
        let _ = write!(
            shown,
            "\nlimit of {name}: {jobs} jobs begin in {seconds} s at most\n"
        );
    }
    shown
}

/// What is paused, by whom and since when.
pub(super) fn pauses(pauses: &Value) -> String {
    let rows: Vec<_> = pauses
        .as_array()
        .into_iter()
        .flatten()
        .map(|pause| {
            ["scope", "name", "paused_at", "paused_by_username", "reason"]
                .map(|field| text(&pause[field]))
        })
        .collect();
    if rows.is_empty() {
        return "nothing is paused\n".to_owned();
    }
    columns(["PAUSED", "NAME", "SINCE", "BY", "REASON"], rows)
}

fn kinds(stats: &Value) -> String {
    let kinds = stats["data"].as_array().cloned().unwrap_or_default();
    if kinds.is_empty() {
        return "nothing waits, runs or is dead, and no attempt was made lately\n".to_owned();
    }
    let rows = kinds.iter().map(|kind| {
        [
            "queue",
            "kind",
            "due",
            "paused",
            "oldest_seconds",
            "scheduled",
            "running",
            "dead",
            "succeeded",
            "failed",
            "lost",
            "died",
        ]
        .map(|field| text(&kind[field]))
    });
    let header = [
        "QUEUE",
        "KIND",
        "DUE",
        "PAUSED",
        "OLDEST S",
        "SCHEDULED",
        "RUNNING",
        "DEAD",
        "SUCCEEDED",
        "FAILED",
        "LOST",
        "DIED",
    ];
    format!(
        "{}\nSUCCEEDED to DIED: attempts of the last {} s\n",
        columns(header, rows),
        text(&stats["period_seconds"])
    )
}

fn state(job: &Value) -> String {
    match (&job["state"], &job["cancel_requested"]) {
        (Value::String(state), Value::Bool(true)) if state == "running" => {
            "running, is being cancelled".to_owned()
        }
        (state, _) => text(state),
    }
}

fn attempts(job: &Value) -> String {
    format!("{}/{}", text(&job["attempt"]), text(&job["max_attempts"]))
}

/// The time that says most, and what it is.
fn when(job: &Value) -> (&'static str, &Value) {
    let finished = &job["finished_at"];
    if finished.is_null() {
        ("due", &job["due_at"])
    } else {
        ("finished", finished)
    }
}

/// On one line and without what steers a terminal: an error may quote what a stranger's server said.
fn text(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    text.chars()
        .map(|character| match character.is_control() {
            true => ' ',
            false => character,
        })
        .collect()
}

/// Columns as wide as their widest text.
fn columns<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![header.map(str::to_owned)];
    lines.extend(rows);
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut shown = String::new();
    for line in lines {
        let cells = line.iter().zip(widths);
        let padded: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        shown += padded.join("  ").trim_end();
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_texts() {
        let dead = json!({
            "id": "0f8c", "kind": "welcome_email", "state": "dead", "attempt": 10, "max_attempts": 10,
            "due_at": "2026-11-24T09:00:00Z", "finished_at": "2026-11-24T09:10:01Z", "last_error": "refused\u{1b}[2J\n",
        });
        let running = json!({
            "id": "1a", "kind": "empty_trash", "state": "running", "cancel_requested": true, "attempt": 1,
            "max_attempts": 10, "due_at": "2026-11-24T09:00:00Z", "finished_at": null, "last_error": null,
        });
        assert_eq!(
            jobs(&[dead, running]),
            "ID    KIND           STATE                        ATTEMPT  WHEN                  LAST ERROR\n\
             0f8c  welcome_email  dead                         10/10    2026-11-24T09:10:01Z  refused [2J\n\
             1a    empty_trash    running, is being cancelled  1/10     2026-11-24T09:00:00Z  -\n"
        );
        assert_eq!(jobs(&[]), "no such jobs\n");
    }

    #[test]
    fn counts_are_followed_by_pauses_and_limits() {
        let quiet = json!({ "data": [], "pauses": [], "limits": [] });
        assert_eq!(
            stats(&quiet),
            "nothing waits, runs or is dead, and no attempt was made lately\n"
        );
        let pause = json!({
            "scope": "kind", "name": "welcome_email", "paused_at": "t", "paused_by_username": "ada", "reason": null,
        });
        let limit = json!({ "name": "mail", "jobs": 14, "period_seconds": 1 });
        let shown = stats(&json!({ "data": [], "pauses": [pause], "limits": [limit] }));
        assert!(
            shown.ends_with(
                "\nPAUSED  NAME           SINCE  BY   REASON\n\
                 kind    welcome_email  t      ada  -\n\
                 \nlimit of mail: 14 jobs begin in 1 s at most\n"
            ),
            "{shown}"
        );
        assert_eq!(pauses(&json!([])), "nothing is paused\n");
    }

    #[test]
    fn a_job_is_shown_with_what_is_known_of_it() {
        let shown = job(&json!({
            "id": "0f8c", "kind": "welcome_email", "state": "dead", "queue": "default", "priority": 100, "attempt": 1,
            "max_attempts": 1, "crashes": 0, "created_at": "t0", "due_at": "t1", "finished_at": "t2", "worker_id": null,
            "args": { "user_id": "u" }, "last_error": "refused",
            "log": [{ "at": "t2", "attempt": 1, "outcome": "dead", "worker_id": "w", "error": "refused" }],
        }));
        assert!(
            shown.contains("arguments  {\"user_id\":\"u\"}\n"),
            "{shown}"
        );
        assert!(shown.contains("finished   t2\n"), "{shown}");
        assert!(!shown.contains("worker "), "{shown}");
        assert!(
            shown.ends_with("t2  1        dead     w       refused\n"),
            "{shown}"
        );
    }
}
