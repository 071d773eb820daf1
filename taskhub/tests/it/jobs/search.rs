//! Looking for jobs among very many.

use sqlx::PgPool;
use taskhub::{
    database,
    jobs::{self, Filter, Job, State},
    testing::Database,
};
use uuid::Uuid;

use super::enqueue;
use crate::world::person;

async fn found(db: &PgPool, filter: Filter) -> Vec<Uuid> {
    let page = jobs::list(db, &filter, None, 10).await.unwrap();
    page.jobs.into_iter().map(|job| job.public_id).collect()
}

#[tokio::test]
async fn a_job_is_found_by_its_person_its_arguments_and_its_error() {
    let database = Database::create().await;
    let db = &database.pool;
    let ada = person(db, "ada").await;
    enqueue(db, 3).await;
    let mut connection = db.acquire().await.unwrap();
    let user_id = ada.user_id;
    let welcome = jobs::enqueue(&mut connection, &Job::WelcomeEmail { user_id })
        .await
        .unwrap();
    let email = "Ada@example.org".to_owned();
    let reset = jobs::enqueue(&mut connection, &Job::PasswordResetEmail { email })
        .await
        .unwrap();
    sqlx::query!(
        "update job set last_error = 'the letter was not taken: 550 No such user' where public_id = $1",
        reset
    )
    .execute(db)
    .await
    .unwrap();
    let some = |text: &str| Some(text.to_owned());
    for (filter, expected) in [
        (
            Filter {
                user: some("ada"),
                ..Filter::default()
            },
            vec![welcome],
        ),
        (
            Filter {
                user: some(&user_id.to_string()),
                ..Filter::default()
            },
            vec![welcome],
        ),
        (
            Filter {
                user: some("eve"),
                ..Filter::default()
            },
            vec![],
        ),
        (
            Filter {
                args: some("ada@EXAMPLE.org"),
                ..Filter::default()
            },
            vec![reset],
        ),
        (
            Filter {
                args: some(&user_id.to_string()),
                ..Filter::default()
            },
            vec![welcome],
        ),
        (
            Filter {
                error: some("no such USER"),
                ..Filter::default()
            },
            vec![reset],
        ),
        (
            Filter {
                error: some("no%user"),
                ..Filter::default()
            },
            vec![],
        ),
        (
            Filter {
                error: some("user\0"),
                ..Filter::default()
            },
            vec![],
        ),
        (
            Filter {
                user: some("ada"),
                state: Some(State::Dead),
                ..Filter::default()
            },
            vec![],
        ),
        (
            Filter {
                kind: some("password_reset_email"),
                state: Some(State::Ready),
                ..Filter::default()
            },
            vec![reset],
        ),
        (
            Filter {
                created_before: Some("2026-01-01T00:00:00Z".parse().unwrap()),
                ..Filter::default()
            },
            vec![],
        ),
    ] {
        assert_eq!(found(db, filter.clone()).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_rare_job_is_found_page_by_page_and_no_page_reads_more_than_its_share() {
    let database = Database::create().await;
    let options = database::connect_options(&database.url, "test").unwrap();
    let db = &database::pool(options, 1);
    let user_id = Uuid::now_v7();
    sqlx::query!(
        "
        insert into job (kind, args_version, args, state, finished_at, last_error, user_id)
        select 'welcome_email', 1, '{}', case when n % 2 = 0 then 'done' else 'dead' end, now(),
            case when n = 1 then 'rare' else 'common' end, case when n = 2 then $1::uuid end
        from generate_series(1, 60000) as n
        ",
        user_id,
    )
    .execute(db)
    .await
    .unwrap();
    sqlx::query!("analyze job").execute(db).await.unwrap();
    let rare = Filter {
        state: Some(State::Dead),
        error: Some("rare".to_owned()),
        ..Filter::default()
    };
    let (mut after, mut pages, mut seen) = (None, 0, 0);
    loop {
        let page = jobs::list(db, &rare, after, 10).await.unwrap();
        (pages, seen) = (pages + 1, seen + page.jobs.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Thirty thousand are dead, of which a page looks at ten thousand, and the last at none.
    assert_eq!((pages, seen), (4, 1));
    // A person's jobs are had with one look, however many others there are.
    let theirs = Filter {
        user: Some(user_id.to_string()),
        ..Filter::default()
    };
    let page = jobs::list(db, &theirs, None, 10).await.unwrap();
    assert_eq!((page.jobs.len(), page.next), (1, None));
}
