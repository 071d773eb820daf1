//! Tasks as they travel.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::MaybeUndefined};
use taskhub::{Error, due, tasks};
use uuid::Uuid;

use super::{
    terms::{TaskPriority, TaskStatus},
    when::{When, WhenChanges},
};
use crate::{response, timestamp::Timestamp};

/// Something to do.
#[derive(Object)]
pub(crate) struct Task {
    id: Uuid,
    project_id: Uuid,
    /// The task that this one is a part of.
    parent_id: Option<Uuid>,
    /// When the parent was deleted, while it is in the trash: `GET` of `parent_id` is 404 then, until the parent
    /// is restored or this task is moved.
    parent_deleted_at: Option<Timestamp>,
    children: TaskChildren,
    title: String,
    /// CommonMark, stored as it came.
    description: String,
    status: TaskStatus,
    priority: TaskPriority,
    due: Option<When>,
    start: Option<When>,
    labels: Vec<String>,
    /// Sorts the tasks of a project, compared byte by byte.
    position: String,
    created_at: Timestamp,
    /// The user who made it.
    created_by: Uuid,
    updated_at: Timestamp,
    /// Set exactly while the status is `done`.
    completed_at: Option<Timestamp>,
    /// The user who completed it.
    completed_by: Option<Uuid>,
    deleted_at: Option<Timestamp>,
    /// One more with each change. In quotes it is an `If-Match`. The `ETag` begins with it.
    version: i64,
    /// The number of its newest change among all changes of the workspace.
    seq: i64,
}

/// The subtasks of a task, one level down and without deleted ones.
#[derive(Object)]
pub(crate) struct TaskChildren {
    total: i64,
    /// Those that are neither done nor cancelled.
    open: i64,
}

/// The entity tag of a task: its version, and what else its representation holds. A subtask that is completed, or
/// a parent that is deleted, changes the latter without a new version.
pub(crate) fn etag(task: &tasks::Task) -> String {
    let tasks::Children { total, open } = task.children;
    match task.parent_deleted_at {
        Some(at) => {
            let at = at.timestamp_micros();
            format!("\"{}-{total}.{open}.{at}\"", task.version)
        }
        None if total > 0 => format!("\"{}-{total}.{open}\"", task.version),
        None => response::etag(task.version),
    }
}

impl From<tasks::Task> for Task {
    fn from(task: tasks::Task) -> Self {
        let tasks::Task {
            id,
            project_id,
            parent_id,
            parent_deleted_at,
            children,
            title,
            description,
            status,
            priority,
            due,
            start,
            labels,
            position,
            created_at,
            created_by,
            updated_at,
            completed_at,
            completed_by,
            deleted_at,
            version,
            seq,
        } = task;
        Self {
            id,
            project_id,
            parent_id,
            parent_deleted_at: parent_deleted_at.map(Timestamp::from),
            children: TaskChildren {
                total: children.total,
                open: children.open,
            },
            title,
            description,
            status: status.into(),
            priority: priority.into(),
            due: due.map(When::from),
            start: start.map(When::from),
            labels,
            position,
            created_at: created_at.into(),
            created_by,
            updated_at: updated_at.into(),
            completed_at: completed_at.map(Timestamp::from),
            completed_by,
            deleted_at: deleted_at.map(Timestamp::from),
            version,
            seq,
        }
    }
}

/// A task to add. All but the title may be left out.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct NewTask {
    /// An id of your choice, best a UUID of version 7. Sending the same task with the same id again is safe and
    /// answers the task as it is by then.
    id: Option<Uuid>,
    /// Your inbox, unless you say otherwise.
    project_id: Option<Uuid>,
    /// A task of the same project that this one is a part of. There are at most five levels.
    parent_id: Option<Uuid>,
    #[oai(validator(min_length = 1, max_length = 500))]
    title: String,
    /// CommonMark, at most 64 KiB of UTF-8, stored as it came.
    #[oai(default, validator(max_length = 65_536))]
    description: String,
    #[oai(default = "TaskStatus::todo")]
    status: TaskStatus,
    #[oai(default = "TaskPriority::none")]
    priority: TaskPriority,
    due: Option<When>,
    start: Option<When>,
    /// Repeated ones count once.
    #[oai(default, validator(max_items = 50, min_length = 1, max_length = 100))]
    labels: Vec<String>,
}

