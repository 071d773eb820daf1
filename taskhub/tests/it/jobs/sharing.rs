use sqlx::PgPool;
use taskhub::{jobs::waiting, testing::Database};
use uuid::Uuid;

/// Enqueues `count` welcomes that concern `workspace_id`, the first of them due `age` seconds ago.
async fn flood(db: &PgPool, workspace_id: Uuid, count: i32, age: i32) {
    sqlx::query!(
        "
        insert into job (kind, args_version, args, workspace_id, run_at)
        select 'welcome_email', 1, '{}', $1, now() - make_interval(secs => $3) + n * interval '1 microsecond'
        from generate_series(1, $2) as n
        ",
        workspace_id,
        count,
        f64::from(age),
    )
    .execute(db)
    .await
    .unwrap();
}

/// Whose jobs are due, in this order.
async fn due(db: &PgPool, limit: usize) -> Vec<Uuid> {
    let due = waiting::due(db, "default", limit).await.unwrap();
    sqlx::query_scalar!(
        r#"select workspace_id as "workspace_id!" from job where id = any($1) order by array_position($1, id)"#,
        &due.ids,
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_flood_from_one_workspace_does_not_delay_anothers_job() {
    let database = Database::create().await;
    let db = &database.pool;
    let [flooder, other] = [Uuid::now_v7(), Uuid::now_v7()];
    flood(db, flooder, 5000, 60).await;
    flood(db, other, 2, 1).await;
    let due = due(db, 100).await;
    // Each has its turn until the other has no more.
    assert_eq!(due[..4], [flooder, other, flooder, other]);
    assert!(due[4..].iter().all(|workspace_id| *workspace_id == flooder));
    assert!(waiting::due(db, "default", 100).await.unwrap().more);
}

#[tokio::test]
async fn who_floods_alone_has_all_there_is() {
    let database = Database::create().await;
    let db = &database.pool;
    flood(db, Uuid::now_v7(), 5000, 60).await;
    assert_eq!(due(db, 512).await.len(), 512);
}

#[tokio::test]
async fn of_more_workspaces_than_fit_each_has_its_turn() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into job (kind, args_version, args, workspace_id)
        select 'welcome_email', 1, '{}', gen_random_uuid() from generate_series(1, 100)
        "
    )
    .execute(db)
    .await
    .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    // A place at random each time: after two hundred looks at a tenth, one in a billion is left out.
    for _ in 0..200 {
        let due = due(db, 10).await;
        assert_eq!(due.len(), 10);
        seen.extend(due);
    }
    assert_eq!(seen.len(), 100);
}

#[tokio::test]
async fn a_flood_of_one_kind_does_not_hide_another_kind() {
    let database = Database::create().await;
    let db = &database.pool;
    flood(db, Uuid::now_v7(), 5000, 60).await;
    sqlx::query!(
        r#"insert into job (kind, args_version, args) values ('erase_account', 1, '{"user_id": "01920000-0000-7000-8000-000000000001"}')"#
    )
    .execute(db)
    .await
    .unwrap();
    let due = waiting::due(db, "default", 100).await.unwrap().ids;
    let place = due.iter().position(|id| *id == 5001).unwrap();
    assert!(place <= 1, "{place}");
}

#[tokio::test]
async fn the_urgent_goes_before_every_share() {
    let database = Database::create().await;
    let db = &database.pool;
    flood(db, Uuid::now_v7(), 10, 60).await;
    flood(db, Uuid::now_v7(), 10, 60).await;
    sqlx::query!("update job set priority = 1 where id in (9, 20)")
        .execute(db)
        .await
        .unwrap();
    let due = waiting::due(db, "default", 20).await.unwrap().ids;
    assert_eq!(due.len(), 20);
    let mut first = due[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, [9, 20]);
}
