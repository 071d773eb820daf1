//! Labels over HTTP.

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::Request;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};
use sqlx::PgPool;
use taskhub::{Error, idempotency, labels, tokens::Keys};

use crate::{
    context::{Caller, Context},
    cursor::List,
    problem::Problem,
    response::Replayed,
    tags::Tags,
};

/// A label, and how many of your tasks have it. Deleted tasks are not counted.
#[derive(Object)]
struct Label {
    name: String,
    total: i64,
    /// Those that are neither done nor cancelled.
    open: i64,
}

/// One page of labels.
#[derive(Object)]
struct LabelPage {
    data: Vec<Label>,
    /// Send it as `cursor` for the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

/// A label to rename.
#[derive(Object)]
#[oai(deny_unknown_fields)]
struct LabelRename {
    /// The label as it is, 1 to 100 characters.
    #[oai(validator(min_length = 1, max_length = 100))]
    from: String,
    /// The label as it is to be, 1 to 100 characters. It may exist already.
    #[oai(validator(min_length = 1, max_length = 100))]
    to: String,
}

/// What a request to rename a label did.
#[derive(Object)]
struct LabelRenamed {
    /// How many tasks it changed.
    tasks: i64,
    /// Whether tasks are left that have the old label. Send the request again then, with a new `Idempotency-Key`.
    has_more: bool,
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of the list.
    #[oai(status = 200)]
    Page(
        Json<LabelPage>,
        /// The next page, where there is one.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Renamed {
    /// As many tasks are changed as one request may change.
    #[oai(status = 200)]
    Tasks(
        Json<LabelRenamed>,
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

/// What tasks are labelled with.
pub struct Api {
    pub db: PgPool,
    /// Seal the cursors.
    pub keys: Arc<Keys>,
}

#[OpenApi(prefix_path = "/v1/labels", tag = "Tags::Tasks")]
impl Api {
    /// List labels
    ///
    /// Every label that a task of yours has, in the order of a dictionary, with the number of its tasks. A label exists
    /// as long as a task has it.
    #[oai(path = "/", method = "get", operation_id = "list_labels")]
    async fn list(
        &self,
        request: &Request,
        caller: Caller,
        context: Context,
        /// How many labels a page has at most.
        #[oai(
            default = "two_hundred",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u8>,
        /// `next_cursor` of the page before.
        #[oai(validator(min_length = 1))]
        cursor: Query<Option<String>>,
    ) -> Result<Listed, Problem> {
        let list = List::new(caller.id(), request.original_uri());
        let after: Option<String> = cursor
            .0
            .map(|cursor| list.position(&self.keys, &cursor))
            .transpose()?;
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        let actor = caller.actor(&context);
        let page = labels::list(&mut db, &actor, after.as_deref(), limit.0).await?;
        let last = page.labels.last().filter(|_| page.has_more);
        let next_cursor = last.map(|label| list.cursor(&self.keys, &label.name));
        let link = next_cursor.as_ref().map(|cursor| list.link(cursor));
        let page = LabelPage {
            data: page.labels.into_iter().map(Label::from).collect(),
            has_more: page.has_more,
            next_cursor,
        };
        Ok(Listed::Page(Json(page), link))
    }

    /// Rename a label
    ///
    /// Changes it in up to 1,000 tasks and tells with `has_more` whether tasks are left: send the request again until it
    /// is false. A task that has both labels keeps one, so renaming a label to one that exists merges the two. A label
    /// that no task has is renamed in no task, so repeating the request does no harm. Each changed task gets a new
    /// version. Deleted tasks keep the labels that they were deleted with.
    #[oai(path = "/rename", method = "post", operation_id = "rename_label")]
    async fn rename(
        &self,
        caller: Caller,
        context: Context,
        body: Json<LabelRename>,
    ) -> Result<Renamed, Problem> {
        let (actor, LabelRename { from, to }) = (caller.actor(&context), body.0);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { labels::rename(db, &actor, &from, &to, labels::RENAMED).await }.boxed()
        })
        .await?;
        Ok(Renamed::Tasks(
            Json(done.value.into()),
            done.replayed.then_some(true),
        ))
    }
}

impl From<labels::Label> for Label {
    fn from(label: labels::Label) -> Self {
        let labels::Label { name, total, open } = label;
        Self { name, total, open }
    }
}

impl From<labels::Renamed> for LabelRenamed {
    fn from(renamed: labels::Renamed) -> Self {
        let labels::Renamed { tasks, has_more } = renamed;
        Self { tasks, has_more }
    }
}

fn two_hundred() -> u8 {
    200
}
