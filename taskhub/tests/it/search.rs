use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use taskhub::{
    changes::Actor,
    search::filling,
    tasks::{self, Filter, NewTask, Sort, SortKey, TaskChanges},
    testing::{Database, locales},
};

use crate::world::{person, task, titled};

/// What stands in a title, what is typed, and whether it is found.
const CASES: &[(&str, &str, bool)] = &[
    ("Buy milk", "mil", true),
    ("Buy milk", "MILK", true),
    ("Buy milk", "ilk", false),
    ("Buy milk", "\"mil\"", false),
    ("Buy milk", "milk -mil", true),
    ("牛乳を買う", "牛乳", true),
    ("牛乳を買う", "乳", true),
    ("牛乳を買う", "買う", true),
    ("牛乳を買う", "う", true),
    ("牛乳を買う", "牛乳を買", true),
    ("牛乳を買う", "牛買", false),
    ("牛乳を買う", "-乳を", false),
    ("カメラ", "メラ", true),
    ("우유를 사다", "우유", true),
    ("냉장고우유", "우유", true),
    ("ซื้อนมสด", "นมสด", true),
    ("Café", "cafe", true),
    ("Cafe", "CAFÉ", true),
    ("Write to bob@example.com", "bob", true),
    ("Write to bob@example.com", "example.com", true),
    ("Write to bob@example.com", "bob@exa", true),
    ("Write to bob@example.com", "bob@com", false),
    ("МОЛОКО", "молоко", true),
    ("молоко", "МОЛ", true),
    ("Ёлка", "елка", true),
    ("Straße", "STRASSE", true),
    ("STRASSE", "straße", true),
    ("İSTANBUL", "istanbul", true),
    ("istanbul", "İstanbul", true),
    ("ISPARTA", "ısparta", true),
    ("isparta", "ISPARTA", true),
    ("ΟΔΥΣΣΕΥΣ", "οδυσσεύς", true),
    ("हिन्दी सीखना", "हिन्दी", true),
    ("हिन्दी सीखना", "हिन्द", true),
    ("مَكْتَب", "مكتب", true),
    ("Party 🎉", "🎉", true),
    ("C:\\it's 100% \"done\"", "it's", true),
    ("C:\\it's 100% \"done\"", "100", true),
    ("snake_case_name", "case", true),
];

async fn found(db: &mut PgConnection, actor: &Actor, words: &str) -> Vec<String> {
    let filter = Filter {
        words: Some(words.to_owned()),
        ..Filter::default()
    };
    let mut titles: Option<Vec<String>> = None;
    // Each order has a way of its own to the same tasks.
    for key in [
        SortKey::CreatedAt,
        SortKey::Due,
        SortKey::Title,
        SortKey::Relevance,
    ] {
        let sort = Sort {
            key,
            descending: true,
        };
        let page = tasks::list(db, actor, &filter, sort, None, 200)
            .await
            .unwrap();
        let mut these: Vec<_> = page.tasks.into_iter().map(|task| task.title).collect();
        these.sort();
        assert_eq!(
            *titles.get_or_insert_with(|| these.clone()),
            these,
            "{words} by {key:?}"
        );
    }
    let titles = titles.unwrap_or_default();
    let count = tasks::count(db, actor, &filter).await.unwrap();
    assert_eq!(
        usize::try_from(count.total).unwrap(),
        titles.len(),
        "{words}"
    );
    titles
}

