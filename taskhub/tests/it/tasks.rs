//! What becomes of tasks.

mod fields;
mod moving;
mod tree;

use std::time::Duration;

use serde_json::json;
use taskhub::{
    Current, Deleted, Error, Refusal,
    due::When,
    tasks::{self, Children, NewTask, Priority, Status, Task, TaskChanges},
    testing::Database,
    trash,
};
use uuid::Uuid;

use crate::world::{person, task, titled};

#[tokio::test]
async fn a_new_task_has_everything_that_was_said_about_it() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let parent = task(&mut db, &anna, titled("Move house")).await;
    let new = NewTask {
        id: Some(Uuid::now_v7()),
        project_id: Some(parent.project_id),
        parent_id: Some(parent.id),
        title: " Pack – 箱 ".to_owned(),
        description: "*fragile*\n".to_owned(),
        status: Status::Done,
        priority: Priority::Urgent,
        due: serde_json::from_value(
            json!({"at": "2026-12-01T08:00:00.123456Z", "time_zone": "Europe/Vienna"}),
        )
        .unwrap(),
        start: serde_json::from_value(json!({"local": "2026-11-30T09:00:00"})).unwrap(),
        labels: ["b", "a", "b"].map(str::to_owned).into(),
    };

    let created = task(&mut db, &anna, new.clone()).await;

    assert_eq!(
        created,
        Task {
            id: new.id.unwrap(),
            project_id: parent.project_id,
            parent_id: Some(parent.id),
            parent_deleted_at: None,
            children: Children::default(),
            title: new.title,
            description: new.description,
            status: Status::Done,
            priority: Priority::Urgent,
            due: new.due,
            start: new.start,
            labels: vec!["b".to_owned(), "a".to_owned()],
            position: "00000004i".to_owned(),
            created_at: created.created_at,
            created_by: anna.user_id,
            updated_at: created.created_at,
            completed_at: Some(created.created_at),
            completed_by: Some(anna.user_id),
            deleted_at: None,
            version: 1,
            seq: 4,
        }
    );
    assert_eq!(
        tasks::get(&mut db, &anna, created.id).await.unwrap(),
        created
    );
    let as_json: Task = serde_json::from_value(json!(created)).unwrap();
    assert_eq!(as_json, created);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let mut labels = vec!["same".to_owned(); 51];
    labels[1] = "x".repeat(101);
    labels[2] = String::new();
    let new = NewTask {
        title: "é".repeat(501),
        description: format!("\0{}", "x".repeat(65_536)),
        due: Some(When::At {
            at: chrono::DateTime::UNIX_EPOCH,
            time_zone: "Europe/Wien".to_owned(),
        }),
        labels,
        ..NewTask::default()
    };

    let Err(Error::Invalid(violations)) = tasks::create(&mut db, &anna, &new).await else {
        panic!("it should be invalid");
    };

    let found: Vec<_> = violations
        .iter()
        .map(|violation| (violation.pointer.as_str(), violation.code))
        .collect();
    assert_eq!(
        found,
        [
            ("/title", "too-long"),
            ("/description", "too-long"),
            ("/description", "forbidden-character"),
            ("/due/time_zone", "unknown-time-zone"),
            ("/labels", "too-many"),
            ("/labels/1", "too-long"),
            ("/labels/2", "too-short"),
        ]
    );
}

#[tokio::test]
async fn someone_elses_task_does_not_exist() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let mut db = database.pool.acquire().await.unwrap();
    let secret = task(&mut db, &anna, titled("Buy a ring")).await;
    let deleted = task(&mut db, &anna, titled("Buy a ring, really")).await;
    tasks::delete(&mut db, &anna, deleted.id, &[])
        .await
        .unwrap();

    for id in [secret.id, deleted.id] {
        assert_not_found(tasks::get(&mut db, &ben, id).await);
        assert_not_found(tasks::update(&mut db, &ben, id, &[9], &TaskChanges::default()).await);
        assert_not_found(tasks::delete(&mut db, &ben, id, &[]).await);
        assert_not_found(tasks::restore(&mut db, &ben, id, &[9]).await);
        assert_not_found(tasks::complete(&mut db, &ben, id, &[], None).await);
        assert_not_found(tasks::reopen(&mut db, &ben, id, &[]).await);
    }
    let below = NewTask {
        parent_id: Some(secret.id),
        ..titled("Mine")
    };
    assert_invalid(
        tasks::create(&mut db, &ben, &below).await,
        "/parent_id",
        "unknown-parent",
    );
    let beside = NewTask {
        project_id: Some(secret.project_id),
        ..titled("Mine")
    };
    assert_invalid(
        tasks::create(&mut db, &ben, &beside).await,
        "/project_id",
        "unknown-project",
    );
    assert_eq!(tasks::get(&mut db, &anna, secret.id).await.unwrap(), secret);
}