impl From<NewTask> for tasks::NewTask {
    fn from(new: NewTask) -> Self {
        let NewTask {
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
        } = new;
        Self {
            id,
            project_id,
            parent_id,
            title,
            description,
            status: status.into(),
            priority: priority.into(),
            due: due.map(due::When::from),
            start: start.map(due::When::from),
            labels,
        }
    }
}

/// What to change of a task; what is left out stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct TaskChanges {
    project_id: Option<Uuid>,
    /// `null` takes the task out of its parent.
    parent_id: MaybeUndefined<Uuid>,
    #[oai(validator(min_length = 1, max_length = 500))]
    title: Option<String>,
    /// CommonMark, at most 64 KiB of UTF-8, stored as it came.
    #[oai(validator(max_length = 65_536))]
    description: Option<String>,
    status: Option<TaskStatus>,
    priority: Option<TaskPriority>,
    /// `null` takes it away.
    due: MaybeUndefined<WhenChanges>,
    /// `null` takes it away.
    start: MaybeUndefined<WhenChanges>,
    /// All labels from now on.
    #[oai(validator(max_items = 50, min_length = 1, max_length = 100))]
    labels: Option<Vec<String>>,
}

impl From<TaskChanges> for tasks::TaskChanges {
    fn from(changes: TaskChanges) -> Self {
        let TaskChanges {
            project_id,
            parent_id,
            title,
            description,
            status,
            priority,
            due,
            start,
            labels,
        } = changes;
        Self {
            project_id,
            parent_id: given(parent_id),
            title,
            description,
            status: status.map(tasks::Status::from),
            priority: priority.map(tasks::Priority::from),
            due: given(due).map(|due| due.map(due::WhenChanges::from)),
            start: given(start).map(|start| start.map(due::WhenChanges::from)),
            labels,
        }
    }
}

/// Where to move a task. What is left out stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct TaskMove {
    /// Its new parent, a task of the same project; `null` for the top level.
    parent_id: MaybeUndefined<Uuid>,
    /// Put it directly before this task of the same project.
    before_id: Option<Uuid>,
    /// Put it directly after this task of the same project. Only one of the two can be given.
    after_id: Option<Uuid>,
}

impl TryFrom<TaskMove> for tasks::Move {
    type Error = Error;

    fn try_from(to: TaskMove) -> Result<Self, Error> {
        let TaskMove {
            parent_id,
            before_id,
            after_id,
        } = to;
        let place = match (before_id, after_id) {
            (Some(_), Some(_)) => {
                let detail = "give before_id or after_id, not both";
                return Err(Error::invalid("/after_id", "conflicting", detail));
            }
            (Some(id), None) => Some(tasks::Place::Before(id)),
            (None, Some(id)) => Some(tasks::Place::After(id)),
            (None, None) => None,
        };
        Ok(Self {
            parent_id: given(parent_id),
            place,
        })
    }
}

/// When a task was completed.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct TaskCompletion {
    /// Now, unless you name an earlier time. It may lie before `created_at`, but not in the future; a clock
    /// that is up to five minutes fast is tolerated.
    completed_at: Option<Timestamp>,
}

impl TaskCompletion {
    pub(super) fn at(self) -> Option<DateTime<Utc>> {
        self.completed_at.map(|time| time.0)
    }
}

/// `None` where a field was left out, `Some(None)` where it was null.
pub(super) fn given<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// One page of tasks.
#[derive(Object)]
pub(crate) struct TaskPage {
    pub(super) data: Vec<Task>,
    /// Send it as `cursor`, with the same filters and order, for the next page.
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
    /// Of all pages, where `include_total` asks for it. Counted up to 10,000.
    pub(super) total: Option<i64>,
    /// Whether there are more than `total`.
    pub(super) total_is_lower_bound: Option<bool>,
}

/// How many tasks there are.
#[derive(Object)]
pub(crate) struct TaskCount {
    /// Counted up to 10,000.
    total: i64,
    /// Whether there are more than `total`.
    total_is_lower_bound: bool,
}

impl From<tasks::Count> for TaskCount {
    fn from(count: tasks::Count) -> Self {
        Self {
            total: count.total,
            total_is_lower_bound: count.is_lower_bound,
        }
    }
}
