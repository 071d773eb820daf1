//! Tasks over HTTP.

mod parent;
mod terms;
mod when;
mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::Request;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sqlx::PgPool;
use taskhub::{
    Error,
    idempotency::{self, Once},
    tasks::{self, Filter},
    tokens::Keys,
};
use uuid::Uuid;

use self::{
    parent::TaskParent,
    terms::{TaskDue, TaskPriority, TaskSort, TaskStatus},
    wire::{NewTask, TaskChanges, TaskCompletion, TaskCount, TaskMove, TaskPage},
};
pub(crate) use self::{
    when::{INSTANT, LOCAL_TIME, LOCAL_TIME_FORMAT, is_local_time},
    wire::{Task, etag},
};
use crate::{
    context::{Caller, Context},
    cursor::List,
    problem::Problem,
    response::{Created, Done, Versioned},
    tags::Tags,
    timestamp::Timestamp,
};

#[derive(ApiResponse)]
enum Listed {
    /// A page of the list.
    #[oai(status = 200)]
    Page(
        Json<TaskPage>,
        /// The next page, where there is one.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

impl From<Once<tasks::Task>> for Versioned<Task> {
    fn from(done: Once<tasks::Task>) -> Self {
        let etag = etag(&done.value);
        Self::tagged(done.value.into(), etag, done.replayed)
    }
}

/// The things to do.
pub struct Api {
    pub db: PgPool,
    /// Seal the cursors.
    pub keys: Arc<Keys>,
}

#[OpenApi(prefix_path = "/v1/tasks", tag = "Tags::Tasks")]
impl Api {
    /// Add a task
    ///
    /// It comes last in its project. To be sure that a lost answer never leads to a second task, send
    /// an `Idempotency-Key`, or an `id` of your own. An id that a task in your trash has is 409
    /// `already-exists` with `deleted_at` and with `restore`, the path that brings that task back. An id that
    /// somebody else's task has is 409 too: ids are unique in the whole instance.
    #[oai(path = "/", method = "post", operation_id = "create_task")]
    async fn create(
        &self,
        caller: Caller,
        context: Context,
        body: Json<NewTask>,
    ) -> Result<Created<Task>, Problem> {
        let (actor, new) = (caller.actor(&context), body.0.into());
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::create(db, &actor, &new).await }.boxed()
        })
        .await?;
        let (etag, location) = (etag(&done.value), format!("/v1/tasks/{}", done.value.id));
        Ok(Created::tagged(
            done.value.into(),
            location,
            etag,
            done.replayed,
        ))
    }

    /// List tasks
    ///
    /// Different filters all have to hold; of the values of a repeated one, any may. What is
    /// inserted or removed while you turn the pages makes no other task come twice or not at all.
    /// Days and wall-clock times are taken in the time zone of your account, for filters and order
    /// alike.
    #[oai(path = "/", method = "get", operation_id = "list_tasks")]
    #[expect(
        clippy::too_many_arguments,
        reason = "a query parameter is an argument"
    )]
    async fn list(
        &self,
        request: &Request,
        caller: Caller,
        context: Context,
        /// How many tasks a page has at most.
        #[oai(
            default = "fifty",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u8>,
        /// `next_cursor` of the page before, with the same filters and order. In the order of `due`,
        /// your time zone must be the same, too.
        #[oai(validator(min_length = 1))]
        cursor: Query<Option<String>>,
        /// The order. `due` is the order of the moments at which tasks are due for you; a day is due
        /// when it begins. Tasks that are never due come last by `due` and by `-due`. `relevance` needs `q` and
        /// puts the best matches first, among the 1,000 newest tasks that match.
        /// Tasks that are not done come last by `completed_at` and by `-completed_at`.
        #[oai(default = "newest_first")]
        sort: Query<TaskSort>,
        /// Whether to count the tasks of all pages.
        #[oai(default)]
        include_total: Query<bool>,
        /// In one of these projects.
        #[oai(default)]
        project_id: Query<Vec<Uuid>>,
        /// A part of one of these tasks. `none` stands for the top level: tasks that are a part of no other.
        #[oai(default)]
        parent_id: Query<Vec<TaskParent>>,
        /// In one of these statuses.
        #[oai(default)]
        status: Query<Vec<TaskStatus>>,
        /// Of one of these priorities.
        #[oai(default)]
        priority: Query<Vec<TaskPriority>>,
        /// With one of these labels.
        #[oai(default)]
        label: Query<Vec<String>>,
        /// With none of these labels.
        #[oai(default)]
        not_label: Query<Vec<String>>,
        /// `none`: never due. `any`: due some time. `overdue`: still to do, and its time has passed; a
        /// day has passed when it is over. `today`: due on this day.
        #[oai(default)]
        due: Query<Vec<TaskDue>>,
        /// Due earlier than this. A day counts from its beginning.
        due_before: Query<Option<Timestamp>>,
        /// Due at this time or later.
        due_after: Query<Option<Timestamp>>,
        /// Changed at this time or later.
        updated_after: Query<Option<Timestamp>>,
        /// Added at this time or later.
        created_after: Query<Option<Timestamp>>,
        /// Completed at this time or later.
        completed_after: Query<Option<Timestamp>>,
        /// Completed earlier than this.
        completed_before: Query<Option<Timestamp>>,
        /// Text to look for in the title and the description. A word finds what begins with it, in
        /// upper and lower case, with and without accents. All words have to occur; `"…"` stands for a phrase,
        /// `or` for either, and `-` before a word or phrase excludes it. Only the first 32 count.
        #[oai(validator(min_length = 1, max_length = 500))]
        q: Query<Option<String>>,
        /// Whether deleted tasks are listed too.
        #[oai(default)]
        include_deleted: Query<bool>,
    ) -> Result<Listed, Problem> {
        sort.0.check(q.0.as_deref())?;
        let (top_level, parent_ids) = TaskParent::split(&parent_id.0);
        let filter = Filter {
            project_ids: project_id.0,
            parent_ids,
            top_level,
            statuses: all(status.0),
            priorities: all(priority.0),
            labels: label.0,
            not_labels: not_label.0,
            due: all(due.0),
            due_before: due_before.0.map(|time| time.0),
            due_after: due_after.0.map(|time| time.0),
            updated_after: updated_after.0.map(|time| time.0),
            created_after: created_after.0.map(|time| time.0),
            completed_after: completed_after.0.map(|time| time.0),
            completed_before: completed_before.0.map(|time| time.0),
            words: q.0,
            include_deleted: include_deleted.0,
            time_zone: caller.time_zone,
        };
        let list = List::new(caller.id(), request.original_uri());
        let after = cursor
            .0
            .map(|cursor| list.position(&self.keys, &cursor))
            .transpose()?;
        let (actor, sort) = (caller.actor(&context), sort.0.into());
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        let page = tasks::list(&mut db, &actor, &filter, sort, after.as_ref(), limit.0).await?;
        let total = match include_total.0 {
            true => Some(tasks::count(&mut db, &actor, &filter).await?),
            false => None,
        };
        let next_cursor = page.next.map(|position| list.cursor(&self.keys, &position));
        let link = next_cursor.as_ref().map(|cursor| list.link(cursor));
        let page = TaskPage {
            data: page.tasks.into_iter().map(Task::from).collect(),
            has_more: next_cursor.is_some(),
            next_cursor,
            total: total.map(|total| total.total),
            total_is_lower_bound: total.map(|total| total.is_lower_bound),
        };
        Ok(Listed::Page(Json(page), link))
    }

    /// Count tasks
    ///
    /// How many the list with these filters has, counted up to 10,000.
    #[oai(path = "/count", method = "get", operation_id = "count_tasks")]
    #[expect(
        clippy::too_many_arguments,
        reason = "a query parameter is an argument"
    )]
    async fn count(
        &self,
        caller: Caller,
        context: Context,
        /// In one of these projects.
        #[oai(default)]
        project_id: Query<Vec<Uuid>>,
        /// A part of one of these tasks. `none` stands for the top level: tasks that are a part of no other.
        #[oai(default)]
        parent_id: Query<Vec<TaskParent>>,
        /// In one of these statuses.
        #[oai(default)]
        status: Query<Vec<TaskStatus>>,
        /// Of one of these priorities.
        #[oai(default)]
        priority: Query<Vec<TaskPriority>>,
        /// With one of these labels.
        #[oai(default)]
        label: Query<Vec<String>>,
        /// With none of these labels.
        #[oai(default)]
        not_label: Query<Vec<String>>,
        /// As in the list.
        #[oai(default)]
        due: Query<Vec<TaskDue>>,
        /// Due earlier than this. A day counts from its beginning.
        due_before: Query<Option<Timestamp>>,
        /// Due at this time or later.
        due_after: Query<Option<Timestamp>>,
        /// Changed at this time or later.
        updated_after: Query<Option<Timestamp>>,
        /// Added at this time or later.
        created_after: Query<Option<Timestamp>>,
        /// Completed at this time or later.
        completed_after: Query<Option<Timestamp>>,
        /// Completed earlier than this.
        completed_before: Query<Option<Timestamp>>,
        /// Text to look for in the title and the description, as in the list.
        #[oai(validator(min_length = 1, max_length = 500))]
        q: Query<Option<String>>,
        /// Whether deleted tasks are counted too.
        #[oai(default)]
        include_deleted: Query<bool>,
    ) -> Result<Json<TaskCount>, Problem> {
        let (top_level, parent_ids) = TaskParent::split(&parent_id.0);
        let filter = Filter {
            project_ids: project_id.0,
            parent_ids,
            top_level,
            statuses: all(status.0),
            priorities: all(priority.0),
            labels: label.0,
            not_labels: not_label.0,
            due: all(due.0),
            due_before: due_before.0.map(|time| time.0),
            due_after: due_after.0.map(|time| time.0),
            updated_after: updated_after.0.map(|time| time.0),
            created_after: created_after.0.map(|time| time.0),
            completed_after: completed_after.0.map(|time| time.0),
            completed_before: completed_before.0.map(|time| time.0),
            words: q.0,
            include_deleted: include_deleted.0,
            time_zone: caller.time_zone,
        };
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        let count = tasks::count(&mut db, &caller.actor(&context), &filter).await?;
        Ok(Json(count.into()))
    }

    /// Show a task
    ///
    /// A deleted one is not shown; it stands in a list with `include_deleted`.
    #[oai(path = "/:task_id", method = "get", operation_id = "get_task")]
    async fn get(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
    ) -> Result<Versioned<Task>, Problem> {
        let mut db = self.db.acquire().await.map_err(Error::from)?;
        let task = tasks::get(&mut db, &caller.actor(&context), task_id.0).await?;
        let etag = etag(&task);
        Ok(Versioned::tagged(task.into(), etag, false))
    }

    /// Change a task
    ///
    /// Changes what is named and leaves the rest (RFC 7396), inside `due` and `start` too. What changes nothing makes no new
    /// version. The status decides about `completed_at`. A task with a parent or subtasks stays in
    /// their project.
    #[oai(path = "/:task_id", method = "patch", operation_id = "update_task")]
    async fn update(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
        body: Json<TaskChanges>,
    ) -> Result<Versioned<Task>, Problem> {
        let (actor, versions, changes) = (caller.actor(&context), context.versions, body.0.into());
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::update(db, &actor, task_id.0, &versions, &changes).await }.boxed()
        })
        .await?;
        Ok(done.into())
    }

    /// Move a task
    ///
    /// Puts it before or after another task of its project, below another parent, or both. Its subtasks stay below it.
    /// The server computes `position`, by which lists with `sort=position` are ordered. With a new parent and neither
    /// `before_id` nor `after_id`, it comes last. Moving it to where it is changes nothing. Now and then a move also
    /// changes the `position` of tasks nearby, without changing their order; these get new versions.
    #[oai(path = "/:task_id/move", method = "post", operation_id = "move_task")]
    async fn move_task(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
        body: Json<TaskMove>,
    ) -> Result<Versioned<Task>, Problem> {
        let (actor, versions) = (caller.actor(&context), context.versions);
        let to = tasks::Move::try_from(body.0)?;
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::move_task(db, &actor, task_id.0, &versions, &to).await }.boxed()
        })
        .await?;
        Ok(done.into())
    }

    /// Delete a task
    ///
    /// It can be restored. Its subtasks stay. Deleting it again does nothing.
    #[oai(path = "/:task_id", method = "delete", operation_id = "delete_task")]
    async fn delete(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
    ) -> Result<Done, Problem> {
        let (actor, versions) = (caller.actor(&context), context.versions);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::delete(db, &actor, task_id.0, &versions).await }.boxed()
        })
        .await?;
        Ok(Done::new(done.replayed))
    }

    /// Restore a task
    ///
    /// Brings a deleted task back as it was. One that is not deleted stays as it is.
    #[oai(
        path = "/:task_id/restore",
        method = "post",
        operation_id = "restore_task"
    )]
    async fn restore(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
    ) -> Result<Versioned<Task>, Problem> {
        let (actor, versions) = (caller.actor(&context), context.versions);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::restore(db, &actor, task_id.0, &versions).await }.boxed()
        })
        .await?;
        Ok(done.into())
    }

    /// Complete a task
    ///
    /// Sets the status `done`. `completed_at` in the body says when that was, if it was not just now; the
    /// body may be left out. A task that is done stays as it is, but takes another `completed_at`.
    #[oai(
        path = "/:task_id/complete",
        method = "post",
        operation_id = "complete_task"
    )]
    async fn complete(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
        body: Json<Option<TaskCompletion>>,
    ) -> Result<Versioned<Task>, Problem> {
        let (actor, versions) = (caller.actor(&context), context.versions);
        let at = body.0.and_then(TaskCompletion::at);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::complete(db, &actor, task_id.0, &versions, at).await }.boxed()
        })
        .await?;
        Ok(done.into())
    }

    /// Reopen a task
    ///
    /// Sets the status `todo` where it is `done` or `cancelled`. An open task stays as it is.
    #[oai(
        path = "/:task_id/reopen",
        method = "post",
        operation_id = "reopen_task"
    )]
    async fn reopen(
        &self,
        caller: Caller,
        context: Context,
        /// One of your tasks.
        task_id: Path<Uuid>,
    ) -> Result<Versioned<Task>, Problem> {
        let (actor, versions) = (caller.actor(&context), context.versions);
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { tasks::reopen(db, &actor, task_id.0, &versions).await }.boxed()
        })
        .await?;
        Ok(done.into())
    }
}

fn all<T, U: From<T>>(values: Vec<T>) -> Vec<U> {
    values.into_iter().map(U::from).collect()
}

fn fifty() -> u8 {
    50
}

fn newest_first() -> TaskSort {
    TaskSort::CreatedDown
}
