//! Putting tasks into an order by hand, and below other tasks.
//!
//! All moves of a person wait for one another (`tree::lock`), so that two of them never put two tasks in the same
//! place. New tasks do not wait: they come after all others, where no move puts anything.

use serde_json::{Map, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Task, positions,
    row::find,
    tree,
    write::{Write, version_mismatch},
};
use crate::{Error, Refusal, Result, changes::Actor};

/// Longer positions make the neighbourhood be numbered anew.
const LONGEST: usize = 24;

/// How many neighbours on each side are numbered anew at first. Where that does not make room, it is twice as many.
const NEIGHBOURS: i64 = 32;

/// Where a task is to stand. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Move {
    /// `Some(None)` for the top level.
    pub parent_id: Option<Option<Uuid>>,
    pub place: Option<Place>,
}

/// Next to a task of the same project, be it a sibling or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Before(Uuid),
    After(Uuid),
}

impl Place {
    const fn neighbour(self) -> Uuid {
        match self {
            Self::Before(id) | Self::After(id) => id,
        }
    }

    const fn pointer(self) -> &'static str {
        match self {
            Self::Before(_) => "/before_id",
            Self::After(_) => "/after_id",
        }
    }
}

/// A place in the order of a project.
#[derive(Clone, Debug)]
struct Spot {
    id: Uuid,
    position: String,
}

/// The tasks on both sides of a gap.
struct Gap {
    /// `None` at the beginning of the project.
    left: Option<Spot>,
    /// `None` at its end.
    right: Option<Spot>,
}

/// Moves a task with its subtasks within its project. A task that gets another parent and no place comes last.
/// A move that moves nothing leaves no trace.
///
/// Where the positions around its place have become long, its neighbours get new ones, and so new versions.
///
/// # Errors
/// [`Error::Invalid`] for an unknown or deleted neighbour or parent, a circle, or too many levels;
/// [`Refusal::NotFound`]; [`Refusal::VersionMismatch`].
pub async fn move_task(
    db: &mut PgConnection,
    actor: &Actor,
    id: Uuid,
    versions: &[i64],
    to: &Move,
) -> Result<Task> {
    tree::lock(db, actor).await?;
    let task = find(db, actor, id)
        .await?
        .filter(|task| task.deleted_at.is_none())
        .ok_or(Refusal::NotFound)?;
    if !versions.is_empty() && !versions.contains(&task.version) {
        return Err(version_mismatch(task));
    }
    let mut columns = Map::new();
    if let Some(parent_id) = to.parent_id {
        if let Some(parent_id) = parent_id {
            tree::check_parent(db, actor, id, parent_id).await?;
        }
        columns.insert("parent_id".to_owned(), json!(parent_id));
    }
    let becomes_last = to
        .parent_id
        .is_some_and(|parent_id| parent_id != task.parent_id);
    let gap = match to.place {
        Some(place) => gap_at(db, actor, &task, place).await?,
        None if becomes_last => end(db, &task).await?,
        None => None,
    };
    if let Some(gap) = gap {
        let position = make_room(db, actor, &task, gap).await?;
        columns.insert("position".to_owned(), json!(position));
    }
    let write = Write {
        op: "updated",
        columns: columns.into(),
        ..Write::default()
    };
    match write.run(db, actor, id, versions).await {
        Err(Error::Database(error)) => Err(super::constraint(error)),
        outcome => outcome,
    }
}

/// The gap that `place` names, unless the task stands there already.
async fn gap_at(
    db: &mut PgConnection,
    actor: &Actor,
    task: &Task,
    place: Place,
) -> Result<Option<Gap>> {
    let neighbour = neighbour(db, actor, task, place).await?;
    let beyond = match place {
        Place::Before(_) => before(db, task, &neighbour, 1).await?.pop(),
        Place::After(_) => after(db, task, &neighbour, 1).await?.pop(),
    };
    if beyond.as_ref().is_some_and(|spot| spot.id == task.id) {
        return Ok(None);
    }
    Ok(Some(match place {
        Place::Before(_) => Gap {
            left: beyond,
            right: Some(neighbour),
        },
        Place::After(_) => Gap {
            left: Some(neighbour),
            right: beyond,
        },
    }))
}

