//! Which task may be whose subtask.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Result, changes::Actor};

/// How many levels of subtasks a task may have.
pub const LEVELS: i64 = 5;

/// Lets the actor's other moves wait until the transaction ends: two at once could each be right and
/// together make a circle. A statement of its own, because the next one sees only what was committed before
/// it began.
pub(super) async fn lock(db: &mut PgConnection, actor: &Actor) -> Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('task tree ' || $1::text, 0))",
        actor.user_id.to_string(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Makes sure that `parent_id` is the actor's and, with `id` and its subtasks below it, neither deleted, too
/// deep nor its own ancestor. The parent that `id` has already is always right. The tree then stays as it was found until the transaction ends.
///
/// That both are in one project is left to `task_parent_fkey`.
pub(super) async fn check_parent(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    parent_id: Uuid,
) -> Result<()> {
    lock(db, actor).await?;
    let found = sqlx::query!(
        r#"
        with recursive ancestor as (
            select task.id, task.parent_id, task.deleted_at
            from task join workspace on workspace.id = task.workspace_id
            where task.id = $2 and workspace.owner_id = $3
            union all
            select task.id, task.parent_id, task.deleted_at from task join ancestor on task.id = ancestor.parent_id
        ), descendant as (
            select $1::uuid as id, 0::bigint as level
            union all
            select task.id, descendant.level + 1
            from task join descendant on task.parent_id = descendant.id
            -- A new parent below the task itself must not make this endless.
            where descendant.level <= $4
        )
        select
            count(*) as "above!",
            coalesce(bool_or(ancestor.id = $1), false) as "circular!",
            (select max(level) from descendant) as "below!",
            coalesce(bool_or(ancestor.id = $2 and ancestor.deleted_at is not null), false) as "deleted!",
            exists (
                select from task join workspace on workspace.id = task.workspace_id
                where task.id = $1 and task.parent_id = $2 and workspace.owner_id = $3
            ) as "stands!"
        from ancestor
        "#,
        id,
        parent_id,
        actor.user_id,
        LEVELS,
    )
    .fetch_one(db)
    .await?;
    if found.stands {
        Ok(())
    } else if found.above == 0 {
        Err(Error::invalid(
            "/parent_id",
            "unknown-parent",
            "there is no such task",
        ))
    } else if found.deleted {
        Err(Error::invalid(
            "/parent_id",
            "deleted-parent",
            "this task is in the trash; restore it first",
        ))
    } else if found.circular {
        Err(Error::invalid(
            "/parent_id",
            "circular",
            "a task cannot be below itself",
        ))
    } else if found.above + found.below > LEVELS {
        let detail = format!("a task has at most {LEVELS} levels of subtasks");
        Err(Error::invalid("/parent_id", "too-deep", detail))
    } else {
        Ok(())
    }
}
