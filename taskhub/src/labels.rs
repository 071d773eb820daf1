//! Labels: the words that tasks carry. They have no row of their own; a label exists while a task has it.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Result, changes::Actor, tasks};

/// The most tasks that one call renames a label in.
pub const RENAMED: i64 = 1_000;

/// A label, and how many tasks have it, deleted ones left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub name: String,
    pub total: i64,
    /// Those that are neither done nor cancelled.
    pub open: i64,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub labels: Vec<Label>,
    pub has_more: bool,
}

/// What a call of [`rename`] did.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Renamed {
    /// How many tasks it changed.
    pub tasks: i64,
    /// Whether tasks are left that have the old label.
    pub has_more: bool,
}

/// Up to `limit` labels that come after `after`, in the order of a dictionary.
///
/// # Errors
/// Only where the database fails.
pub async fn list(
    db: &mut PgConnection,
    actor: &Actor,
    after: Option<&str>,
    limit: u8,
) -> Result<Page> {
    let limit = usize::from(limit);
    let mut labels = sqlx::query_as!(
        Label,
        r#"
        select name as "name!", total as "total!", open as "open!"
        from (
            select
                label collate "C" as name, count(*) as total,
                count(*) filter (where status in ('todo', 'in_progress')) as open
            from task, unnest(labels) as label
            where workspace_id = (select id from workspace where owner_id = $1) and deleted_at is null
            group by label collate "C"
        ) as counted
        where $2::text is null or name collate "und-x-icu" > $2
        order by name collate "und-x-icu"
        limit $3
        "#,
        actor.user_id,
        after,
        i64::try_from(limit + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(db)
    .await?;
    let has_more = labels.len() > limit;
    labels.truncate(limit);
    Ok(Page { labels, has_more })
}

/// Calls a label `to` in up to `most` tasks. A task that has both keeps one, where the first of them stood. Deleted
/// tasks stay as they were deleted.
///
/// # Errors
/// [`Error::Invalid`] for a name that no label can have.
pub async fn rename(
    db: &mut PgConnection,
    actor: &Actor,
    from: &str,
    to: &str,
    most: i64,
) -> Result<Renamed> {
    let violations = tasks::label_violations([("/from", from), ("/to", to)]);
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    if from == to {
        return Ok(Renamed {
            tasks: 0,
            has_more: false,
        });
    }
    let (ids, has_more) = carriers(db, actor, from, most).await?;
    let tasks = sqlx::query!(
        r#"
        with chosen as (
            -- In one order, before the workspace's number: whoever holds one of them waits for that.
            select task from task
            where id = any ($1) and deleted_at is null and labels @> array[$3::text]
            order by id
            for no key update
        ), wanted as (
            select
                task,
                row_number() over (order by (task).id) as number,
                array(
                    select label from (
                        select case label when $3 then $4::text else label end as label, place
                        from unnest((task).labels) with ordinality as given (label, place)
                    ) as renamed
                    group by label order by min(place)
                ) as labels
            from chosen
        ), number as (
            update workspace set last_seq = last_seq + (select count(*) from wanted)
            where owner_id = $2 and exists (select from wanted)
            returning last_seq - (select count(*) from wanted) as seq, clock_timestamp() as at
        ), changed as (
            update task set
                labels = wanted.labels, version = task.version + 1, seq = number.seq + wanted.number,
                updated_at = number.at
            from wanted, number
            where task.id = (wanted.task).id
            returning task.*
        )
        insert into change
            (workspace_id, seq, entity, entity_id, version, op, fields, before, after, actor, request_id, at)
        select changed.workspace_id, changed.seq, 'task', changed.id, changed.version, 'updated', '{labels}',
            without_words(to_jsonb(wanted.task)), without_words(to_jsonb(changed)), $2, $5, changed.updated_at
        from wanted join changed on changed.id = (wanted.task).id
        "#,
        &ids,
        actor.user_id,
        from,
        to,
        actor.request_id,
    )
    .execute(db)
    .await?
    .rows_affected();
    Ok(Renamed {
        tasks: tasks.cast_signed(),
        has_more,
    })
}

/// The oldest of the actor's tasks that have a label, up to `most`, and whether there are more.
async fn carriers(
    db: &mut PgConnection,
    actor: &Actor,
    label: &str,
    most: i64,
) -> Result<(Vec<Uuid>, bool)> {
    // The order keeps the planner within the workspace: a label may be common and this person may not have it.
    let mut ids = sqlx::query_scalar!(
        "
        select id from task
        where workspace_id = (select id from workspace where owner_id = $1) and deleted_at is null
          and labels @> array[$2::text]
        order by created_at, id
        limit $3
        ",
        actor.user_id,
        label,
        most + 1,
    )
    .fetch_all(db)
    .await?;
    let most = usize::try_from(most).unwrap_or_default();
    let has_more = ids.len() > most;
    ids.truncate(most);
    Ok((ids, has_more))
}