#[tokio::test]
async fn an_id_of_ones_own_makes_creation_repeatable() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let new = NewTask {
        id: Some(Uuid::now_v7()),
        ..titled("Once")
    };
    let twice = (0..8).map(|_| async {
        let mut transaction = database.pool.begin().await.unwrap();
        let created = tasks::create(&mut transaction, &anna, &new).await.unwrap();
        transaction.commit().await.unwrap();
        created
    });
    let answers = futures_util::future::join_all(twice).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let mut db = database.pool.acquire().await.unwrap();
    let changes = TaskChanges {
        title: Some("Changed since".to_owned()),
        ..TaskChanges::default()
    };
    let changed = tasks::update(&mut db, &anna, answers[0].id, &[], &changes)
        .await
        .unwrap();
    assert_eq!(tasks::create(&mut db, &anna, &new).await.unwrap(), changed);

    let other = NewTask {
        title: "Other".to_owned(),
        ..new.clone()
    };
    assert_taken(tasks::create(&mut db, &anna, &other).await);
    assert_taken(tasks::create(&mut db, &ben, &new).await);
    tasks::delete(&mut db, &anna, changed.id, &[])
        .await
        .unwrap();
    for new in [&new, &other] {
        let outcome = tasks::create(&mut db, &anna, new).await;
        let Err(Error::Refused(Refusal::AlreadyExists {
            deleted: Some(Deleted { task_id, .. }),
            ..
        })) = outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(task_id, changed.id);
    }
    let outcome = tasks::create(&mut db, &ben, &new).await;
    assert!(
        matches!(
            outcome,
            Err(Error::Refused(Refusal::AlreadyExists { deleted: None, .. }))
        ),
        "somebody else learns nothing of the trash: {outcome:?}"
    );

    trash::empty(&database.pool, Duration::ZERO, 10)
        .await
        .unwrap();
    let anew = tasks::create(&mut db, &anna, &other).await.unwrap();
    assert_eq!((anew.id, anew.version), (changed.id, 1));
    assert_eq!(tasks::create(&mut db, &anna, &other).await.unwrap(), anew);
}

#[tokio::test]
async fn a_change_that_changes_nothing_leaves_no_trace() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let before = task(&mut db, &anna, titled("As it is")).await;

    let same = TaskChanges {
        title: Some(before.title.clone()),
        due: Some(None),
        labels: Some(Vec::new()),
        ..TaskChanges::default()
    };
    assert_eq!(
        tasks::update(&mut db, &anna, before.id, &[], &same)
            .await
            .unwrap(),
        before
    );
    let nothing = TaskChanges::default();
    assert_eq!(
        tasks::update(&mut db, &anna, before.id, &[1], &nothing)
            .await
            .unwrap(),
        before
    );
    assert_eq!(
        tasks::restore(&mut db, &anna, before.id, &[])
            .await
            .unwrap(),
        before
    );
    assert_eq!(
        tasks::reopen(&mut db, &anna, before.id, &[]).await.unwrap(),
        before
    );
    let done = tasks::complete(&mut db, &anna, before.id, &[], None)
        .await
        .unwrap();
    assert_eq!(
        tasks::complete(&mut db, &anna, before.id, &[], None)
            .await
            .unwrap(),
        done
    );
    assert_eq!((done.version, done.seq), (2, before.seq + 1));
}

