//! When a task was completed.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{add, path, post};
use crate::support::{Service, User, problem, success};

async fn complete(service: &Service, user: &User, task: &Value, body: &Value) -> Value {
    let answer = post(service, user, &(path(task) + "/complete"), body).await;
    success(answer, StatusCode::OK).await
}

fn completed_at(task: &Value) -> DateTime<Utc> {
    task["completed_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_task_is_completed_when_the_client_says_it_was() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Swim"})).await;

    let earlier = json!({"completed_at": "2020-01-01T01:00:00.123456+01:00"});
    for _ in 0..2 {
        let done = complete(&service, &user, &task, &earlier).await;
        assert_eq!(done["completed_at"], "2020-01-01T00:00:00.123456Z");
        assert_eq!(done["completed_by"], task["created_by"]);
        assert_eq!(
            (&done["status"], &done["version"]),
            (&json!("done"), &json!(2))
        );
    }
    for unsaid in [json!({}), json!({"completed_at": null})] {
        let same = complete(&service, &user, &task, &unsaid).await;
        assert_eq!(same["version"], 2, "a done task stays as it is");
    }
    let corrected = json!({"completed_at": "2021-01-01T00:00:00Z"});
    let corrected = complete(&service, &user, &task, &corrected).await;
    assert_eq!(corrected["completed_at"], "2021-01-01T00:00:00Z");
    assert_eq!(corrected["version"], 3);

    let other = add(&service, &user, &json!({"title": "Now"})).await;
    let done = complete(&service, &user, &other, &json!({})).await;
    assert!(Utc::now() - completed_at(&done) < TimeDelta::minutes(1));
}

#[tokio::test]
async fn nothing_was_completed_in_the_future_or_before_all_calendars() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Swim"})).await;
    let complete_path = path(&task) + "/complete";
    for (time, code) in [
        (json!(Utc::now() + TimeDelta::minutes(6)), "in-the-future"),
        (json!("9999-12-31T23:59:59Z"), "in-the-future"),
        (json!("0000-01-01T00:00:00Z"), "out-of-range"),
        (json!("0001-01-01T00:00:00+01:00"), "out-of-range"),
        (json!("2020-01-01"), "invalid-format"),
        (json!(0), "wrong-type"),
    ] {
        let body = json!({"completed_at": time});
        let answer = post(&service, &user, &complete_path, &body).await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        let error = &document["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!("/completed_at"), &json!(code))
        );
    }
    let unknown = json!({"at": "2020-01-01T00:00:00Z"});
    let answer = post(&service, &user, &complete_path, &unknown).await;
    problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;

    let fast_clock = json!({"completed_at": Utc::now() + TimeDelta::minutes(4)});
    complete(&service, &user, &task, &fast_clock).await;
}
