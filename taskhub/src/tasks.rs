//! Tasks: what people came for.
//!
//! Every function sees the actor's own tasks only; somebody else's do not exist for it. Each mutation
//! is one statement that locks the task, takes the workspace's next number last, and answers with
//! what it wrote to the record of changes.

mod content;
mod list;
mod tree;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

pub use self::{
    content::{NewTask, TaskChanges},
    list::{Count, Due, Filter, Page, Position, Sort, SortKey, count, list},
};
use crate::{
    Error, Refusal, Result,
    changes::Actor,
    due::{Columns, When},
};

/// A task as it is. Serialises to what API clients see.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Task {
    pub id: Uuid,
    pub project_id: Uuid,
    pub parent_id: Option<Uuid>,
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
/// id stands for something else.
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
                created_at, created_by, updated_at, completed_at, completed_by)
            select
                $1, home.workspace_id, home.project_id, new.parent_id, new.title, new.description, new.status,
                new.priority, new.due_date, new.due_local, new.due_at, new.due_time_zone, new.start_date,
                new.start_local, new.start_at, new.start_time_zone, new.labels, first_position(number.seq), number.seq,
                number.at, $3, number.at,
                case new.status when 'done' then number.at end, case new.status when 'done' then $3 end
            from home, number, jsonb_populate_record(null::task, $2) as new
            returning *
        )
        insert into change (workspace_id, seq, entity, entity_id, version, op, fields, after, actor, request_id, at)
        select workspace_id, seq, 'task', id, version, 'created', changed_fields(null, to_jsonb(created)),
            to_jsonb(created), $3, $4, created_at
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
/// [`Error::Invalid`], also for an unknown project or parent; [`Refusal::NotFound`];
/// [`Refusal::VersionMismatch`]; [`Refusal::InvalidTransition`] where moving to another project
/// would part the task from its parent or its subtasks.
pub async fn update(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
    changes: &TaskChanges,
) -> Result<Task> {
    let columns = changes.columns()?;
    if let Some(project_id) = changes.project_id {
        check_project(db, actor, project_id).await?;
    }
    if let Some(Some(parent_id)) = changes.parent_id {
        tree::check_parent(db, actor, id, parent_id).await?;
    }
    let write = Write {
        op: "updated",
        columns,
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

/// Makes a task `done`, unless it is.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub async fn complete(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
) -> Result<Task> {
    let write = Write {
        op: "updated",
        columns: json!({"status": Status::Done}),
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

/// A change of one existing task.
#[derive(Default)]
struct Write {
    /// What the record of changes calls it.
    op: &'static str,
    columns: Value,
    even_deleted: bool,
    /// The statuses in which there is nothing to do.
    unless: &'static [Status],
}

impl Write {
    async fn run(
        self,
        db: &mut PgConnection,
        actor: &Actor,
        id: Uuid,
        versions: &[i64],
    ) -> Result<Task> {
        let unless: Vec<_> = self.unless.iter().map(|status| status.as_str()).collect();
        let row = sqlx::query_scalar!(
            r#"
            with current as (
                select task from task join workspace on workspace.id = task.workspace_id
                where task.id = $1 and workspace.owner_id = $2 and (task.deleted_at is null or $3)
                for no key update of task
            ), wanted as (
                select wanted.* from current, jsonb_populate_record(current.task, $4) as wanted
                where (cardinality($5::bigint[]) = 0 or (current.task).version = any ($5))
                  and (current.task).status <> all ($6::text[])
                  and changed_fields(to_jsonb(current.task), to_jsonb(wanted)) <> '{}'
            ), number as (
                update workspace set last_seq = last_seq + 1 from wanted where workspace.id = wanted.workspace_id
                returning last_seq as seq, clock_timestamp() as at
            ), changed as (
                update task set
                    project_id = wanted.project_id, parent_id = wanted.parent_id, title = wanted.title,
                    description = wanted.description, status = wanted.status, priority = wanted.priority,
                    due_date = wanted.due_date, due_local = wanted.due_local, due_at = wanted.due_at,
                    due_time_zone = wanted.due_time_zone, start_date = wanted.start_date,
                    start_local = wanted.start_local, start_at = wanted.start_at,
                    start_time_zone = wanted.start_time_zone, labels = wanted.labels, deleted_at = wanted.deleted_at,
                    completed_at = case wanted.status when 'done' then coalesce(wanted.completed_at, number.at) end,
                    completed_by = case wanted.status when 'done' then coalesce(wanted.completed_by, $2) end,
                    version = wanted.version + 1, seq = number.seq, updated_at = number.at
                from wanted, number
                where task.id = wanted.id
                returning task.*
            )
            insert into change
                (workspace_id, seq, entity, entity_id, version, op, fields, before, after, actor, request_id, at)
            select changed.workspace_id, changed.seq, 'task', changed.id, changed.version, $7,
                changed_fields(to_jsonb(current.task), to_jsonb(changed)), to_jsonb(current.task), to_jsonb(changed),
                $2, $8, changed.updated_at
            from current, changed
            returning after as "task: Json<Row>"
            "#,
            id,
            actor.user_id,
            self.even_deleted,
            self.columns,
            versions,
            &unless as &[&str],
            self.op,
            actor.request_id,
        )
        .fetch_optional(&mut *db)
        .await?;
        if let Some(Json(row)) = row {
            return Ok(row.into());
        }
        // Nothing was written; the lock still holds, so this is what the statement saw.
        let task = find(db, actor, id)
            .await?
            .filter(|task| self.even_deleted || task.deleted_at.is_none())
            .ok_or(Refusal::NotFound)?;
        if versions.is_empty() || versions.contains(&task.version) {
            return Ok(task);
        }
        Err(Refusal::VersionMismatch {
            current_version: task.version,
            current: json!(task),
        }
        .into())
    }
}

/// A task, be it deleted or not.
async fn find(db: &mut PgConnection, actor: &Actor, id: Uuid) -> Result<Option<Task>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select
            task.id, project_id, parent_id, title, description, status as "status: Status",
            priority as "priority: Priority", due_date, due_local, due_at, due_time_zone, start_date, start_local,
            start_at, start_time_zone, labels, position, task.created_at, created_by, updated_at, completed_at,
            completed_by, deleted_at, version, seq
        from task join workspace on workspace.id = task.workspace_id
        where task.id = $1 and workspace.owner_id = $2
        "#,
        id,
        actor.user_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Task::from))
}