#[tokio::test]
async fn what_people_take_for_the_same_is_found_in_every_locale() {
    for (locale, database) in locales::databases().await {
        let mut db = database.pool.acquire().await.unwrap();
        for (number, (title, typed, expected)) in CASES.iter().enumerate() {
            let actor = person(&database.pool, &format!("person{number}")).await;
            task(&mut db, &actor, titled(title)).await;
            // The other place where it may stand.
            let described = NewTask {
                description: (*title).to_owned(),
                ..titled("x")
            };
            task(&mut db, &actor, described).await;
            let titles = found(&mut db, &actor, typed).await;
            assert_eq!(
                titles.len(),
                if *expected { 2 } else { 0 },
                "{typed} in {title}, {locale}: {titles:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_search_sees_a_change_at_once_and_the_record_of_changes_does_not_hold_it() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let new = NewTask {
        description: "from the farm".to_owned(),
        ..titled("Milk")
    };
    let milk = task(&mut db, &anna, new).await;
    let changes = TaskChanges {
        title: Some("Butter".to_owned()),
        ..TaskChanges::default()
    };
    tasks::update(&mut db, &anna, milk.id, &[], &changes)
        .await
        .unwrap();
    assert_eq!(found(&mut db, &anna, "milk").await, [""; 0]);
    assert_eq!(found(&mut db, &anna, "butter farm").await, ["Butter"]);
    // No phrase leads from the title into the description.
    assert_eq!(found(&mut db, &anna, "\"butter from\"").await, [""; 0]);
    // The same words: the text is another, and the words are not forgotten.
    let changes = TaskChanges {
        title: Some("BUTTER".to_owned()),
        ..TaskChanges::default()
    };
    tasks::update(&mut db, &anna, milk.id, &[], &changes)
        .await
        .unwrap();
    assert_eq!(found(&mut db, &anna, "butter").await, ["BUTTER"]);
    assert_eq!(waiting(&database.pool).await, 0);
    tasks::complete(&mut db, &anna, milk.id, &[], None)
        .await
        .unwrap();
    assert_eq!(found(&mut db, &anna, "butter farm").await, ["BUTTER"]);

    let rows: Vec<(Vec<String>, Option<Value>, Value)> =
        sqlx::query_as("select fields, before, after from change where entity = 'task'")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    assert_eq!(rows.len(), 4);
    for (fields, before, after) in rows {
        let before = before.unwrap_or_default();
        for name in ["title_words", "description_words", "words_seq"] {
            assert!(!fields.iter().any(|field| field == name), "{fields:?}");
            assert!(before.get(name).is_none() && after.get(name).is_none());
        }
    }
}

#[tokio::test]
async fn the_best_comes_first_and_pages_go_on_from_there() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    let described = NewTask {
        description: "buy milk and butter".to_owned(),
        ..titled("Shopping")
    };
    for new in [
        titled("Milk"),
        described,
        titled("Milkshake"),
        titled("Milk for the cat"),
        titled("Bread"),
    ] {
        task(&mut db, &anna, new).await;
    }
    let filter = Filter {
        words: Some("milk".to_owned()),
        ..Filter::default()
    };
    let sort = Sort {
        key: SortKey::Relevance,
        descending: true,
    };
    let (mut titles, mut after) = (Vec::new(), None);
    loop {
        let page = tasks::list(&mut db, &anna, &filter, sort, after.as_ref(), 1)
            .await
            .unwrap();
        titles.extend(page.tasks.into_iter().map(|task| task.title));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(
        titles,
        ["Milk", "Milk for the cat", "Milkshake", "Shopping"]
    );
}

/// How many tasks are without their words.
async fn waiting(db: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from task_unindexed")
        .fetch_one(db)
        .await
        .unwrap()
}

/// As the release before writes: it does not know the words.
async fn write_as_before(db: &mut PgConnection, actor: &Actor, title: &str) {
    sqlx::query(
        "insert into task (id, workspace_id, project_id, title, position, seq, created_by)
         select gen_random_uuid(), workspace_id, project.id, $2, '', 0, $1
         from project join workspace on workspace.id = workspace_id where owner_id = $1",
    )
    .bind(actor.user_id)
    .bind(title)
    .execute(db)
    .await
    .unwrap();
}

#[tokio::test]
async fn what_an_earlier_release_writes_is_found_as_before_and_soon_as_everything_else() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    task(&mut db, &anna, titled("Café au lait")).await;
    write_as_before(&mut db, &anna, "café crème").await;
    // It renames the task and keeps the words that it does not know.
    sqlx::query("update task set title = 'Thé au lait' where title = 'Café au lait'")
        .execute(&mut *db)
        .await
        .unwrap();
    assert_eq!(waiting(&database.pool).await, 2);
    assert_eq!(found(&mut db, &anna, "café").await, ["café crème"]);
    assert_eq!(found(&mut db, &anna, "lait").await, ["Thé au lait"]);
    assert_eq!(found(&mut db, &anna, "the").await, [""; 0]);

    // Somebody is just changing one of them.
    let mut other = database.pool.begin().await.unwrap();
    sqlx::query("select from task where title = 'café crème' for update")
        .execute(&mut *other)
        .await
        .unwrap();
    assert_eq!(filling::fill(&database.pool, 100).await.unwrap(), 1);
    other.rollback().await.unwrap();
    assert_eq!(filling::fill(&database.pool, 100).await.unwrap(), 1);
    assert_eq!(filling::fill(&database.pool, 100).await.unwrap(), 0);

    assert_eq!(waiting(&database.pool).await, 0);
    assert_eq!(found(&mut db, &anna, "the").await, ["Thé au lait"]);
    assert_eq!(found(&mut db, &anna, "cafe").await, ["café crème"]);
}

#[tokio::test]
async fn every_task_gets_new_words_once_when_the_rules_are_newer() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    for number in 0..7 {
        task(&mut db, &anna, titled(&format!("Café {number}"))).await;
    }
    for statement in [
        "update task set title_words = ''",
        "update search_fill set version = 0, done = true",
    ] {
        sqlx::query(statement).execute(&mut *db).await.unwrap();
    }
    assert_eq!(found(&mut db, &anna, "cafe").await, [""; 0]);
    let mut filled = 0;
    loop {
        match filling::fill(&database.pool, 3).await.unwrap() {
            0 => break,
            more => filled += more,
        }
    }
    assert_eq!(filled, 7);
    assert_eq!(found(&mut db, &anna, "cafe").await.len(), 7);

    // A program with older rules leaves the newer ones alone.
    sqlx::query("update search_fill set version = 99, done = false")
        .execute(&mut *db)
        .await
        .unwrap();
    assert_eq!(filling::fill(&database.pool, 3).await.unwrap(), 0);
}

#[tokio::test]
async fn a_search_goes_beyond_the_beginning_of_a_long_list() {
    let database = Database::create().await;
    let anna = person(&database.pool, "anna").await;
    let mut db = database.pool.acquire().await.unwrap();
    for _ in 0..3 {
        task(&mut db, &anna, titled("The needle")).await;
    }
    sqlx::query(
        "insert into task (id, workspace_id, project_id, title, position, seq, created_by, title_words, description_words)
         select gen_random_uuid(), workspace_id, id, 'hay', '', 0, id, words_in(workspace_id, '''@hay'':1A'), '' from project, generate_series(1, 400)",
    )
    .execute(&mut *db)
    .await
    .unwrap();
    for (words, expected) in [
        ("needle", 3),
        ("need or nothing", 3),
        ("hay", 400),
        ("the -hay", 3),
        ("-hay", 3),
    ] {
        let filter = Filter {
            words: Some(words.to_owned()),
            ..Filter::default()
        };
        for key in [SortKey::CreatedAt, SortKey::Relevance] {
            let sort = Sort {
                key,
                descending: true,
            };
            let (mut seen, mut after) = (0, None);
            loop {
                let page = tasks::list(&mut db, &anna, &filter, sort, after.as_ref(), 2)
                    .await
                    .unwrap();
                seen += page.tasks.len();
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{words} by {key:?}");
        }
    }
}