/// The end of the task's project, unless the task stands there already.
async fn end(db: &mut PgConnection, task: &Task) -> Result<Option<Gap>> {
    let beyond_all = Spot {
        id: Uuid::max(),
        // After every digit.
        position: "~".to_owned(),
    };
    let left = before(db, task, &beyond_all, 1).await?.pop();
    let stands = left.as_ref().is_some_and(|spot| spot.id == task.id);
    Ok((!stands).then_some(Gap { left, right: None }))
}

async fn neighbour(
    db: &mut PgConnection,
    actor: &Actor,
    task: &Task,
    place: Place,
) -> Result<Spot> {
    let refuse = |code, detail| Err(Error::invalid(place.pointer(), code, detail));
    let Some(neighbour) = find(db, actor, place.neighbour()).await? else {
        return refuse("unknown-task", "there is no such task");
    };
    if neighbour.deleted_at.is_some() {
        return refuse("deleted-task", "this task is in the trash");
    }
    if neighbour.id == task.id {
        return refuse("circular", "a task cannot stand beside itself");
    }
    if neighbour.project_id != task.project_id {
        return refuse("other-project", "this task is in another project");
    }
    Ok(Spot {
        id: neighbour.id,
        position: neighbour.position,
    })
}

/// A position in the gap. Where there is none that is short, the neighbours get other ones.
async fn make_room(db: &mut PgConnection, actor: &Actor, task: &Task, gap: Gap) -> Result<String> {
    let beginning = String::new();
    let left = gap.left.as_ref().map_or(&beginning, |spot| &spot.position);
    let right = match &gap.right {
        Some(spot) => Some(spot.position.clone()),
        None => next_position(db, actor).await?.filter(|next| next > left),
    };
    let position = positions::between(left, right.as_deref());
    if let Some(position) = position.filter(|position| position.len() <= LONGEST) {
        return Ok(position);
    }
    renumber(db, actor, task, &gap).await
}

/// Gives the tasks around the gap new positions, and tells the one that is left for `task`.
async fn renumber(db: &mut PgConnection, actor: &Actor, task: &Task, gap: &Gap) -> Result<String> {
    let mut count = NEIGHBOURS;
    loop {
        let window = Window::around(db, actor, task, gap, count).await?;
        let (low, high) = (window.low.as_str(), window.high.as_deref());
        let spread = positions::spread(low, high, window.left.len() + 1 + window.right.len());
        let fits = |positions: &Vec<String>| {
            let longest = positions.iter().map(String::len).max();
            window.is_all || longest.is_some_and(|longest| longest <= LONGEST)
        };
        if let Some(mut positions) = spread.filter(fits) {
            let position = positions.remove(window.left.len());
            let neighbours: Vec<Uuid> = window.left.into_iter().chain(window.right).collect();
            write_positions(db, actor, task.id, &neighbours, &positions).await?;
            return Ok(position);
        }
        if window.is_all {
            return Err(anyhow::anyhow!("no position between {low:?} and {high:?}").into());
        }
        count *= 2;
    }
}

/// Tasks on both sides of a gap, in order, and what they are numbered between.
struct Window {
    low: String,
    left: Vec<Uuid>,
    right: Vec<Uuid>,
    high: Option<String>,
    /// Whether these are all tasks of the project.
    is_all: bool,
}