/// The actor's task `id`, where it began just as `new` says. The id is the transaction's from here
/// on, so that of two equal requests at once the second finds what the first made.
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
    let Some(task) = find(db, actor, id)
        .await?
        .filter(|task| task.deleted_at.is_none())
    else {
        return Ok(None);
    };
    let first = sqlx::query_scalar!(
        r#"select after as "first: Json<Row>" from change where entity_id = $1 and op = 'created'"#,
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

/// The columns of a task, from the table or from the record of changes.
#[derive(Deserialize, sqlx::FromRow)]
struct Row {
    id: Uuid,
    project_id: Uuid,
    parent_id: Option<Uuid>,
    title: String,
    description: String,
    status: Status,
    priority: Priority,
    due_date: Option<NaiveDate>,
    due_local: Option<NaiveDateTime>,
    due_at: Option<DateTime<Utc>>,
    due_time_zone: Option<String>,
    start_date: Option<NaiveDate>,
    start_local: Option<NaiveDateTime>,
    start_at: Option<DateTime<Utc>>,
    start_time_zone: Option<String>,
    labels: Vec<String>,
    position: String,
    created_at: DateTime<Utc>,
    created_by: Uuid,
    updated_at: DateTime<Utc>,
    completed_at: Option<DateTime<Utc>>,
    completed_by: Option<Uuid>,
    deleted_at: Option<DateTime<Utc>>,
    version: i64,
    seq: i64,
}

impl From<Row> for Task {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            project_id: row.project_id,
            parent_id: row.parent_id,
            title: row.title,
            description: row.description,
            status: row.status,
            priority: row.priority,
            due: Columns {
                date: row.due_date,
                local: row.due_local,
                at: row.due_at,
                time_zone: row.due_time_zone,
            }
            .into(),
            start: Columns {
                date: row.start_date,
                local: row.start_local,
                at: row.start_at,
                time_zone: row.start_time_zone,
            }
            .into(),
            labels: row.labels,
            position: row.position,
            created_at: row.created_at,
            created_by: row.created_by,
            updated_at: row.updated_at,
            completed_at: row.completed_at,
            completed_by: row.completed_by,
            deleted_at: row.deleted_at,
            version: row.version,
            seq: row.seq,
        }
    }
}