#[tokio::test]
async fn completion_follows_the_status() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let id = task(&mut db, &anna, titled("Do it")).await.id;
    let set = |status| TaskChanges {
        status: Some(status),
        ..TaskChanges::default()
    };

    let done = tasks::update(&mut db, &anna, id, &[], &set(Status::Done))
        .await
        .unwrap();
    assert_eq!(done.completed_at, Some(done.updated_at));
    assert_eq!(done.completed_by, Some(anna.user_id));
    let retitled = TaskChanges {
        title: Some("Did it".to_owned()),
        ..TaskChanges::default()
    };
    let retitled = tasks::update(&mut db, &anna, id, &[], &retitled)
        .await
        .unwrap();
    assert_eq!(retitled.completed_at, done.completed_at);
    let open = tasks::update(&mut db, &anna, id, &[], &set(Status::InProgress))
        .await
        .unwrap();
    assert_eq!((open.completed_at, open.completed_by), (None, None));
    let still_open = tasks::reopen(&mut db, &anna, id, &[]).await.unwrap();
    assert_eq!(still_open.status, Status::InProgress);
    tasks::update(&mut db, &anna, id, &[], &set(Status::Cancelled))
        .await
        .unwrap();
    let reopened = tasks::reopen(&mut db, &anna, id, &[]).await.unwrap();
    assert_eq!(reopened.status, Status::Todo);
    let done = tasks::complete(&mut db, &anna, id, &[], None)
        .await
        .unwrap();
    assert_eq!(done.completed_at, Some(done.updated_at));
}

#[tokio::test]
async fn another_version_is_refused_and_the_present_one_shown() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let task = task(&mut db, &anna, titled("Contended")).await;
    let changes = TaskChanges {
        priority: Some(Priority::High),
        ..TaskChanges::default()
    };
    let current = tasks::update(&mut db, &anna, task.id, &[7, 1], &changes)
        .await
        .unwrap();

    let outcomes = [
        tasks::update(&mut db, &anna, task.id, &[1], &changes)
            .await
            .map(drop),
        tasks::complete(&mut db, &anna, task.id, &[1], None)
            .await
            .map(drop),
        tasks::reopen(&mut db, &anna, task.id, &[1]).await.map(drop),
        tasks::restore(&mut db, &anna, task.id, &[1])
            .await
            .map(drop),
        tasks::delete(&mut db, &anna, task.id, &[1]).await,
    ];

    for outcome in outcomes {
        let Err(Error::Refused(Refusal::VersionMismatch {
            current_version,
            current: shown,
        })) = outcome
        else {
            panic!("{outcome:?}");
        };
        let expected = Current::Task(Box::new(current.clone()));
        assert_eq!((current_version, shown), (2, expected));
    }
    assert_eq!(tasks::get(&mut db, &anna, task.id).await.unwrap(), current);
}

#[tokio::test]
async fn a_deleted_task_comes_back_as_it_was() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let before = task(&mut db, &anna, titled("Precious")).await;

    tasks::delete(&mut db, &anna, before.id, &[1])
        .await
        .unwrap();
    tasks::delete(&mut db, &anna, before.id, &[1])
        .await
        .unwrap();
    assert_not_found(tasks::get(&mut db, &anna, before.id).await);
    assert_not_found(tasks::complete(&mut db, &anna, before.id, &[], None).await);
    assert_not_found(tasks::update(&mut db, &anna, before.id, &[], &TaskChanges::default()).await);
    let restored = tasks::restore(&mut db, &anna, before.id, &[2])
        .await
        .unwrap();

    let expected = Task {
        version: 3,
        seq: before.seq + 2,
        updated_at: restored.updated_at,
        ..before
    };
    assert_eq!(restored, expected);
}

pub(crate) fn assert_not_found<T: std::fmt::Debug>(outcome: taskhub::Result<T>) {
    assert!(
        matches!(outcome, Err(Error::Refused(Refusal::NotFound))),
        "{outcome:?}"
    );
}

pub(crate) fn assert_taken(outcome: taskhub::Result<Task>) {
    assert!(
        matches!(outcome, Err(Error::Refused(Refusal::AlreadyExists { .. }))),
        "{outcome:?}"
    );
}

pub(crate) fn assert_invalid(outcome: taskhub::Result<Task>, pointer: &str, code: &str) {
    let Err(Error::Invalid(violations)) = outcome else {
        panic!("{outcome:?}");
    };
    let found: Vec<_> = violations
        .iter()
        .map(|violation| (violation.pointer.as_str(), violation.code))
        .collect();
    assert_eq!(found, [(pointer, code)]);
}
