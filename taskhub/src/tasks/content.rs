//! What a person may say about a task, and what is wrong with it.

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Priority, Status, Task};
use crate::{
    Error, Result, Violation,
    due::{Columns, When, WhenChanges},
    search,
};

pub const TITLE_CHARACTERS: usize = 500;
pub const DESCRIPTION_BYTES: usize = 64 * 1024;
pub const LABELS: usize = 50;
pub const LABEL_CHARACTERS: usize = 100;
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// A task to be.
#[derive(Clone, Debug, Default)]
pub struct NewTask {
    /// Chosen by the client, so that it may safely ask twice; made here otherwise.
    pub id: Option<Uuid>,
    /// The inbox where absent.
    pub project_id: Option<Uuid>,
    pub parent_id: Option<Uuid>,
    pub title: String,
    pub description: String,
    pub status: Status,
    pub priority: Priority,
    pub due: Option<When>,
    pub start: Option<When>,
    pub labels: Vec<String>,
}

/// A merge patch (RFC 7396): `None` leaves a field as it is, `Some(None)` clears it.
#[derive(Clone, Debug, Default)]
pub struct TaskChanges {
    pub project_id: Option<Uuid>,
    pub parent_id: Option<Option<Uuid>>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub status: Option<Status>,
    pub priority: Option<Priority>,
    pub due: Option<Option<WhenChanges>>,
    pub start: Option<Option<WhenChanges>>,
    pub labels: Option<Vec<String>>,
}

impl NewTask {
    /// Whether `first` is how this very task began.
    pub(super) fn describes(&self, first: &Task) -> bool {
        let Self {
            id,
            project_id,
            parent_id,
            title,
            description,
            status,
            priority,
            due,
            start,
            labels,
        } = self;
        *id == Some(first.id)
            && project_id.is_none_or(|project_id| project_id == first.project_id)
            && *parent_id == first.parent_id
            && *title == first.title
            && *description == first.description
            && *status == first.status
            && *priority == first.priority
            && *due == first.due
            && *start == first.start
            && distinct(labels) == first.labels
    }

    /// All columns, as `jsonb_populate_record` takes them.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub(super) fn columns(&self) -> Result<Value> {
        let changes = TaskChanges {
            project_id: self.project_id,
            parent_id: Some(self.parent_id),
            title: Some(self.title.clone()),
            description: Some(self.description.clone()),
            status: Some(self.status),
            priority: Some(self.priority),
            due: Some(self.due.clone().map(WhenChanges::from)),
            start: Some(self.start.clone().map(WhenChanges::from)),
            labels: Some(self.labels.clone()),
        };
        let mut columns = changes.columns()?;
        columns.extend(changes.dates(None)?);
        Ok(columns.into())
    }
}

impl TaskChanges {
    /// The columns that change, as `jsonb_populate_record` takes them; but for those of
    /// [`TaskChanges::dates`].
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub(super) fn columns(&self) -> Result<Map<String, Value>> {
        let violations = self.violations();
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        let Self {
            project_id,
            parent_id,
            title,
            description,
            status,
            priority,
            due: _,
            start: _,
            labels,
        } = self;
        let mut columns = Map::new();
        let mut set = |column: &str, value: Option<Value>| {
            if let Some(value) = value {
                columns.insert(column.to_owned(), value);
            }
        };
        set("project_id", project_id.map(|id| json!(id)));
        set("parent_id", parent_id.map(|id| json!(id)));
        set("title", title.as_ref().map(|title| json!(title)));
        let words = title.as_deref().map(search::title_words);
        set("title_words", words.map(|words| json!(words)));
        set("description", description.as_ref().map(|text| json!(text)));
        let words = description.as_deref().map(search::description_words);
        set("description_words", words.map(|words| json!(words)));
        set("status", status.map(|status| json!(status)));
        set("priority", priority.map(|priority| json!(priority)));
        set(
            "labels",
            labels.as_ref().map(|labels| json!(distinct(labels))),
        );
        Ok(columns)
    }

    /// Whether the task as it is decides what [`TaskChanges::dates`] gives.
    pub(super) fn merges_dates(&self) -> bool {
        matches!(self.due, Some(Some(_))) || matches!(self.start, Some(Some(_)))
    }

