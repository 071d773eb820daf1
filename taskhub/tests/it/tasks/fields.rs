//! Changing one field, whatever the others are.
//!
//! A new field of a task does not compile here before it is written and changed below; then the tests fail until every
//! statement that writes tasks knows it.

use proptest::prelude::{Strategy, any, prop};
use serde_json::json;
use taskhub::{
    due::WhenChanges,
    tasks::{self, NewTask, Priority, Status, Task, TaskChanges},
    testing::Database,
};

use crate::world::{person, task};

/// Random content, in which every field may be anything that is allowed.
fn content() -> impl Strategy<Value = NewTask> {
    let when = || {
        prop::option::of(prop::sample::select(vec![
            json!({"date": "2026-12-01"}),
            json!({"local": "2026-12-01T09:00:00.5"}),
            json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Vienna"}),
        ]))
        .prop_map(|when| when.map(|when| serde_json::from_value(when).expect("a form")))
    };
    let text = |most| {
        prop::collection::vec(
            any::<char>().prop_filter("not storable", |c| *c != '\0'),
            1..most,
        )
    };
    let text = move |most| text(most).prop_map(String::from_iter);
    let statuses = vec![
        Status::Todo,
        Status::InProgress,
        Status::Done,
        Status::Cancelled,
    ];
    let priorities = vec![
        Priority::None,
        Priority::Low,
        Priority::Medium,
        Priority::High,
        Priority::Urgent,
    ];
    (
        text(40),
        text(200),
        prop::sample::select(statuses),
        prop::sample::select(priorities),
        when(),
        when(),
        prop::collection::btree_set(text(10), 0..5),
    )
        .prop_map(
            |(title, description, status, priority, due, start, labels)| NewTask {
                title,
                description,
                status,
                priority,
                due,
                start,
                labels: labels.into_iter().collect(),
                id: None,
                project_id: None,
                parent_id: None,
            },
        )
}

/// That a task began as somebody wrote it.
fn assert_began(task: &Task, new: NewTask) {
    let NewTask {
        id: _,
        project_id: _,
        parent_id: _,
        title,
        description,
        status,
        priority,
        due,
        start,
        labels,
    } = new;
    assert_eq!((&task.title, &task.description), (&title, &description));
    assert_eq!((task.status, task.priority), (status, priority));
    assert_eq!((&task.due, &task.start), (&due, &start));
    assert_eq!(task.labels, labels);
}

/// Changes of `field` alone, to what it is in `to`; and the task that has to come of it.
fn one_change(field: usize, before: &Task, to: NewTask) -> (TaskChanges, Task) {
    let mut changes = TaskChanges::default();
    // Each but these two has an arm below, and `FIELDS` counts the arms.
    let TaskChanges {
        project_id: _,
        parent_id: _,
        title: _,
        description: _,
        status: _,
        priority: _,
        due: _,
        start: _,
        labels: _,
    } = &changes;
    let mut after = before.clone();
    match field {
        0 => {
            after.title.clone_from(&to.title);
            changes.title = Some(to.title);
        }
        1 => {
            after.description.clone_from(&to.description);
            changes.description = Some(to.description);
        }
        2 => {
            after.status = to.status;
            changes.status = Some(to.status);
        }
        3 => {
            after.priority = to.priority;
            changes.priority = Some(to.priority);
        }
        4 => {
            after.due.clone_from(&to.due);
            changes.due = Some(to.due.map(WhenChanges::from));
        }
        5 => {
            after.start.clone_from(&to.start);
            changes.start = Some(to.start.map(WhenChanges::from));
        }
        _ => {
            after.labels.clone_from(&to.labels);
            changes.labels = Some(to.labels);
        }
    }
    (changes, after)
}

const FIELDS: usize = 7;

#[test]
fn changing_one_field_keeps_all_others() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (database, anna) = runtime.block_on(async {
        let database = Database::create().await;
        let anna = person(&database.pool, "anna").await;
        (database, anna)
    });
    proptest::proptest!(|(from in content(), to in content(), field in 0..FIELDS)| {
        runtime.block_on(async {
            let mut db = database.pool.acquire().await.unwrap();
            let before = task(&mut db, &anna, from.clone()).await;
            assert_began(&before, from);
            let (changes, mut expected) = one_change(field, &before, to);
            let after = tasks::update(&mut db, &anna, before.id, &[], &changes).await.unwrap();
            if expected != before {
                expected.version += 1;
                expected.seq += 1;
            }
            expected.updated_at = after.updated_at;
            if before.status != after.status {
                expected.completed_at = after.completed_at;
                expected.completed_by = after.completed_by;
            }
            assert_eq!(after, expected);
        });
    });
}
