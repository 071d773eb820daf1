use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    support::{Service, success},
    tasks::add,
};

#[tokio::test]
async fn parallel_writers_leave_a_feed_without_gaps() {
    let service = Service::start().await;
    let user = service.user().await;
    let shared = add(&service, &user, &json!({"title": "Shared"})).await;
    let path = format!("/v1/tasks/{}", shared["id"].as_str().unwrap());
    let writer = async |number: usize| {
        for round in 0..10 {
            let title = json!({"title": format!("{number}.{round}")});
            add(&service, &user, &title).await;
            let changed = service
                .by(&user, Method::PATCH, &path)
                .json(&title)
                .send()
                .await
                .unwrap();
            success(changed, StatusCode::OK).await;
        }
    };
    join_all((0..8).map(writer)).await;

    let numbers: Vec<i64> = sqlx::query_scalar("select seq from change order by at")
        .fetch_all(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(numbers, (1..=3 + 160).collect::<Vec<_>>());
    let versions: Vec<i64> =
        sqlx::query_scalar("select version from change where entity_id = $1::uuid order by seq")
            .bind(shared["id"].as_str().unwrap())
            .fetch_all(&service.database.pool)
            .await
            .unwrap();
    assert_eq!(versions, (1..=81).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_change_names_the_request_that_made_it() {
    let service = Service::start().await;
    let user = service.user().await;
    let request = service
        .by(&user, Method::POST, "/v1/tasks")
        .header("x-request-id", "of-my-choice");
    let answer = request
        .json(&json!({"title": "Traced"}))
        .send()
        .await
        .unwrap();
    let task = success(answer, StatusCode::CREATED).await;
    let (seq, request_id): (i64, String) =
        sqlx::query_as("select seq, request_id from change where entity = 'task'")
            .fetch_one(&service.database.pool)
            .await
            .unwrap();
    assert_eq!(
        (json!(seq), request_id.as_str()),
        (task["seq"].clone(), "of-my-choice")
    );
}
