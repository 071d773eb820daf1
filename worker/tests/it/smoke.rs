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
