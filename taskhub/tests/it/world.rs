//! People and tasks to test with.

use sqlx::{PgConnection, PgPool};
use taskhub::{
    changes::Actor,
    projects,
    tasks::{self, NewTask, Task},
};
use uuid::Uuid;

/// Somebody with a workspace and an inbox.
pub(crate) async fn person(db: &PgPool, username: &str) -> Actor {
    let actor = Actor {
        user_id: Uuid::now_v7(),
        request_id: Some("request-1".to_owned()),
    };
    sqlx::query("insert into user_account (id, username, password_hash) values ($1, $2, '')")
        .bind(actor.user_id)
        .bind(username)
        .execute(db)
        .await
        .expect("a free username");
    let mut db = db.acquire().await.expect("a connection");
    projects::create_personal_workspace(&mut db, actor.user_id, &actor)
        .await
        .expect("a workspace");
    actor
}

pub(crate) async fn task(db: &mut PgConnection, actor: &Actor, new: NewTask) -> Task {
    tasks::create(db, actor, &new).await.expect("a task")
}

pub(crate) fn titled(title: &str) -> NewTask {
    NewTask {
        title: title.to_owned(),
        ..NewTask::default()
    }
}