impl Window {
    /// Up to `count` tasks on each side.
    async fn around(
        db: &mut PgConnection,
        actor: &Actor,
        task: &Task,
        gap: &Gap,
        count: i64,
    ) -> Result<Self> {
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut left = match &gap.left {
            Some(spot) => before(db, task, spot, count + 1).await?,
            None => Vec::new(),
        };
        left.splice(0..0, gap.left.clone());
        let mut right = match &gap.right {
            Some(spot) => after(db, task, spot, count + 1).await?,
            None => Vec::new(),
        };
        right.splice(0..0, gap.right.clone());
        for side in [&mut left, &mut right] {
            side.retain(|spot| spot.id != task.id);
            side.truncate(most + 1);
        }
        // The one beyond the window stays where it is.
        let low = (left.len() > most).then(|| left.pop()).flatten();
        let high = (right.len() > most).then(|| right.pop()).flatten();
        let is_all = low.is_none() && high.is_none();
        let low = low.map(|spot| spot.position).unwrap_or_default();
        let high = match high {
            Some(spot) => Some(spot.position),
            None => next_position(db, actor).await?.filter(|next| *next > low),
        };
        Ok(Self {
            low,
            left: left.into_iter().rev().map(|spot| spot.id).collect(),
            right: right.into_iter().map(|spot| spot.id).collect(),
            high,
            is_all,
        })
    }
}

/// Up to `limit` tasks of the project before a spot; the nearest first.
async fn before(db: &mut PgConnection, task: &Task, spot: &Spot, limit: i64) -> Result<Vec<Spot>> {
    Ok(sqlx::query_as!(
        Spot,
        r#"
        select id, position from task
        where (workspace_id, project_id) = (select workspace_id, project_id from task where id = $1)
          and deleted_at is null and (position, id) < ($2, $3)
        order by position desc, id desc
        limit $4
        "#,
        task.id,
        spot.position,
        spot.id,
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// As [`before`], in the other direction.
async fn after(db: &mut PgConnection, task: &Task, spot: &Spot, limit: i64) -> Result<Vec<Spot>> {
    Ok(sqlx::query_as!(
        Spot,
        r#"
        select id, position from task
        where (workspace_id, project_id) = (select workspace_id, project_id from task where id = $1)
          and deleted_at is null and (position, id) > ($2, $3)
        order by position, id
        limit $4
        "#,
        task.id,
        spot.position,
        spot.id,
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// Where the next new task will stand; every task stands before it.
async fn next_position(db: &mut PgConnection, actor: &Actor) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        "select first_position(last_seq + 1) from workspace where owner_id = $1",
        actor.user_id,
    )
    .fetch_one(db)
    .await?)
}

/// Gives `neighbours` these positions, each as a change of its own. `moved` is changed later in this transaction.
async fn write_positions(
    db: &mut PgConnection,
    actor: &Actor,
    moved: Uuid,
    neighbours: &[Uuid],
    positions: &[String],
) -> Result<()> {
    // All rows at once and in one order, before the workspace's number: whoever holds one of them waits for that.
    sqlx::query!(
        "select from task where id = $1 or id = any ($2) order by id for no key update",
        moved,
        neighbours,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        r#"
        with wanted as (
            select task, given.position, row_number() over (order by task.id) as number
            from unnest($1::uuid[], $2::text[]) as given (id, position) join task on task.id = given.id
            where task.deleted_at is null and task.position <> given.position
        ), number as (
            update workspace set last_seq = last_seq + (select count(*) from wanted)
            where owner_id = $3 and exists (select from wanted)
            returning last_seq - (select count(*) from wanted) as seq, clock_timestamp() as at
        ), changed as (
            update task set
                position = wanted.position, version = task.version + 1, seq = number.seq + wanted.number,
                updated_at = number.at
            from wanted, number
            where task.id = (wanted.task).id
            returning task.*
        )
        insert into change
            (workspace_id, seq, entity, entity_id, version, op, fields, before, after, actor, request_id, at)
        select changed.workspace_id, changed.seq, 'task', changed.id, changed.version, 'updated', '{position}',
            without_words(to_jsonb(wanted.task)), without_words(to_jsonb(changed)), $3, $4, changed.updated_at
        from wanted join changed on changed.id = (wanted.task).id
        "#,
        neighbours,
        positions,
        actor.user_id,
        actor.request_id,
    )
    .execute(db)
    .await?;
    Ok(())
}
