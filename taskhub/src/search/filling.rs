//! The words of tasks that have none yet: those that were there before there were words, and those that
//! a program of an earlier release wrote.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{VERSION, description_words, title_words};
use crate::Result;

struct Text {
    id: Uuid,
    title: String,
    description: String,
}

/// Makes the words of up to `limit` tasks, and tells how many tasks it looked at; 0 where there is nothing left
/// to do. It changes nothing that anybody sees, so `change` has no row about it.
///
/// A task that somebody is just changing is left for the next time, so that nobody waits for this, nor this for
/// anybody.
///
/// # Errors
/// Where the database fails.
pub async fn fill(db: &PgPool, limit: i64) -> Result<u64> {
    let mut transaction = db.begin().await?;
    let filled = match fill_waiting(&mut transaction, limit).await? {
        0 => fill_next(&mut transaction, limit).await?,
        filled => filled,
    };
    transaction.commit().await?;
    Ok(filled)
}

/// What triggers put down for this. A task that is gone needs no words.
async fn fill_waiting(db: &mut PgConnection, limit: i64) -> Result<u64> {
    let waiting = sqlx::query!(
        "select workspace_id, task_id from task_unindexed order by workspace_id, task_id limit $1",
        limit,
    )
    .fetch_all(&mut *db)
    .await?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let workspaces: Vec<Uuid> = waiting.iter().map(|waiting| waiting.workspace_id).collect();
    let ids: Vec<Uuid> = waiting.iter().map(|waiting| waiting.task_id).collect();
    let texts = lock(db, &ids).await?;
    let locked: BTreeSet<Uuid> = texts.iter().map(|text| text.id).collect();
    let there = sqlx::query_scalar!("select id from task where id = any ($1)", &ids)
        .fetch_all(&mut *db)
        .await?;
    let busy: BTreeSet<Uuid> = there
        .into_iter()
        .filter(|id| !locked.contains(id))
        .collect();
    store(db, texts).await?;
    let done: Vec<Uuid> = ids.into_iter().filter(|id| !busy.contains(id)).collect();
    sqlx::query!(
        "delete from task_unindexed where workspace_id = any ($1) and task_id = any ($2)",
        &workspaces,
        &done,
    )
    .execute(db)
    .await?;
    Ok(done.len() as u64)
}

/// Those of these tasks that nobody is just changing.
async fn lock(db: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Text>> {
    let texts = sqlx::query_as!(
        Text,
        "select id, title, description from task where id = any ($1) for no key update skip locked",
        ids,
    );
    Ok(texts.fetch_all(db).await?)
}

/// All tasks in the order of their ids, once for each version of the rules. A task that is added meanwhile
/// has its words, or waits.
async fn fill_next(db: &mut PgConnection, limit: i64) -> Result<u64> {
    // Only one worker does this. One that knows older rules than another leaves it to that.
    let Some(fill) = sqlx::query!(
        "select version, last_id, done from search_fill where single for update skip locked"
    )
    .fetch_optional(&mut *db)
    .await?
    else {
        return Ok(0);
    };
    if fill.version > VERSION || (fill.version == VERSION && fill.done) {
        return Ok(0);
    }
    let last_id = fill.last_id.filter(|_| fill.version == VERSION);
    let ids = sqlx::query_scalar!(
        "select id from task where id > $1 order by id limit $2",
        last_id.unwrap_or_else(Uuid::nil),
        limit,
    )
    .fetch_all(&mut *db)
    .await?;
    let texts = lock(db, &ids).await?;
    let had: BTreeSet<Uuid> = texts.iter().map(|text| text.id).collect();
    let left: Vec<Uuid> = ids.iter().copied().filter(|id| !had.contains(id)).collect();
    store(db, texts).await?;
    sqlx::query!(
        "
        insert into task_unindexed (workspace_id, task_id)
        select workspace_id, id from task where id = any ($1)
        on conflict do nothing
        ",
        &left,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "update search_fill set version = $1, last_id = $2, done = $3 where single",
        VERSION,
        ids.last().copied().or(last_id),
        ids.is_empty(),
    )
    .execute(db)
    .await?;
    Ok(ids.len() as u64)
}

async fn store(db: &mut PgConnection, texts: Vec<Text>) -> Result<()> {
    let (mut ids, mut titles, mut descriptions) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        ids.push(text.id);
        titles.push(title_words(&text.title));
        descriptions.push(description_words(&text.description));
    }
    sqlx::query!(
        "
        update task set
            title_words = words_in(workspace_id, made.title_words),
            description_words = words_in(workspace_id, made.description_words)
        from unnest($1::uuid[], $2::text[], $3::text[]) as made (id, title_words, description_words)
        where task.id = made.id and (task.title_words, task.description_words) is distinct from
            (words_in(workspace_id, made.title_words), words_in(workspace_id, made.description_words))
        ",
        &ids,
        &titles,
        &descriptions,
    )
    .execute(db)
    .await?;
    Ok(())
}
