//! Tasks: what people came for.
//!
//! Every function sees the actor's own tasks only; somebody else's do not exist for it. Each mutation
//! is one statement that locks the task, takes the workspace's next number last, and answers with
//! what it wrote to the record of changes.

mod content;
mod list;
mod moving;
mod positions;
mod row;
mod tree;
mod write;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

pub(crate) use self::content::label_violations;
pub use self::{
    content::{
        DESCRIPTION_BYTES, LABEL_CHARACTERS, LABELS, NewTask, TITLE_CHARACTERS, TaskChanges,
    },
    list::{COUNTED, Count, Due, Filter, Page, Position, Sort, SortKey, count, list},
    moving::{Move, Place, move_task},
    tree::LEVELS as SUBTASK_LEVELS,
};
use self::{
    row::{Row, find},
    write::Write,
};
use crate::{Deleted, Error, Refusal, Result, changes::Actor, due::When};

/// A task as it is. Serialises to what API clients see.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Task {
    pub id: Uuid,
    pub project_id: Uuid,
    pub parent_id: Option<Uuid>,
    /// Set while the parent is in the trash.
    #[serde(default)]
    pub parent_deleted_at: Option<DateTime<Utc>>,
    /// Its subtasks that are not deleted.
    #[serde(default)]
    pub children: Children,
    /// 1 to 500 characters.
    pub title: String,
    /// CommonMark, at most 64 KiB, verbatim.
    pub description: String,
    pub status: Status,
    pub priority: Priority,
    pub due: Option<When>,
    pub start: Option<When>,
    /// In the order they were given, each once.
    pub labels: Vec<String>,
    /// Compared byte by byte.
    pub position: String,
    pub created_at: DateTime<Utc>,
    pub created_by: Uuid,
    pub updated_at: DateTime<Utc>,
    /// Set exactly while the status is `done`.
    pub completed_at: Option<DateTime<Utc>>,
    pub completed_by: Option<Uuid>,
    pub deleted_at: Option<DateTime<Utc>>,
    /// One more with each change.
    pub version: i64,
    /// The number of its newest change in the workspace's record of changes.
    pub seq: i64,
}

