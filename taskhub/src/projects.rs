//! Lists of tasks, and the workspaces that hold them.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Result, changes::Actor};

/// Gives a person the workspace of their own, with its inbox, and returns its id.
///
/// # Errors
/// Only where the database fails, or the person has such a workspace already.
pub async fn create_personal_workspace(
    db: &mut PgConnection,
    user_id: Uuid,
    actor: &Actor,
) -> Result<Uuid> {
    let id = sqlx::query_scalar!(
        r#"
        with created as (
            insert into workspace (id, owner_id, name, last_seq) values ($1, $2, 'Personal', 1)
            returning *
        )
        insert into change (workspace_id, seq, entity, entity_id, version, op, fields, after, actor, request_id)
        select created.id, 1, 'workspace', created.id, 1, 'created',
            changed_fields(null, to_jsonb(created) - 'last_seq'), to_jsonb(created) - 'last_seq', $3, $4
        from created
        returning workspace_id
        "#,
        Uuid::now_v7(),
        user_id,
        actor.user_id,
        actor.request_id,
    )
    .fetch_one(&mut *db)
    .await?;
    create_inbox(db, id, actor).await?;
    Ok(id)
}

/// Adds the project that takes the tasks without one, and gives its id.
///
/// # Errors
/// Only where the database fails, or the workspace has an inbox already.
pub async fn create_inbox(
    db: &mut PgConnection,
    workspace_id: Uuid,
    actor: &Actor,
) -> Result<Uuid> {
    let id = sqlx::query_scalar!(
        r#"
        with number as (
            update workspace set last_seq = last_seq + 1 where id = $2 returning last_seq as seq
        ), created as (
            insert into project (id, workspace_id, name, inbox, position, seq)
            select $1, $2, 'Inbox', true, first_position(number.seq), number.seq from number
            returning *
        )
        insert into change (workspace_id, seq, entity, entity_id, version, op, fields, after, actor, request_id)
        select created.workspace_id, created.seq, 'project', created.id, created.version, 'created',
            changed_fields(null, to_jsonb(created)), to_jsonb(created), $3, $4
        from created
        returning entity_id
        "#,
        Uuid::now_v7(),
        workspace_id,
        actor.user_id,
        actor.request_id,
    )
    .fetch_one(db)
    .await?;
    Ok(id)
}
