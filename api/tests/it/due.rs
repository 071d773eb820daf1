//! When tasks are due for their reader.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Service, User, problem, success},
    tasks::{add, call, patch, path, post},
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

/// `pointer code` of each broken rule of a refusal.
async fn broken(answer: reqwest::Response) -> Vec<String> {
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let errors = document["errors"].as_array().unwrap().iter();
    let told = errors.map(|error| {
        assert!(!error["detail"].as_str().unwrap().is_empty(), "{document}");
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        format!("{} {}", text("pointer"), text("code"))
    });
    told.collect()
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_with_place_and_reason() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "there"})).await;
    let at = |at: &str| json!({"at": at, "time_zone": "UTC"});
    for (due, told) in [
        (at("9999-12-31T23:59:59.999999999Z"), "/at invalid-format"),
        (at("2026-12-01T08:00:00.1234567Z"), "/at invalid-format"),
        (at("2026-12-31T23:59:60Z"), "/at invalid-format"),
        (at("2026-02-30T08:00:00Z"), "/at invalid-format"),
        (at("0001-01-01T00:00:00+14:00"), "/at out-of-range"),
        (at("9999-12-31T23:59:59-14:00"), "/at out-of-range"),
        (
            json!({"local": "2026-02-30T09:00:00"}),
            "/local invalid-format",
        ),
        (
            json!({"local": "0000-12-31T09:00:00"}),
            "/local out-of-range",
        ),
        (json!({"date": "2026-02-29"}), "/date invalid-format"),
        (json!({"date": 7}), "/date wrong-type"),
        (
            json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Wien"}),
            "/time_zone unknown-time-zone",
        ),
        (json!(7), " wrong-type"),
    ] {
        for field in ["due", "start"] {
            let told = [format!("/{field}{told}")];
            let answer = post(
                &service,
                &user,
                "/v1/tasks",
                &json!({"title": "new", field: due}),
            )
            .await;
            assert_eq!(broken(answer).await, told, "{due}");
            let answer = patch(&service, &user, &task, &json!({ field: due })).await;
            assert_eq!(broken(answer).await, told, "{due}");
        }
    }
    // Where it is not clear which form was meant, the whole is named.
    for (due, told) in [
        (
            json!({"at": "2026-12-01T08:00:00Z"}),
            "/due/time_zone required",
        ),
        (
            json!({"date": "2026-12-01", "local": "2026-12-01T09:00:00"}),
            "/due no-such-form",
        ),
        (json!({}), "/due no-such-form"),
    ] {
        let answer = post(
            &service,
            &user,
            "/v1/tasks",
            &json!({"title": "new", "due": due}),
        )
        .await;
        assert_eq!(broken(answer).await, [told], "{due}");
    }
    for due in [
        at("9999-12-31T23:59:59.999999Z"),
        at("0001-01-01T00:00:00.000001Z"),
    ] {
        let task = add(
            &service,
            &user,
            &json!({"title": "far", "due": due, "start": due}),
        )
        .await;
        assert_eq!((&task["due"], &task["start"]), (&due, &due));
    }
}

#[tokio::test]
async fn null_removes_a_member_of_a_due_time() {
    let service = Service::start().await;
    let user = service.user().await;
    let here = json!({"at": "2026-12-01T08:00:00Z", "time_zone": "America/New_York"});
    let there = json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Vienna"});
    let day = json!({"date": "2026-12-02"});
    let to_day = json!({"at": null, "time_zone": null, "date": "2026-12-02"});
    for field in ["due", "start"] {
        let task = add(&service, &user, &json!({"title": "there", field: here})).await;
        for (patched, after) in [
            (json!({"time_zone": "Europe/Vienna"}), &there),
            (json!({}), &there),
            (json!({"time_zone": "America/New_York"}), &here),
            (to_day.clone(), &day),
            // A whole form replaces another one.
            (there.clone(), &there),
            (day.clone(), &day),
            (json!(null), &Value::Null),
            (to_day.clone(), &day),
        ] {
            let answer = patch(&service, &user, &task, &json!({ field: patched })).await;
            let changed = success(answer, StatusCode::OK).await;
            assert_eq!(&changed[field], after, "{patched}");
        }
        for (patched, told) in [
            (json!({"date": null}), " no-such-form"),
            (json!({"time_zone": "Europe/Vienna"}), " ambiguous"),
            (
                json!({"date": null, "time_zone": "Europe/Vienna"}),
                "/at required",
            ),
            (
                json!({"date": null, "at": "2026-12-01T08:00:00Z"}),
                "/time_zone required",
            ),
        ] {
            let answer = patch(&service, &user, &task, &json!({ field: patched })).await;
            assert_eq!(
                broken(answer).await,
                [format!("/{field}{told}")],
                "{patched}"
            );
        }
        // The condition comes before what would become of the task.
        let request = service
            .by(&user, Method::PATCH, &path(&task))
            .header("if-match", "\"1\"");
        let answer = request
            .json(&json!({ field: {"date": null} }))
            .send()
            .await
            .unwrap();
        problem(answer, StatusCode::PRECONDITION_FAILED, "version-mismatch").await;
        let nobodys = json!({"id": uuid::Uuid::now_v7()});
        let answer = patch(&service, &user, &nobodys, &json!({ field: {"date": null} })).await;
        problem(answer, StatusCode::NOT_FOUND, "not-found").await;
    }
}

#[tokio::test]
async fn the_ends_of_time_have_their_places_in_the_list() {
    let service = Service::start().await;
    let user = service.user().await;
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        move_to(&service, &user, zone).await;
        let mut expected = Vec::new();
        for due in [
            json!({"date": "0001-01-01"}),
            json!({"local": "0001-01-01T00:00:00.000001"}),
            json!({"local": "9999-12-31T23:59:59.999999"}),
        ] {
            let task = add(&service, &user, &json!({"title": "far", "due": due})).await;
            expected.push(task["id"].clone());
        }
        for sort in ["due", "-due"] {
            let (mut found, mut query) = (Vec::new(), format!("limit=1&sort={sort}"));
            loop {
                let page = page(&service, &user, &query).await;
                found.extend(
                    page["data"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|task| task["id"].clone()),
                );
                let Some(cursor) = page["next_cursor"].as_str() else {
                    break;
                };
                query = format!("limit=1&sort={sort}&cursor={cursor}");
            }
            assert_eq!(found, expected, "{zone} {sort}");
            expected.reverse();
        }
        sqlx::query("delete from task")
            .execute(&service.database.pool)
            .await
            .unwrap();
    }
}
