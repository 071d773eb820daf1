use crate::site::Site;

#[tokio::test]
async fn a_job_is_done_where_a_worker_runs_and_only_there() {
    let site = Site::new().await;
    assert_eq!(site.smoke("1").code(), Some(1));
    let _worker = site.worker();
    assert_eq!(site.smoke("30").code(), Some(0));
    // However often it is asked.
    assert_eq!(site.smoke("30").code(), Some(0));
}

#[tokio::test]
async fn what_waits_or_runs_already_does_not_stand_for_the_smoke_test() {
    let site = Site::new().await;
    // One that failed seven times, and one that a worker has had for long.
    sqlx::raw_sql(
        "
        insert into job (kind, args_version, args, unique_key, state, attempt, run_at)
        values ('remove_old_sessions', 1, '{}', 'remove_old_sessions:', 'scheduled', 7, now() + interval '1 hour');
        insert into job (kind, args_version, args, unique_key, state, lease_token, lease_until)
        values ('remove_old_sessions', 1, '{}', 'periodic:remove_old_sessions', 'running', gen_random_uuid(),
            now() + interval '1 hour');
        ",
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let _worker = site.worker();
    assert_eq!(site.smoke("30").code(), Some(0));
}
