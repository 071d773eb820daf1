//! How a task is stored.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Children, Priority, Status, Task};
use crate::{Result, changes::Actor, due::Columns};

/// The columns of a task, from the table or from the record of changes.
#[derive(Debug, Deserialize, sqlx::FromRow)]
pub(super) struct Row {
    pub(super) id: Uuid,
    project_id: Uuid,
    parent_id: Option<Uuid>,
    title: String,
    description: String,
    status: Status,
    priority: Priority,
    pub(super) due_date: Option<NaiveDate>,
    pub(super) due_local: Option<NaiveDateTime>,
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
    /// Not a column: of the task's parent.
    #[serde(skip)]
    parent_deleted_at: Option<DateTime<Utc>>,
    /// Not a column: of its subtasks.
    #[serde(skip)]
    children: Counts,
}

impl Row {
    /// What the record of changes does not hold.
    pub(super) fn with_relatives(
        self,
        parent_deleted_at: Option<DateTime<Utc>>,
        children: Counts,
    ) -> Self {
        Self {
            parent_deleted_at,
            children,
            ..self
        }
    }
}

/// `array[total, open]` of a task's subtasks.
#[derive(Debug, Default, sqlx::Type)]
#[sqlx(transparent, no_pg_array)]
pub(super) struct Counts(Vec<i64>);

impl From<Counts> for Children {
    fn from(Counts(counts): Counts) -> Self {
        let count = |index| counts.get(index).copied().unwrap_or_default();
        Self {
            total: count(0),
            open: count(1),
        }
    }
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
            parent_deleted_at: row.parent_deleted_at,
            children: row.children.into(),
        }
    }
}

/// A task, be it deleted or not.
pub(super) async fn find(db: &mut PgConnection, actor: &Actor, id: Uuid) -> Result<Option<Task>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select
            task.id, project_id, parent_id, title, description, status as "status: Status",
            priority as "priority: Priority", due_date, due_local, due_at, due_time_zone, start_date, start_local,
            start_at, start_time_zone, labels, position, task.created_at, created_by, updated_at, completed_at,
            completed_by, deleted_at, version, seq,
            (select deleted_at from task as parent where parent.id = task.parent_id) as parent_deleted_at,
            (
                select array[count(*), count(*) filter (where child.status in ('todo', 'in_progress'))]
                from task as child where child.parent_id = task.id and child.deleted_at is null
            ) as "children!: Counts"
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
