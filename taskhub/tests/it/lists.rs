mod by_due;
mod moments;

use std::collections::BTreeSet;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::json;
use sqlx::PgConnection;
use taskhub::{
    changes::Actor,
    due::When,
    tasks::{
        self, Count, Due, Filter, NewTask, Position, Priority, Sort, SortKey, Status, TaskChanges,
    },
    testing::Database,
};
use uuid::Uuid;

use crate::world::{person, task, titled};

const KEYS: [SortKey; 7] = [
    SortKey::CreatedAt,
    SortKey::UpdatedAt,
    SortKey::Due,
    SortKey::CompletedAt,
    SortKey::Priority,
    SortKey::Position,
    SortKey::Title,
];

fn every_sort() -> impl Iterator<Item = Sort> {
    KEYS.into_iter()
        .flat_map(|key| [false, true].map(|descending| Sort { key, descending }))
}

fn by(key: SortKey) -> Sort {
    Sort {
        key,
        descending: false,
    }
}

/// The titles of a list in the order of its positions.
async fn titles(db: &mut PgConnection, actor: &Actor, filter: &Filter) -> Vec<String> {
    let page = tasks::list(db, actor, filter, by(SortKey::Position), None, 200)
        .await
        .unwrap();
    let counted = tasks::count(db, actor, filter).await.unwrap();
    assert_eq!(usize::try_from(counted.total).unwrap(), page.tasks.len());
    page.tasks.into_iter().map(|task| task.title).collect()
}

fn due(form: serde_json::Value) -> Option<When> {
    serde_json::from_value(form).unwrap()
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_tasks_come_and_go() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let days = [
        json!({"date": "2026-12-01"}),
        json!({"local": "2026-12-01T00:00:00"}),
        json!(null),
    ];
    let priorities = [Priority::None, Priority::High, Priority::Urgent];
    let any = |number: usize| NewTask {
        title: ["b", "a", "ä", "B"][number % 4].to_owned(),
        due: due(days[number % 3].clone()),
        priority: priorities[number % 3],
        status: [Status::Done, Status::Todo, Status::Cancelled][number % 3],
        ..NewTask::default()
    };
    for sort in every_sort() {
        let mut there = BTreeSet::new();
        for number in 0..12 {
            there.insert(task(&mut db, &anna, any(number)).await.id);
        }
        let (mut seen, mut after): (Vec<Uuid>, Option<Position>) = (Vec::new(), None);
        loop {
            let page = tasks::list(&mut db, &anna, &Filter::default(), sort, after.as_ref(), 5)
                .await
                .unwrap();
            seen.extend(page.tasks.iter().map(|task| task.id));
            after = page.next;
            if after.is_none() {
                break;
            }
            for number in 0..3 {
                // Fewer than a page holds, so that the list comes to an end.
                task(&mut db, &anna, any(number)).await;
            }
            // The very task that the next page begins after.
            tasks::delete(&mut db, &anna, page.tasks[4].id, &[])
                .await
                .unwrap();
            assert!(seen.len() < 1000, "{sort:?} does not end");
        }
        let distinct: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort:?} repeats");
        assert!(there.is_subset(&distinct), "{sort:?} skips");
        sqlx::query("delete from task")
            .execute(&mut *db)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn each_order_is_what_it_says() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let all = [
        ("pear", json!(null), Priority::Urgent),
        ("Äpfel", json!({"date": "2026-12-02"}), Priority::None),
        (
            "apple",
            json!({"local": "2026-12-02T08:00:00"}),
            Priority::Low,
        ),
        (
            "Zimt",
            json!({"at": "2026-12-01T23:00:00Z", "time_zone": "Asia/Tokyo"}),
            Priority::Medium,
        ),
    ];
    let mut first = None;
    for (title, when, priority) in all {
        let new = NewTask {
            due: due(when),
            priority,
            ..titled(title)
        };
        first.get_or_insert(task(&mut db, &anna, new).await.id);
    }
    let touched = TaskChanges {
        description: Some("changed last".to_owned()),
        ..TaskChanges::default()
    };
    tasks::update(&mut db, &anna, first.unwrap(), &[], &touched)
        .await
        .unwrap();

    let expected = [
        (SortKey::CreatedAt, ["pear", "Äpfel", "apple", "Zimt"]),
        (SortKey::UpdatedAt, ["Äpfel", "apple", "Zimt", "pear"]),
        (SortKey::Due, ["Zimt", "Äpfel", "apple", "pear"]),
        (SortKey::Priority, ["Äpfel", "apple", "Zimt", "pear"]),
        (SortKey::Position, ["pear", "Äpfel", "apple", "Zimt"]),
        (SortKey::Title, ["Äpfel", "apple", "pear", "Zimt"]),
    ];
    for (key, mut order) in expected {
        for descending in [false, true] {
            let sort = Sort { key, descending };
            let page = tasks::list(&mut db, &anna, &Filter::default(), sort, None, 200)
                .await
                .unwrap();
            let found: Vec<_> = page.tasks.iter().map(|task| task.title.as_str()).collect();
            if descending && key == SortKey::Due {
                // What is never due stays last.
                order = ["apple", "Äpfel", "Zimt", "pear"];
            } else if descending {
                order.reverse();
            }
            assert_eq!(found, order, "{sort:?}");
        }
    }
}

