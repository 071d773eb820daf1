use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sqlx::{FromRow, PgPool};
use taskhub::{
    changes::Actor,
    due,
    tasks::{self, TaskChanges},
    testing::Database,
};
use uuid::Uuid;

use crate::world::{person, task, titled};

#[derive(Debug, FromRow)]
struct Change {
    seq: i64,
    entity: String,
    entity_id: Uuid,
    version: i64,
    op: String,
    fields: Vec<String>,
    before: Option<Value>,
    after: Value,
    actor: Option<Uuid>,
    request_id: Option<String>,
}

async fn changes(db: &PgPool, actor: &Actor) -> Vec<Change> {
    sqlx::query_as(
        "select change.* from change join workspace on workspace.id = workspace_id where owner_id = $1 order by seq",
    )
    .bind(actor.user_id)
    .fetch_all(db)
    .await
    .expect("the changes")
}

#[tokio::test]
async fn a_new_person_begins_with_a_workspace_and_an_inbox() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;

    let changes = changes(&database.pool, &anna).await;

    let found: Vec<_> = changes
        .iter()
        .map(|change| (change.seq, change.entity.as_str(), change.op.as_str()))
        .collect();
    assert_eq!(
        found,
        [(1, "workspace", "created"), (2, "project", "created")]
    );
    assert_eq!(changes[1].after["inbox"], json!(true));
}

#[tokio::test]
async fn each_change_tells_what_was_and_what_is() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let id = task(&mut db, &anna, titled("First")).await.id;
    let retitled = TaskChanges {
        title: Some("Second".to_owned()),
        due: Some(Some(due::WhenChanges {
            date: Some(Some("2026-12-01".parse().unwrap())),
            ..due::WhenChanges::default()
        })),
        ..TaskChanges::default()
    };
    tasks::update(&mut db, &anna, id, &[], &retitled)
        .await
        .unwrap();
    tasks::complete(&mut db, &anna, id, &[], None)
        .await
        .unwrap();
    tasks::delete(&mut db, &anna, id, &[]).await.unwrap();
    tasks::restore(&mut db, &anna, id, &[]).await.unwrap();

    let changes = &changes(&database.pool, &anna).await[2..];

    let found: Vec<_> = changes
        .iter()
        .map(|change| (change.version, change.op.as_str(), change.fields.join(" ")))
        .collect();
    let on_creation = "created_at created_by description id labels position priority project_id status title workspace_id";
    let expected = [
        (1, "created", on_creation),
        (2, "updated", "due_date title"),
        (3, "updated", "completed_at completed_by status"),
        (4, "deleted", "deleted_at"),
        (5, "restored", "deleted_at"),
    ];
    assert_eq!(
        found,
        expected.map(|(version, op, fields)| (version, op, fields.to_owned()))
    );
    assert_eq!(changes[0].before, None);
    for pair in changes.windows(2) {
        assert_eq!(pair[1].before.as_ref(), Some(&pair[0].after));
    }
    for change in changes {
        assert_eq!((change.entity.as_str(), change.entity_id), ("task", id));
        assert_eq!(change.after["seq"], json!(change.seq));
        assert_eq!(change.actor, Some(anna.user_id));
        assert_eq!(change.request_id, anna.request_id);
    }
}

#[tokio::test]
async fn numbers_have_no_gaps_and_follow_the_commits_under_parallel_writers() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let shared = task(&mut db, &anna, titled("Shared")).await;
    let writing = AtomicBool::new(true);

    let writer = |number: usize| {
        let (pool, anna) = (&database.pool, &anna);
        async move {
            for round in 0..25 {
                let mut transaction = pool.begin().await.unwrap();
                if round % 2 == 0 {
                    task(&mut transaction, anna, titled(&format!("{number}.{round}"))).await;
                } else {
                    let changes = TaskChanges {
                        title: Some(format!("{number}.{round}")),
                        ..TaskChanges::default()
                    };
                    tasks::update(&mut transaction, anna, shared.id, &[], &changes)
                        .await
                        .unwrap();
                }
                if round % 5 == 4 {
                    transaction.rollback().await.unwrap();
                } else {
                    transaction.commit().await.unwrap();
                }
            }
        }
    };
    let reader = async {
        let mut seen = 0;
        while writing.load(Ordering::Relaxed) {
            let (rows, newest): (i64, i64) =
                sqlx::query_as("select count(*), max(seq) from change")
                    .fetch_one(&database.pool)
                    .await
                    .unwrap();
            assert_eq!(rows, newest, "whoever sees a number has seen all before it");
            assert!(newest >= seen);
            seen = newest;
        }
    };
    let writers = async {
        futures_util::future::join_all((0..8).map(writer)).await;
        writing.store(false, Ordering::Relaxed);
    };
    tokio::join!(writers, reader);

    let changes = changes(&database.pool, &anna).await;
    assert_eq!(changes.len(), 3 + 8 * 20);
    let of_shared: Vec<_> = changes
        .iter()
        .filter(|change| change.entity_id == shared.id)
        .collect();
    for pair in of_shared.windows(2) {
        assert_eq!(pair[1].version, pair[0].version + 1);
        assert_eq!(pair[1].before.as_ref(), Some(&pair[0].after));
    }
}
