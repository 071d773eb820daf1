//! What tasks are labelled with.

use taskhub::{
    Error,
    changes::Actor,
    labels::{self, Label, Renamed},
    tasks::{self, NewTask, Status, Task},
    testing::Database,
};

use crate::world::{person, task, titled};

fn labelled(labels: &[&str]) -> NewTask {
    NewTask {
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..titled("Task")
    }
}

async fn all(db: &mut sqlx::PgConnection, actor: &Actor) -> Vec<(String, i64, i64)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = labels::list(db, actor, after.as_deref(), 2).await.unwrap();
        after = page.labels.last().map(|label| label.name.clone());
        let labels = page.labels.into_iter();
        found.extend(labels.map(|Label { name, total, open }| (name, total, open)));
        if !page.has_more {
            return found;
        }
    }
}

fn counted(name: &str, total: i64, open: i64) -> (String, i64, i64) {
    (name.to_owned(), total, open)
}

#[tokio::test]
async fn every_label_is_listed_once_with_its_tasks_counted() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let mut db = database.pool.acquire().await.unwrap();
    assert!(all(&mut db, &anna).await.is_empty());
    task(&mut db, &anna, labelled(&["work", "Äpfel"])).await;
    let done = NewTask {
        status: Status::Done,
        ..labelled(&["work", "home"])
    };
    task(&mut db, &anna, done).await;
    let cancelled = NewTask {
        status: Status::Cancelled,
        ..labelled(&["Work"])
    };
    task(&mut db, &anna, cancelled).await;
    task(&mut db, &anna, labelled(&[])).await;
    task(&mut db, &ben, labelled(&["work", "secret"])).await;
    let gone = task(&mut db, &anna, labelled(&["work", "gone"])).await;
    tasks::delete(&mut db, &anna, gone.id, &[]).await.unwrap();

    let expected = [
        counted("Äpfel", 1, 1),
        counted("home", 1, 0),
        counted("work", 2, 1),
        counted("Work", 1, 0),
    ];
    assert_eq!(all(&mut db, &anna).await, expected);
}

#[tokio::test]
async fn a_label_is_renamed_in_portions_and_each_task_tells_of_it() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut made = Vec::new();
    for labels in [
        &["a", "old", "b"][..],
        &["old"],
        &["old", "new"],
        &["new", "x", "old"],
    ] {
        made.push(task(&mut db, &anna, labelled(labels)).await);
    }
    let other = task(&mut db, &anna, labelled(&["older"])).await;
    let deleted = task(&mut db, &anna, labelled(&["old"])).await;
    tasks::delete(&mut db, &anna, deleted.id, &[])
        .await
        .unwrap();
    let bens = task(&mut db, &ben, labelled(&["old"])).await;

    for (changed, has_more) in [(3, true), (1, false), (0, false)] {
        let renamed = labels::rename(&mut db, &anna, "old", "new", 3)
            .await
            .unwrap();
        let expected = Renamed {
            tasks: changed,
            has_more,
        };
        assert_eq!(renamed, expected);
    }

    for (before, labels) in
        made.iter()
            .zip([&["a", "new", "b"][..], &["new"], &["new"], &["new", "x"]])
    {
        let after = tasks::get(&mut db, &anna, before.id).await.unwrap();
        let expected = Task {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            version: 2,
            seq: after.seq,
            updated_at: after.updated_at,
            ..before.clone()
        };
        assert_eq!(after, expected);
        let (fields, version, old): (Vec<String>, i64, Vec<String>) = sqlx::query_as(
            "select fields, version, array(select jsonb_array_elements_text(before -> 'labels'))
             from change where entity_id = $1 and seq = $2",
        )
        .bind(before.id)
        .bind(after.seq)
        .fetch_one(&mut *db)
        .await
        .unwrap();
        assert_eq!(
            (fields, version, &old),
            (vec!["labels".to_owned()], 2, &before.labels)
        );
    }
    for (actor, untouched) in [(&anna, other), (&ben, bens)] {
        assert_eq!(
            tasks::get(&mut db, actor, untouched.id).await.unwrap(),
            untouched
        );
    }
    let restored = tasks::restore(&mut db, &anna, deleted.id, &[])
        .await
        .unwrap();
    assert_eq!(
        restored.labels,
        ["old"],
        "a deleted task comes back as it was"
    );
    let whole: bool = sqlx::query_scalar(
        "select bool_and(last_seq = (select count(*) from change where workspace_id = workspace.id)) from workspace",
    )
    .fetch_one(&mut *db)
    .await
    .unwrap();
    assert!(whole, "a number is missing in a record of changes");
}

#[tokio::test]
async fn a_label_that_no_task_can_have_is_no_name() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let before = task(&mut db, &anna, labelled(&["a"])).await;
    for to in [String::new(), "x".repeat(101), "\0".to_owned()] {
        let outcome = labels::rename(&mut db, &anna, "a", &to, 9).await;
        let Err(Error::Invalid(violations)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(violations[0].pointer, "/to");
    }
    let same = labels::rename(&mut db, &anna, "a", "a", 9).await.unwrap();
    assert_eq!((same.tasks, same.has_more), (0, false));
    assert_eq!(tasks::get(&mut db, &anna, before.id).await.unwrap(), before);
}