#[tokio::test]
async fn every_filter_holds() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let ben = person(&database.pool, "ben").await;
    let mut db = database.pool.acquire().await.unwrap();
    let write = NewTask {
        status: Status::InProgress,
        priority: Priority::High,
        labels: vec!["work".to_owned(), "desk".to_owned()],
        description: "the quick brown fox".to_owned(),
        ..titled("Write a report")
    };
    let write = task(&mut db, &anna, write).await;
    let send = NewTask {
        parent_id: Some(write.id),
        labels: vec!["work".to_owned()],
        ..titled("Send the report")
    };
    let send = task(&mut db, &anna, send).await;
    let gone = task(&mut db, &anna, titled("Gone")).await;
    tasks::delete(&mut db, &anna, gone.id, &[]).await.unwrap();
    task(&mut db, &anna, titled("Rest")).await;
    task(&mut db, &ben, titled("Write a report")).await;

    let none: &[&str] = &[];
    let word = |text: &str| Filter {
        words: Some(text.to_owned()),
        ..Filter::default()
    };
    let cases = [
        (
            Filter::default(),
            &["Write a report", "Send the report", "Rest"][..],
        ),
        (
            Filter {
                include_deleted: true,
                ..Filter::default()
            },
            &["Write a report", "Send the report", "Gone", "Rest"],
        ),
        (
            Filter {
                project_ids: vec![Uuid::nil()],
                ..Filter::default()
            },
            none,
        ),
        (
            Filter {
                project_ids: vec![Uuid::nil(), write.project_id],
                statuses: vec![Status::Todo],
                ..Filter::default()
            },
            &["Send the report", "Rest"],
        ),
        (
            Filter {
                parent_ids: vec![write.id],
                ..Filter::default()
            },
            &["Send the report"],
        ),
        (
            Filter {
                top_level: true,
                ..Filter::default()
            },
            &["Write a report", "Rest"],
        ),
        (
            Filter {
                top_level: true,
                parent_ids: vec![write.id],
                labels: vec!["work".to_owned()],
                ..Filter::default()
            },
            &["Write a report", "Send the report"],
        ),
        (
            Filter {
                statuses: vec![Status::InProgress, Status::Done],
                ..Filter::default()
            },
            &["Write a report"],
        ),
        (
            Filter {
                priorities: vec![Priority::High, Priority::Urgent],
                ..Filter::default()
            },
            &["Write a report"],
        ),
        (
            Filter {
                labels: vec!["desk".to_owned(), "home".to_owned()],
                ..Filter::default()
            },
            &["Write a report"],
        ),
        (
            Filter {
                not_labels: vec!["desk".to_owned(), "home".to_owned()],
                ..Filter::default()
            },
            &["Send the report", "Rest"],
        ),
        (
            Filter {
                labels: vec!["work".to_owned()],
                not_labels: vec!["desk".to_owned()],
                ..Filter::default()
            },
            &["Send the report"],
        ),
        (
            Filter {
                created_after: Some(send.created_at),
                ..Filter::default()
            },
            &["Send the report", "Rest"],
        ),
        (
            Filter {
                updated_after: Some(send.updated_at + TimeDelta::microseconds(1)),
                ..Filter::default()
            },
            &["Rest"],
        ),
        (word("REPORT"), &["Write a report", "Send the report"]),
        (word("report -send"), &["Write a report"]),
        (word("fox or rest"), &["Write a report", "Rest"]),
        (word("\"quick brown\""), &["Write a report"]),
        (word("\"brown quick\""), none),
        (word("'); drop table task; --"), none),
        (word("!!"), none),
    ];
    for (filter, expected) in cases {
        assert_eq!(
            titles(&mut db, &anna, &filter).await,
            expected,
            "{filter:?}"
        );
    }
}

