//! Lists of what a search finds.
//!
//! An index on words finds the tasks with a rare word and knows nothing of an order; the index of an order finds
//! those with a common word after a few steps. Nobody knows beforehand which a word is, least of all of several
//! words together. So a list first looks through the beginning of its order. If the page is not full by then, few
//! tasks are to be expected, and the index on words gives all of them. Either way the work is in proportion to the page.

use sqlx::{Connection as _, PgConnection, Postgres, QueryBuilder, Transaction};

use super::{
    Filter, Listed, Order, Page, Position, push_after, push_conditions, push_filters, push_order,
    push_own, select,
};
use crate::{Result, changes::Actor, search::Query};

/// So many tasks are looked through for each that a page may have.
const LOOKED_THROUGH: i64 = 50;

/// Among so many of the newest that were found are the most relevant sought.
const RANKED: i64 = 1000;

/// A search that finds more than this finds something common.
const COMMON: i64 = 20_000;

const WORDS: &str = "title_words || description_words";

/// What is sorted by where the most relevant come first.
pub(super) const RELEVANCE: &str = "relevance";

const NEWEST: Order = Order {
    key: "created_at",
    cast: "::timestamptz",
    descending: true,
    indexed: true,
};

/// How what is sought is compared.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// By the index on words.
    Index,
    /// Task by task.
    Each,
}

/// As [`super::list`], which calls it where there are words.
pub(super) async fn list(
    db: &mut PgConnection,
    actor: &Actor,
    filter: &Filter,
    order: Order,
    after: Option<&Position>,
    limit: u8,
) -> Result<Page> {
    if order.indexed && !filter.include_deleted {
        let window = LOOKED_THROUGH * (i64::from(limit) + 1);
        let more = more_than(db, actor, filter, order, after, window).await?;
        let mut query = select(order);
        query.push(" from (select *");
        push_own(&mut query, actor, filter);
        push_after(&mut query, order, after);
        push_order(&mut query, order);
        query
            .push(" limit ")
            .push_bind(window)
            .push(") as task where true");
        push_filters(&mut query, actor, filter, Way::Each);
        let page = page(db, query, order, limit).await?;
        if page.next.is_some() || !more {
            return Ok(page);
        }
    }
    let mut query = select(order);
    push_conditions(&mut query, actor, filter, Way::Index);
    push_after(&mut query, order, after);
    let mut db = with_room(db).await?;
    let page = page(&mut db, query, order, limit).await?;
    db.commit().await?;
    Ok(page)
}

/// A transaction in which the index on words can keep what it finds. With less memory it only keeps the pages of the
/// table, all of whose tasks are then compared.
pub(super) async fn with_room(db: &mut PgConnection) -> Result<Transaction<'_, Postgres>> {
    let mut transaction = db.begin().await?;
    sqlx::query("set local work_mem = '16MB'")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// Whether the index on words is of use: it knows nothing of what is not to be there.
pub(super) fn is_indexed(filter: &Filter) -> bool {
    let sought = filter.words.as_deref().map(Query::read);
    sought.is_some_and(|sought| sought.indexed().is_some())
}

/// The tasks that the index on words finds, as the table that further conditions follow.
pub(super) fn push_indexed(query: &mut QueryBuilder<Postgres>, actor: &Actor, filter: &Filter) {
    // The words decide which index is used, and neither the order nor the workspace: the index knows that.
    query.push(" from (select * from task where true");
    if !filter.include_deleted {
        query.push(" and deleted_at is null");
    }
    push_filters(query, actor, filter, Way::Index);
    query.push(" offset 0) as task");
}

/// The condition that a task is found.
pub(super) fn push_found(
    query: &mut QueryBuilder<Postgres>,
    actor: &Actor,
    filter: &Filter,
    way: Way,
) {
    let Some(text) = &filter.words else { return };
    let sought = Query::read(text);
    if sought.is_empty() {
        query.push(" and false");
        return;
    }
    query.push(" and (");
    if let Some(asked) = sought.indexed().filter(|_| way == Way::Index) {
        // What a subquery gives is not known to the planner, which therefore believes that it is rare.
        query.push("(").push(WORDS).push(") @@ ");
        push_query(query, actor, asked);
        query.push(" and ");
    }
    // A function, unlike the operator, is nothing that an index is asked for.
    query.push("ts_match_vq(").push(WORDS).push(", ");
    push_query(query, actor, sought.text());
    query.push(")");
    push_unindexed(query, filter, text, way);
    query.push(")");
}

