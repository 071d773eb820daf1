//! Moving over HTTP; what moves do is tested with the domain.

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{add, call, header, path, post};
use crate::support::{Service, User, problem, success};

async fn titles(service: &Service, user: &User) -> Vec<String> {
    let answer = call(service, user, Method::GET, "/v1/tasks?sort=position").await;
    let page = success(answer, StatusCode::OK).await;
    let tasks = page["data"].as_array().unwrap().iter();
    tasks
        .map(|task| task["title"].as_str().unwrap().to_owned())
        .collect()
}

async fn several(service: &Service, user: &User, titles: &[&str]) -> Vec<Value> {
    let mut tasks = Vec::new();
    for title in titles {
        tasks.push(add(service, user, &json!({"title": title})).await);
    }
    tasks
}

#[tokio::test]
async fn a_task_is_put_where_the_client_wants_it() {
    let service = Service::start().await;
    let user = service.user().await;
    let tasks = several(&service, &user, &["a", "b", "c"]).await;
    let to = path(&tasks[2]) + "/move";

    let before = json!({"before_id": tasks[0]["id"]});
    for _ in 0..2 {
        let answer = post(&service, &user, &to, &before).await;
        assert_eq!(header(&answer, "etag"), "\"2\"");
        let moved = success(answer, StatusCode::OK).await;
        assert!(moved["position"].as_str() < tasks[0]["position"].as_str());
        assert_eq!(titles(&service, &user).await, ["c", "a", "b"]);
    }
    let below = json!({"parent_id": tasks[0]["id"], "after_id": tasks[1]["id"]});
    let moved = success(post(&service, &user, &to, &below).await, StatusCode::OK).await;
    assert_eq!(moved["parent_id"], tasks[0]["id"]);
    assert_eq!(titles(&service, &user).await, ["a", "b", "c"]);
    let to_top = json!({"parent_id": null});
    let moved = success(post(&service, &user, &to, &to_top).await, StatusCode::OK).await;
    assert_eq!(moved["parent_id"], Value::Null);

    for (wish, pointer, code) in [
        (
            json!({"before_id": tasks[0]["id"], "after_id": tasks[1]["id"]}),
            "/after_id",
            "conflicting",
        ),
        (
            json!({"before_id": user.username}),
            "/before_id",
            "invalid-format",
        ),
        (json!({"before_id": null}), "/before_id", "wrong-type"),
        (json!({"after_id": tasks[2]["id"]}), "/after_id", "circular"),
        (
            json!({"parent_id": tasks[2]["id"]}),
            "/parent_id",
            "circular",
        ),
    ] {
        let answer = post(&service, &user, &to, &wish).await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        let error = &document["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code))
        );
    }
    let unknown = post(&service, &user, &to, &json!({"position": "a"})).await;
    problem(unknown, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
}

#[tokio::test]
async fn moves_at_once_all_succeed_and_agree() {
    let service = Service::start().await;
    let user = service.user().await;
    let tasks = several(&service, &user, &["a", "b", "c", "d", "e", "f"]).await;
    let (service, user, tasks) = (&service, &user, &tasks);
    let requests = (0..60_usize).map(|number| async move {
        let (one, other) = (&tasks[number % 6], &tasks[(number * 5 + 1) % 6]);
        if one["id"] == other["id"] {
            return;
        }
        let place = if number % 2 == 0 {
            "before_id"
        } else {
            "after_id"
        };
        let wish = json!({place: other["id"]});
        let answer = post(service, user, &(path(one) + "/move"), &wish).await;
        success(answer, StatusCode::OK).await;
    });
    join_all(requests).await;
    let mut found = titles(service, user).await;
    found.sort();
    assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
    let distinct: i64 = sqlx::query_scalar("select count(distinct position) from task")
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(distinct, 6);
}