    /// The columns of the due time and the start that change.
    ///
    /// # Errors
    /// [`Error::Invalid`] where what they become is none of the forms.
    pub(super) fn dates(&self, before: Option<&Task>) -> Result<Map<String, Value>> {
        let (due, start) =
            before.map_or((None, None), |task| (task.due.clone(), task.start.clone()));
        let mut columns = Map::new();
        let mut violations = Vec::new();
        for (prefix, changes, before) in [("due", &self.due, due), ("start", &self.start, start)] {
            let Some(changes) = changes else { continue };
            let after = changes
                .as_ref()
                .map(|changes| changes.apply(before, &format!("/{prefix}")));
            match after.transpose() {
                Ok(after) => columns.extend(date_columns(prefix, after)),
                Err(violation) => violations.push(violation),
            }
        }
        if violations.is_empty() {
            return Ok(columns);
        }
        Err(Error::Invalid(violations))
    }

    fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Some(title) = &self.title {
            check_length("/title", title, TITLE_CHARACTERS, &mut found);
            check_characters("/title", title, &mut found);
        }
        if let Some(description) = &self.description {
            if description.len() > DESCRIPTION_BYTES {
                let detail = format!("must have at most {DESCRIPTION_BYTES} bytes of UTF-8");
                found.push(violation("/description", "too-long", detail));
            }
            check_characters("/description", description, &mut found);
        }
        for (pointer, when) in [("/due", &self.due), ("/start", &self.start)] {
            if let Some(Some(changes)) = when {
                changes.check(pointer, &mut found);
            }
        }
        let labels = self.labels.as_deref().unwrap_or_default();
        if labels.len() > LABELS {
            let detail = format!("must have at most {LABELS} labels");
            found.push(violation("/labels", "too-many", detail));
        }
        for (index, label) in labels.iter().enumerate() {
            check_label(&format!("/labels/{index}"), label, &mut found);
        }
        found
    }
}

/// What is wrong with labels that stand at these pointers.
pub(crate) fn label_violations<'l>(
    labels: impl IntoIterator<Item = (&'static str, &'l str)>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (pointer, label) in labels {
        check_label(pointer, label, &mut found);
    }
    found
}

fn check_label(pointer: &str, label: &str, found: &mut Vec<Violation>) {
    check_length(pointer, label, LABEL_CHARACTERS, found);
    check_characters(pointer, label, found);
}

/// Whether a task can have been completed at this time. Clients' clocks are not exact, so a little of the
/// future is allowed.
pub(super) fn check_completed_at(at: DateTime<Utc>) -> Result<()> {
    const POINTER: &str = "/completed_at";
    if at > Utc::now() + CLOCK_TOLERANCE {
        return Err(Error::invalid(
            POINTER,
            "in-the-future",
            "must not be in the future",
        ));
    }
    // Years before the first are written in a way that JSON's readers do not know.
    if at.year() < 1 {
        return Err(Error::invalid(
            POINTER,
            "out-of-range",
            "must not be before the year 1",
        ));
    }
    Ok(())
}

fn date_columns(prefix: &str, when: Option<When>) -> [(String, Value); 4] {
    let Columns {
        date,
        local,
        at,
        time_zone,
    } = when.into();
    [
        (format!("{prefix}_date"), json!(date)),
        (format!("{prefix}_local"), json!(local)),
        (format!("{prefix}_at"), json!(at)),
        (format!("{prefix}_time_zone"), json!(time_zone)),
    ]
}

fn check_length(pointer: &str, text: &str, most: usize, found: &mut Vec<Violation>) {
    if text.is_empty() {
        found.push(violation(
            pointer,
            "too-short",
            "must not be empty".to_owned(),
        ));
    } else if text.chars().count() > most {
        let detail = format!("must have at most {most} characters");
        found.push(violation(pointer, "too-long", detail));
    }
}

/// PostgreSQL stores every character but this one.
fn check_characters(pointer: &str, text: &str, found: &mut Vec<Violation>) {
    if text.contains('\0') {
        let detail = "must not contain U+0000".to_owned();
        found.push(violation(pointer, "forbidden-character", detail));
    }
}

fn violation(pointer: &str, code: &'static str, detail: String) -> Violation {
    Violation {
        pointer: pointer.to_owned(),
        code,
        detail,
    }
}

/// Each label once, where it came first.
fn distinct(labels: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        if !distinct.contains(label) {
            distinct.push(label.clone());
        }
    }
    distinct
}