/// A query about the words of the actor's workspace.
fn push_query(query: &mut QueryBuilder<Postgres>, actor: &Actor, text: String) {
    query.push("(select query_in(id, ").push_bind(text);
    query
        .push(") from workspace where owner_id = ")
        .push_bind(actor.user_id)
        .push(")");
}

/// Finds tasks that have no words yet as the release before did. A null is found nowhere.
fn push_unindexed(query: &mut QueryBuilder<Postgres>, filter: &Filter, text: &str, way: Way) {
    // The former index has no deleted tasks.
    if filter.include_deleted && way == Way::Index {
        return;
    }
    query.push(
        " or title_words is null and task_words(title, description) @@ (select case when exists \
         (select from search_fill where single and not done) or exists (select from task_unindexed) then \
         websearch_to_tsquery('simple', ",
    );
    query.push_bind(text.to_owned()).push(") end)");
}

/// As [`super::list`], in the order of how well a task fits the words, newer tasks first among equals. Only the
/// newest that were found are compared.
pub(super) async fn most_relevant(
    db: &mut PgConnection,
    actor: &Actor,
    filter: &Filter,
    order: Order,
    after: Option<&Position>,
    limit: u8,
) -> Result<Page> {
    let sought = Query::read(filter.words.as_deref().unwrap_or_default());
    let mut db = with_room(db).await?;
    let way = way(&mut db, actor, filter).await?;
    let mut query = select(order);
    // A word as it stands counts for more than the beginning of one. Where there is more text, each counts for less.
    query.push(" from (select *, coalesce(4 * ");
    for (text, end) in [(sought.exact(), " + "), (sought.text(), ", 0)::real as ")] {
        query.push("ts_rank(").push(WORDS).push(", ");
        push_query(&mut query, actor, text);
        query.push(", 1)").push(end);
    }
    query.push(RELEVANCE).push(" from (select *");
    push_conditions(&mut query, actor, filter, way);
    push_order(&mut query, NEWEST);
    query.push(" limit ").push_bind(RANKED);
    query.push(") as task) as task where true");
    push_after(&mut query, order, after);
    let page = page(&mut db, query, order, limit).await?;
    db.commit().await?;
    Ok(page)
}

/// The cheaper way where an order has to be kept. What is found often is found soon by going through the order.
pub(super) async fn way(db: &mut PgConnection, actor: &Actor, filter: &Filter) -> Result<Way> {
    if filter.words.is_none() {
        return Ok(Way::Each);
    }
    // No index holds the order of deleted tasks.
    let common = !filter.include_deleted && is_common(db, actor, filter).await?;
    Ok(if common { Way::Each } else { Way::Index })
}

/// Whether what is sought is found so often that going through the order is cheaper than the index.
async fn is_common(db: &mut PgConnection, actor: &Actor, filter: &Filter) -> Result<bool> {
    let mut query = QueryBuilder::new("select count(*) > ");
    query.push_bind(COMMON).push(" from (select 1");
    push_conditions(&mut query, actor, filter, Way::Index);
    query
        .push(" limit ")
        .push_bind(COMMON + 1)
        .push(") as found");
    Ok(query.build_query_scalar().fetch_one(db).await?)
}

/// Whether more than `window` tasks come after `after`.
async fn more_than(
    db: &mut PgConnection,
    actor: &Actor,
    filter: &Filter,
    order: Order,
    after: Option<&Position>,
    window: i64,
) -> Result<bool> {
    let mut query = QueryBuilder::new("select count(*) > ");
    query.push_bind(window).push(" from (select 1");
    push_own(&mut query, actor, filter);
    push_after(&mut query, order, after);
    push_order(&mut query, order);
    query
        .push(" limit ")
        .push_bind(window + 1)
        .push(") as there");
    Ok(query.build_query_scalar().fetch_one(db).await?)
}

async fn page(
    db: &mut PgConnection,
    mut query: QueryBuilder<Postgres>,
    order: Order,
    limit: u8,
) -> Result<Page> {
    push_order(&mut query, order);
    // One more than asked for tells whether there is a next page.
    query.push(" limit ").push_bind(i64::from(limit) + 1);
    let listed: Vec<Listed> = query.build_query_as().fetch_all(db).await?;
    Ok(Page::new(listed, limit))
}