/// How many subtasks a task has, one level down.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Children {
    pub total: i64,
    /// Those that are neither done nor cancelled.
    pub open: i64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    #[default]
    Todo,
    InProgress,
    Done,
    Cancelled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Priority {
    #[default]
    None,
    Low,
    Medium,
    High,
    Urgent,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Todo => "todo",
            Self::InProgress => "in_progress",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Priority {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// Adds a task, last in its project.
///
/// With an id of the client's choice it may be repeated: where that task exists and began just so,
/// it is given as it is now.
///
/// # Errors
/// [`Error::Invalid`], also for an unknown project or parent; [`Refusal::AlreadyExists`] where the
/// id stands for something else, be it the actor's deleted task or somebody else's.
pub async fn create(db: &mut PgConnection, actor: &Actor, new: &NewTask) -> Result<Task> {
    let columns = new.columns()?;
    if let Some(id) = new.id
        && let Some(task) = created_before(db, actor, id, new).await?
    {
        return Ok(task);
    }
    let id = new.id.unwrap_or_else(Uuid::now_v7);
    if let Some(parent_id) = new.parent_id {
        tree::check_parent(db, actor, id, parent_id).await?;
    }
    let row = sqlx::query_scalar!(
        r#"
        with home as (
            select project.workspace_id, project.id as project_id
            from project join workspace on workspace.id = project.workspace_id
            where workspace.owner_id = $3 and project.deleted_at is null
              and case when $2::jsonb ? 'project_id' then project.id = ($2 ->> 'project_id')::uuid else project.inbox end
        ), number as (
            update workspace set last_seq = last_seq + 1 from home where workspace.id = home.workspace_id
            returning last_seq as seq, clock_timestamp() as at
        ), created as (
            insert into task (
                id, workspace_id, project_id, parent_id, title, description, status, priority, due_date, due_local,
                due_at, due_time_zone, start_date, start_local, start_at, start_time_zone, labels, position, seq,
                created_at, created_by, updated_at, completed_at, completed_by, title_words, description_words, words_seq)
            select
                $1, home.workspace_id, home.project_id, new.parent_id, new.title, new.description, new.status,
                new.priority, new.due_date, new.due_local, new.due_at, new.due_time_zone, new.start_date,
                new.start_local, new.start_at, new.start_time_zone, new.labels, first_position(number.seq), number.seq,
                number.at, $3, number.at,
                case new.status when 'done' then number.at end, case new.status when 'done' then $3 end,
                words_in(home.workspace_id, $2 ->> 'title_words'),
                words_in(home.workspace_id, $2 ->> 'description_words'), number.seq
            from home, number, jsonb_populate_record(null::task, $2) as new
            returning *
        )
        insert into change (workspace_id, seq, entity, entity_id, version, op, fields, after, actor, request_id, at)
        select workspace_id, seq, 'task', id, version, 'created', changed_fields(null, to_jsonb(created)),
            without_words(to_jsonb(created)), $3, $4, created_at
        from created
        returning after as "task: Json<Row>"
        "#,
        id,
        columns,
        actor.user_id,
        actor.request_id,
    )
    .fetch_optional(db)
    .await
    .map_err(constraint)?;
    row.map(|Json(row)| row.into()).ok_or_else(unknown_project)
}

/// # Errors
/// [`Refusal::NotFound`].
pub async fn get(db: &mut PgConnection, actor: &Actor, id: Uuid) -> Result<Task> {
    find(db, actor, id)
        .await?
        .filter(|task| task.deleted_at.is_none())
        .ok_or(Refusal::NotFound.into())
}

/// Merges `changes` into a task; what changes nothing leaves no trace.
///
/// `versions` is a condition: unless it is empty, the task has to be at one of them.
///
/// # Errors
/// [`Error::Invalid`], also for an unknown project or parent, and where a due time or a start would
/// be none of the forms; [`Refusal::NotFound`]; [`Refusal::VersionMismatch`]; [`Refusal::InvalidTransition`] where moving to another project
/// would part the task from its parent or its subtasks.
pub async fn update(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
    changes: &TaskChanges,
) -> Result<Task> {
    let mut columns = changes.columns()?;
    if let Some(project_id) = changes.project_id {
        check_project(db, actor, project_id).await?;
    }
    if let Some(Some(parent_id)) = changes.parent_id {
        tree::check_parent(db, actor, id, parent_id).await?;
    }
    let before = match changes.merges_dates() {
        true => Some(write::lock(db, actor, id, versions).await?),
        false => None,
    };
    columns.extend(changes.dates(before.as_ref())?);
    let write = Write {
        op: "updated",
        columns: columns.into(),
        ..Write::default()
    };
    let outcome = write.run(db, actor, id, versions).await;
    outcome.map_err(|error| match (error, changes.parent_id) {
        (Error::Database(error), None) if breaks(&error, "task_parent_fkey") => {
            let detail = "a task stays in the project of its parent and its subtasks".to_owned();
            Refusal::InvalidTransition { detail }.into()
        }
        (Error::Database(error), _) => constraint(error),
        (error, _) => error,
    })
}

/// Hides a task until it is restored; its subtasks stay. Once deleted, deleting it again is fine,
/// whatever `versions` say.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn delete(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
) -> Result<()> {
    let write = Write {
        op: "deleted",
        // PostgreSQL's word for the time of the transaction.
        columns: json!({"deleted_at": "now"}),
        ..Write::default()
    };
    match write.run(db, actor, id, versions).await {
        Err(Error::Refused(Refusal::NotFound)) if find(db, actor, id).await?.is_some() => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Brings a deleted task back as it was; one that is not deleted stays as it is.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn restore(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
) -> Result<Task> {
    let write = Write {
        op: "restored",
        columns: json!({"deleted_at": null}),
        even_deleted: true,
        ..Write::default()
    };
    write.run(db, actor, id, versions).await
}

/// Makes a task `done` as of `at`, or of now. One that is done takes another `at`, and stays as it is without.
///
/// # Errors
/// [`Error::Invalid`] for a time to come; [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn complete(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
    at: Option<DateTime<Utc>>,
) -> Result<Task> {
    let mut columns = json!({"status": Status::Done});
    if let Some(at) = at {
        content::check_completed_at(at)?;
        columns["completed_at"] = json!(at);
    }
    let write = Write {
        op: "updated",
        columns,
        ..Write::default()
    };
    write.run(db, actor, id, versions).await
}

/// Makes a task that is done or cancelled `todo`; an open one stays as it is.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn reopen(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
) -> Result<Task> {
    let write = Write {
        op: "updated",
        columns: json!({"status": Status::Todo}),
        unless: &[Status::Todo, Status::InProgress],
        ..Write::default()
    };
    write.run(db, actor, id, versions).await
}

/// The actor's task `id`, where it began just as `new` says. The id is the transaction's from here
/// on, so that of two equal requests at once the second finds what the first made.
///
/// # Errors
/// [`Refusal::AlreadyExists`] where the task is in the trash.
async fn created_before(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    new: &NewTask,
) -> Result<Option<Task>> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('task ' || $1::text, 0))",
        id.to_string(),
    )
    .execute(&mut *db)
    .await?;
    let Some(task) = find(db, actor, id).await? else {
        return Ok(None);
    };
    if let Some(at) = task.deleted_at {
        return Err(Refusal::AlreadyExists {
            what: "the id".to_owned(),
            deleted: Some(Deleted { task_id: id, at }),
        }
        .into());
    }
    let first = sqlx::query_scalar!(
        // The newest: the id is free again once the trash has been emptied.
        r#"
        select after as "first: Json<Row>" from change where entity_id = $1 and op = 'created'
        order by seq desc limit 1
        "#,
        id,
    )
    .fetch_one(db)
    .await?;
    Ok(new.describes(&first.0.into()).then_some(task))
}

async fn check_project(db: &mut PgConnection, actor: &Actor, id: Uuid) -> Result<()> {
    let exists = sqlx::query_scalar!(
        r#"
        select exists (
            select from project join workspace on workspace.id = project.workspace_id
            where project.id = $1 and workspace.owner_id = $2 and project.deleted_at is null
        ) as "exists!"
        "#,
        id,
        actor.user_id,
    )
    .fetch_one(db)
    .await?;
    if exists {
        Ok(())
    } else {
        Err(unknown_project())
    }
}

fn unknown_project() -> Error {
    Error::invalid("/project_id", "unknown-project", "there is no such project")
}

fn constraint(error: sqlx::Error) -> Error {
    if breaks(&error, "task_pkey") {
        return Refusal::AlreadyExists {
            what: "the id".to_owned(),
            deleted: None,
        }
        .into();
    }
    if breaks(&error, "task_parent_fkey") {
        return Error::invalid(
            "/parent_id",
            "other-project",
            "a subtask is in the project of its parent",
        );
    }
    error.into()
}

fn breaks(error: &sqlx::Error, constraint: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.constraint() == Some(constraint))
}
