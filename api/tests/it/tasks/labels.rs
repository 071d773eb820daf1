//! Labels, and lists of what was completed and of the top level.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{add, call, post};
use crate::support::{Service, User, problem, success};

async fn get(service: &Service, user: &User, path: &str) -> Value {
    let answer = call(service, user, Method::GET, path).await;
    success(answer, StatusCode::OK).await
}

#[tokio::test]
async fn labels_are_listed_by_pages() {
    let service = Service::start().await;
    let user = service.user().await;
    add(
        &service,
        &user,
        &json!({"title": "A", "labels": ["b", "a", "ä/ö?"]}),
    )
    .await;
    add(
        &service,
        &user,
        &json!({"title": "B", "labels": ["a"], "status": "done"}),
    )
    .await;

    let all = get(&service, &user, "/v1/labels").await;
    let expected = json!([
        {"name": "a", "total": 2, "open": 1},
        {"name": "ä/ö?", "total": 1, "open": 1},
        {"name": "b", "total": 1, "open": 1},
    ]);
    assert_eq!(
        all,
        json!({"data": expected, "next_cursor": null, "has_more": false})
    );

    let (mut found, mut next) = (Vec::new(), "/v1/labels?limit=1".to_owned());
    loop {
        let answer = call(&service, &user, Method::GET, &next).await;
        let link = answer.headers().get("link").cloned();
        let page = success(answer, StatusCode::OK).await;
        found.extend(page["data"].as_array().unwrap().clone());
        let Some(link) = link else { break };
        let link = link.to_str().unwrap();
        next = link[1..link.find('>').unwrap()].to_owned();
    }
    assert_eq!(json!(found), expected);
    let other = call(&service, &user, Method::GET, "/v1/labels?cursor=x").await;
    problem(other, StatusCode::BAD_REQUEST, "invalid-cursor").await;
}

#[tokio::test]
async fn renaming_a_label_may_be_repeated() {
    let service = Service::start().await;
    let (user, stranger) = (service.user().await, service.user().await);
    for labels in [json!(["old"]), json!(["old", "new"]), json!(["other"])] {
        add(&service, &user, &json!({"title": "T", "labels": labels})).await;
    }
    let rename = json!({"from": "old", "to": "new"});
    for (caller, tasks) in [(&stranger, 0), (&user, 2), (&user, 0)] {
        let answer = post(&service, caller, "/v1/labels/rename", &rename).await;
        let renamed = success(answer, StatusCode::OK).await;
        assert_eq!(renamed, json!({"tasks": tasks, "has_more": false}));
    }
    let labels = get(&service, &user, "/v1/labels").await;
    assert_eq!(
        labels["data"][0],
        json!({"name": "new", "total": 2, "open": 2})
    );
    for (body, pointer) in [
        (json!({"from": "a", "to": ""}), "/to"),
        (json!({"from": "a", "to": "x".repeat(101)}), "/to"),
        (json!({"from": "a"}), "/to"),
        (json!({"from": "a\u{0}", "to": "b"}), "/from"),
    ] {
        let answer = post(&service, &user, "/v1/labels/rename", &body).await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        assert_eq!(document["errors"][0]["pointer"], pointer, "{document}");
    }
}

#[tokio::test]
async fn the_top_level_and_what_was_completed_can_be_asked_for() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let id = parent["id"].as_str().unwrap();
    let child = add(&service, &user, &json!({"title": "Child", "parent_id": id})).await;
    let complete = format!("/v1/tasks/{}/complete", child["id"].as_str().unwrap());
    let yesterday = json!({"completed_at": "2024-11-28T22:30:00Z"});
    success(
        post(&service, &user, &complete, &yesterday).await,
        StatusCode::OK,
    )
    .await;

    for (query, expected) in [
        ("parent_id=none".to_owned(), &["Parent"][..]),
        (format!("parent_id={id}"), &["Child"]),
        (format!("parent_id=none&parent_id={id}&sort=-completed_at"), &["Child", "Parent"]),
        ("completed_after=2024-11-28T23:00:00%2B01:00&completed_before=2024-11-29T00:00:00%2B01:00".to_owned(), &["Child"]),
        ("completed_before=2024-11-28T22:30:00Z&sort=completed_at".to_owned(), &[]),
    ] {
        let list = get(&service, &user, &format!("/v1/tasks?{query}")).await;
        let tasks = list["data"].as_array().unwrap();
        let titles: Vec<_> = tasks.iter().map(|task| task["title"].as_str().unwrap()).collect();
        assert_eq!(titles, expected, "{query}");
        let query = query.split("&sort").next().unwrap();
        let count = get(&service, &user, &format!("/v1/tasks/count?{query}")).await;
        assert_eq!(count["total"], expected.len(), "{query}");
    }
    for query in [
        "parent_id=null",
        "parent_id=",
        "parent_id=None",
        "completed_after=today",
    ] {
        let answer = call(&service, &user, Method::GET, &format!("/v1/tasks?{query}")).await;
        problem(answer, StatusCode::BAD_REQUEST, "invalid-parameter").await;
    }
}
