//! When tasks are due for their reader.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Service, User, problem, success},
    tasks::{add, call},
};

async fn move_to(service: &Service, user: &User, zone: &str) {
    let request = service.by(user, Method::PATCH, "/v1/me");
    let answer = request.json(&json!({ "time_zone": zone })).send().await;
    success(answer.unwrap(), StatusCode::OK).await;
}

async fn page(service: &Service, user: &User, query: &str) -> Value {
    let path = format!("/v1/tasks?{query}");
    let answer = call(service, user, Method::GET, &path).await;
    success(answer, StatusCode::OK).await
}

async fn titles(service: &Service, user: &User, query: &str) -> String {
    let page = page(service, user, query).await;
    let tasks = page["data"].as_array().unwrap().iter();
    let titles: Vec<_> = tasks.filter_map(|task| task["title"].as_str()).collect();
    titles.join(" ")
}

/// Half past six, eight and midnight in New York.
async fn evening(service: &Service, user: &User) {
    for (title, due) in [
        ("none", json!(null)),
        ("day", json!({"date": "2026-12-02"})),
        ("B", json!({"local": "2026-12-01T20:00:00"})),
        (
            "A",
            json!({"at": "2026-12-01T23:30:00Z", "time_zone": "America/New_York"}),
        ),
    ] {
        add(service, user, &json!({"title": title, "due": due})).await;
    }
}

#[tokio::test]
async fn filter_and_order_agree_on_when_a_task_is_due() {
    let service = Service::start().await;
    let user = service.user().await;
    evening(&service, &user).await;

    move_to(&service, &user, "America/New_York").await;
    assert_eq!(titles(&service, &user, "sort=due").await, "A B day none");
    assert_eq!(titles(&service, &user, "sort=-due").await, "day B A none");
    let before_eight = "sort=due&due_before=2026-12-02T01:00:00Z";
    assert_eq!(titles(&service, &user, before_eight).await, "A");
    let from_eight = "sort=due&due_after=2026-12-02T01:00:00Z";
    assert_eq!(titles(&service, &user, from_eight).await, "B day");

    // Nine hours later by the clock, which A does not go by.
    move_to(&service, &user, "Asia/Tokyo").await;
    assert_eq!(titles(&service, &user, "sort=due").await, "B day A none");
}

#[tokio::test]
async fn a_cursor_by_due_ends_with_the_time_zone() {
    let service = Service::start().await;
    let user = service.user().await;
    evening(&service, &user).await;
    for sort in ["due", "-due"] {
        move_to(&service, &user, "America/New_York").await;
        let first = page(&service, &user, &format!("limit=2&sort={sort}")).await;
        let next = format!(
            "limit=2&sort={sort}&cursor={}",
            first["next_cursor"].as_str().unwrap()
        );
        assert_eq!(
            page(&service, &user, &next).await["data"]
                .as_array()
                .unwrap()
                .len(),
            2
        );
        move_to(&service, &user, "America/Toronto").await;
        let answer = call(&service, &user, Method::GET, &format!("/v1/tasks?{next}")).await;
        problem(answer, StatusCode::BAD_REQUEST, "invalid-cursor").await;
    }
    // Other orders do not depend on it.
    let first = page(&service, &user, "limit=2&sort=title").await;
    let next = format!(
        "limit=2&sort=title&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    move_to(&service, &user, "Asia/Tokyo").await;
    assert_eq!(
        page(&service, &user, &next).await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