#[tokio::test]
async fn today_is_where_the_person_is() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    // Fourteen hours before UTC and eleven behind it: some of it is always another day.
    for zone in [Tz::Pacific__Kiritimati, Tz::Pacific__Pago_Pago, Tz::UTC] {
        let now = Utc::now();
        let today = now.with_timezone(&zone).date_naive();
        let midnight = today
            .and_time(NaiveTime::MIN)
            .and_local_timezone(zone)
            .unwrap()
            .to_utc();
        let at = |at: DateTime<Utc>| json!({"at": at, "time_zone": "Europe/Vienna"});
        let local = |at: DateTime<Utc>| json!({"local": at.with_timezone(&zone).naive_local()});
        let date = |days: u64| json!({"date": today + Days::new(1) - Days::new(days)});
        let moment = TimeDelta::milliseconds(1);
        let tomorrow = midnight + TimeDelta::hours(24);
        let all = [
            ("day before", date(2)),
            ("day", date(1)),
            ("day after", date(0)),
            ("instant before", at(midnight - moment)),
            ("first instant", at(midnight)),
            ("last instant", at(tomorrow - moment)),
            ("instant after", at(tomorrow)),
            ("local before", local(midnight - moment)),
            ("first local", local(midnight)),
            ("last local", local(tomorrow - moment)),
            ("local after", local(tomorrow)),
            ("never", json!(null)),
        ];
        for (title, when) in all.clone() {
            let new = NewTask {
                due: due(when),
                ..titled(title)
            };
            task(&mut db, &anna, new).await;
        }
        let done = NewTask {
            due: due(date(2)),
            status: Status::Done,
            ..titled("done")
        };
        task(&mut db, &anna, done).await;

        let filter = |due: &[Due]| Filter {
            due: due.to_vec(),
            time_zone: zone,
            ..Filter::default()
        };
        let on_the_day = [
            "day",
            "first instant",
            "last instant",
            "first local",
            "last local",
        ];
        let overdue = [
            "day before",
            "instant before",
            "first instant",
            "local before",
            "first local",
        ];
        assert_eq!(
            titles(&mut db, &anna, &filter(&[Due::Today])).await,
            on_the_day,
            "{zone}"
        );
        assert_eq!(
            titles(&mut db, &anna, &filter(&[Due::Overdue])).await,
            overdue,
            "{zone}"
        );
        assert_eq!(
            titles(&mut db, &anna, &filter(&[Due::None])).await,
            ["never"]
        );
        assert_eq!(
            titles(&mut db, &anna, &filter(&[Due::Any])).await.len(),
            all.len()
        );
        let either = filter(&[Due::None, Due::Today]);
        assert_eq!(
            titles(&mut db, &anna, &either).await.len(),
            on_the_day.len() + 1
        );
        let between = Filter {
            due_after: Some(midnight),
            due_before: Some(tomorrow),
            ..filter(&[])
        };
        assert_eq!(titles(&mut db, &anna, &between).await, on_the_day, "{zone}");
        sqlx::query("delete from task")
            .execute(&mut *db)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn counting_stops_at_ten_thousand() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let insert = "insert into task (id, workspace_id, project_id, title, position, seq, created_by)
         select gen_random_uuid(), workspace_id, id, 'many', '', 0, id from project, generate_series(1, $1)";
    let all = Filter::default();
    for (more, total, is_lower_bound) in [(10_000, 10_000, false), (1, 10_000, true)] {
        sqlx::query(insert)
            .bind(more)
            .execute(&mut *db)
            .await
            .unwrap();
        let count = tasks::count(&mut db, &anna, &all).await.unwrap();
        assert_eq!(
            count,
            Count {
                total,
                is_lower_bound
            }
        );
    }
}

#[tokio::test]
async fn what_was_completed_is_found_by_its_time() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let day: DateTime<Utc> = "2024-11-28T00:00:00Z".parse().unwrap();
    let times = [
        None,
        Some(TimeDelta::hours(24)),
        Some(TimeDelta::zero()),
        None,
        Some(TimeDelta::hours(23)),
    ];
    let titles_of = ["open", "next day", "midnight", "also open", "evening"];
    for (title, time) in titles_of.into_iter().zip(times) {
        let id = task(&mut db, &anna, titled(title)).await.id;
        if let Some(time) = time {
            tasks::complete(&mut db, &anna, id, &[], Some(day + time))
                .await
                .unwrap();
        }
    }
    let on_the_day = Filter {
        completed_after: Some(day),
        completed_before: Some(day + TimeDelta::hours(24)),
        ..Filter::default()
    };
    assert_eq!(
        titles(&mut db, &anna, &on_the_day).await,
        ["midnight", "evening"]
    );
    let done = Filter {
        statuses: vec![Status::Done],
        ..Filter::default()
    };
    let ascending = ["midnight", "evening", "next day"];
    let descending = ["next day", "evening", "midnight"];
    for limit in [1, 2, 3, 4, 5, 200] {
        for (filter, is_descending, expected, open) in [
            (&on_the_day, false, &ascending[..2], &[][..]),
            (&on_the_day, true, &descending[1..], &[]),
            (&done, false, &ascending, &[]),
            (&done, true, &descending, &[]),
            (
                &Filter::default(),
                false,
                &ascending,
                &["open", "also open"],
            ),
            (
                &Filter::default(),
                true,
                &descending,
                &["also open", "open"],
            ),
        ] {
            let sort = Sort {
                key: SortKey::CompletedAt,
                descending: is_descending,
            };
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page = tasks::list(&mut db, &anna, filter, sort, after.as_ref(), limit);
                let page = page.await.unwrap();
                found.extend(page.tasks.into_iter().map(|task| task.title));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(found, [expected, open].concat(), "{limit} {sort:?}");
        }
    }
}
