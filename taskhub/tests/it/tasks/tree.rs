//! Tasks below tasks.

use taskhub::{
    Error, Refusal,
    tasks::{self, NewTask, TaskChanges},
    testing::Database,
};
use uuid::Uuid;

use super::assert_invalid;
use crate::world::{person, task, titled};

#[tokio::test]
async fn a_task_is_never_below_itself_nor_too_deep() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut chain = vec![task(&mut db, &anna, titled("Root")).await];
    for _ in 0..5 {
        let new = NewTask {
            parent_id: Some(chain.last().unwrap().id),
            ..titled("Below")
        };
        chain.push(task(&mut db, &anna, new).await);
    }
    let below = |parent_id| TaskChanges {
        parent_id: Some(Some(parent_id)),
        ..TaskChanges::default()
    };

    let too_deep = NewTask {
        parent_id: Some(chain[5].id),
        ..titled("Too deep")
    };
    assert_invalid(
        tasks::create(&mut db, &anna, &too_deep).await,
        "/parent_id",
        "too-deep",
    );
    let root = task(&mut db, &anna, titled("Other root")).await;
    let moved = tasks::update(&mut db, &anna, chain[0].id, &[], &below(root.id)).await;
    assert_invalid(moved, "/parent_id", "too-deep");
    for child in [0, 1, 5] {
        let moved = tasks::update(&mut db, &anna, chain[0].id, &[], &below(chain[child].id)).await;
        assert_invalid(moved, "/parent_id", "circular");
    }
    let moved = tasks::update(&mut db, &anna, chain[2].id, &[], &below(root.id))
        .await
        .unwrap();
    assert_eq!(moved.parent_id, Some(root.id));
}

#[tokio::test]
async fn two_moves_at_once_never_make_a_circle() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    for _ in 0..10 {
        let one = task(&mut db, &anna, titled("One")).await;
        let other = task(&mut db, &anna, titled("Other")).await;
        let below = |child: Uuid, parent: Uuid| {
            let (pool, anna) = (&database.pool, &anna);
            async move {
                let changes = TaskChanges {
                    parent_id: Some(Some(parent)),
                    ..TaskChanges::default()
                };
                let mut transaction = pool.begin().await.unwrap();
                let outcome = tasks::update(&mut transaction, anna, child, &[], &changes).await;
                transaction.commit().await.unwrap();
                outcome
            }
        };
        let (first, second) = tokio::join!(below(one.id, other.id), below(other.id, one.id));
        assert!(first.is_ok() != second.is_ok());
    }
}

#[tokio::test]
async fn a_subtask_stays_in_the_project_of_its_parent() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let parent = task(&mut db, &anna, titled("Parent")).await;
    let child = NewTask {
        parent_id: Some(parent.id),
        ..titled("Child")
    };
    let child = task(&mut db, &anna, child).await;
    let elsewhere: Uuid = sqlx::query_scalar(
        "insert into project (id, workspace_id, name, position, seq)
         select gen_random_uuid(), workspace_id, 'Elsewhere', '', 0 from project returning id",
    )
    .fetch_one(&mut *db)
    .await
    .unwrap();

    let born_apart = NewTask {
        project_id: Some(elsewhere),
        parent_id: Some(parent.id),
        ..titled("Apart")
    };
    assert_invalid(
        tasks::create(&mut db, &anna, &born_apart).await,
        "/parent_id",
        "other-project",
    );
    let moved = TaskChanges {
        project_id: Some(elsewhere),
        ..TaskChanges::default()
    };
    for id in [parent.id, child.id] {
        let outcome = tasks::update(&mut db, &anna, id, &[], &moved).await;
        assert!(
            matches!(
                outcome,
                Err(Error::Refused(Refusal::InvalidTransition { .. }))
            ),
            "{outcome:?}"
        );
    }
    let freed = TaskChanges {
        parent_id: Some(None),
        ..moved
    };
    let freed = tasks::update(&mut db, &anna, child.id, &[], &freed)
        .await
        .unwrap();
    assert_eq!((freed.project_id, freed.parent_id), (elsewhere, None));
}
