//! Bringing the schema up to date.

use taskhub::{database, testing::Database};

#[tokio::test]
async fn an_index_that_was_not_finished_is_made_anew() {
    let database = Database::create().await;
    let index = "select indisvalid from pg_index where indexrelid = 'task_due_form_idx'::regclass";
    // As it is when `create index concurrently` is interrupted.
    for statement in [
        "update pg_index set indisvalid = false where indexrelid = 'task_due_form_idx'::regclass",
        "delete from _sqlx_migrations where version = 13",
    ] {
        sqlx::query(statement)
            .execute(&database.pool)
            .await
            .unwrap();
    }
    let options = database::connect_options(&database.url, "test").unwrap();
    assert_eq!(database::migrate(&options, None).await.unwrap(), [13]);
    let valid: bool = sqlx::query_scalar(index)
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(valid);
}

#[tokio::test]
async fn two_who_migrate_at_once_do_not_wait_for_each_other_for_ever() {
    let database = Database::create_empty().await;
    let options = database::connect_options(&database.url, "test").unwrap();
    let all = database::MIGRATIONS.iter().count();
    let (one, other) = tokio::join!(
        database::migrate(&options, None),
        database::migrate(&options, None)
    );
    let mut applied = [one.unwrap().len(), other.unwrap().len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, all]);
}
