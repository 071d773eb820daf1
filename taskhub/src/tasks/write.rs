//! The one statement behind every change of a task that exists.

use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    Status, Task,
    row::{Counts, Row, find},
};
use crate::{Current, Error, Refusal, Result, changes::Actor};

/// A change of one existing task.
#[derive(Default)]
pub(super) struct Write {
    /// What the record of changes calls it.
    pub(super) op: &'static str,
    /// The columns it overlays, as `jsonb_populate_record` takes them.
    pub(super) columns: Value,
    pub(super) even_deleted: bool,
    /// The statuses in which there is nothing to do.
    pub(super) unless: &'static [Status],
}

impl Write {
    /// Makes the change, unless it changes nothing, and gives the task as it is then.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::VersionMismatch`], and a broken constraint as it comes.
    pub(super) async fn run(
        self,
        db: &mut PgConnection,
        actor: &Actor,
        id: Uuid,
        versions: &[i64],
    ) -> Result<Task> {
        let unless: Vec<_> = self.unless.iter().map(|status| status.as_str()).collect();
        let written = sqlx::query!(
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
                    project_id = wanted.project_id, parent_id = wanted.parent_id, position = wanted.position,
                    title = wanted.title,
                    description = wanted.description, status = wanted.status, priority = wanted.priority,
                    due_date = wanted.due_date, due_local = wanted.due_local, due_at = wanted.due_at,
                    due_time_zone = wanted.due_time_zone, start_date = wanted.start_date,
                    start_local = wanted.start_local, start_at = wanted.start_at,
                    start_time_zone = wanted.start_time_zone, labels = wanted.labels, deleted_at = wanted.deleted_at,
                    title_words = coalesce(words_in(wanted.workspace_id, $4 ->> 'title_words'), wanted.title_words),
                    description_words = coalesce(
                        words_in(wanted.workspace_id, $4 ->> 'description_words'), wanted.description_words),
                    words_seq = case when $4 ?| '{title,description}' then number.seq else wanted.words_seq end,
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
                changed_fields(to_jsonb(current.task), to_jsonb(changed)), without_words(to_jsonb(current.task)),
                without_words(to_jsonb(changed)), $2, $8, changed.updated_at
            from current, changed
            returning
                after as "task: Json<Row>",
                (select deleted_at from task as parent where parent.id = (after ->> 'parent_id')::uuid) as parent_deleted_at,
                (
                    select array[count(*), count(*) filter (where child.status in ('todo', 'in_progress'))]
                    from task as child where child.parent_id = entity_id and child.deleted_at is null
                ) as "children!: Counts"
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
        if let Some(written) = written {
            let Json(row) = written.task;
            let row = row.with_relatives(written.parent_deleted_at, written.children);
            return Ok(row.into());
        }
        // Nothing was written; the lock still holds, so this is what the statement saw.
        let task = find(db, actor, id)
            .await?
            .filter(|task| self.even_deleted || task.deleted_at.is_none())
            .ok_or(Refusal::NotFound)?;
        check_version(task, versions)
    }
}

/// A task that is not deleted; until the transaction ends, nobody else changes it.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::VersionMismatch`].
pub(super) async fn lock(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
) -> Result<Task> {
    sqlx::query!(
        "
        select from task join workspace on workspace.id = task.workspace_id
        where task.id = $1 and workspace.owner_id = $2
        for no key update of task
        ",
        id,
        actor.user_id,
    )
    .execute(&mut *db)
    .await?;
    let task = find(db, actor, id)
        .await?
        .filter(|task| task.deleted_at.is_none())
        .ok_or(Refusal::NotFound)?;
    check_version(task, versions)
}

/// Gives back a task that is at one of `versions`, unless there are none.
fn check_version(task: Task, versions: &[i64]) -> Result<Task> {
    if versions.is_empty() || versions.contains(&task.version) {
        return Ok(task);
    }
    Err(version_mismatch(task))
}

/// Why a change is refused that was meant for another version of `task`.
pub(super) fn version_mismatch(task: Task) -> Error {
    Refusal::VersionMismatch {
        current_version: task.version,
        current: Current::Task(Box::new(task)),
    }
    .into()
}
