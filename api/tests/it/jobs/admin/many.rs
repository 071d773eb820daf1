//! Orders about many jobs, and the search for some of them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{JOBS, add, get};
use crate::support::{OPERATOR, Service, User, problem, success};

async fn order(service: &Service, operator: &User, path: &str, body: &Value) -> Value {
    let request = service.by(operator, Method::POST, &format!("{JOBS}/{path}"));
    success(request.json(body).send().await.unwrap(), StatusCode::OK).await
}

async fn refused(service: &Service, operator: &User, path: &str, body: &Value) -> Value {
    let request = service.by(operator, Method::POST, &format!("{JOBS}/{path}"));
    let answer = request.json(body).send().await.unwrap();
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await
}

#[tokio::test]
async fn jobs_that_fit_a_filter_are_counted_then_retried_then_gone_from_it() {
    let service = Service::start().await;
    let operator = service.operator().await;
    add(&service, "welcome_email", "dead", 3).await;
    add(&service, "empty_trash", "dead", 2).await;
    let retry = async |body: Value| order(&service, &operator, "retry", &body).await;
    let filter = json!({ "error": "REFUSED", "kind": "welcome_email", "args": "\"a\": 1" });
    let mut dry = filter.clone();
    dry["dry_run"] = true.into();
    let answer = |matched, retried| json!({ "matched": matched, "retried": retried, "has_more": false, "next_cursor": null });
    assert_eq!(retry(dry.clone()).await, answer(3, 0));
    assert_eq!(retry(filter.clone()).await, answer(3, 3));
    assert_eq!(retry(filter).await, answer(0, 0));
    assert_eq!(
        retry(json!({ "finished_before": "2020-01-01T00:00:00Z" })).await,
        answer(0, 0)
    );
    assert_eq!(retry(json!({ "user": "nobody" })).await, answer(0, 0));
    for (body, pointer) in [
        (json!({ "state": "done" }), "/state"),
        (json!({ "error": "" }), "/error"),
        (json!({ "created_after": "yesterday" }), "/created_after"),
    ] {
        let problem = refused(&service, &operator, "retry", &body).await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_by_a_filter_and_never_all_by_mistake() {
    let service = Service::start().await;
    let operator = service.operator().await;
    add(&service, "welcome_email", "ready", 3).await;
    add(&service, "welcome_email", "scheduled", 2).await;
    add(&service, "empty_trash", "ready", 1).await;
    for body in [json!({}), json!({ "state": "ready", "dry_run": true })] {
        let problem = refused(&service, &operator, "cancel", &body).await;
        assert_eq!(problem["errors"][0]["code"], "filter-required", "{problem}");
    }
    refused(
        &service,
        &operator,
        "cancel",
        &json!({ "kind": "welcome_email", "state": "dead" }),
    )
    .await;
    let cancel = async |body: Value| order(&service, &operator, "cancel", &body).await;
    let answer = cancel(json!({ "kind": "welcome_email" })).await;
    assert_eq!(
        (&answer["matched"], &answer["cancelled"]),
        (&json!(5), &json!(5))
    );
    let again = cancel(json!({ "kind": "welcome_email" })).await;
    assert_eq!(again["cancelled"], 0);
    let left = get(&service, &operator, "?state=ready").await;
    assert_eq!(left["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_goes_on_with_its_cursor_and_no_other() {
    let service = Service::start().await;
    let operator = service.operator().await;
    add(&service, "welcome_email", "dead", 10_500).await;
    let filter = json!({ "kind": "welcome_email" });
    let first = order(&service, &operator, "retry", &filter).await;
    assert_eq!(
        (&first["retried"], &first["has_more"]),
        (&json!(10_000), &json!(true))
    );
    let mut next = filter.clone();
    next["cursor"] = first["next_cursor"].clone();
    let mut other = next.clone();
    other["kind"] = "empty_trash".into();
    for (path, body) in [("retry", &other), ("cancel", &next)] {
        let request = service.by(&operator, Method::POST, &format!("{JOBS}/{path}"));
        let answer = request.json(body).send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-cursor").await;
    }
    let second = order(&service, &operator, "retry", &next).await;
    assert_eq!(
        (&second["retried"], &second["has_more"]),
        (&json!(500), &json!(false))
    );
}

#[tokio::test]
async fn jobs_are_found_by_person_arguments_and_error() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let user = service.user().await;
    add(&service, "welcome_email", "dead", 2).await;
    sqlx::query(
        "
        insert into job (kind, args_version, args, user_id, state, finished_at)
        select 'welcome_email', 1, '{\"who\": \"x@example.org\"}', id, 'done', now() from user_account
        where username = $1
        ",
    )
    .bind(&user.username)
    .execute(&service.database.pool)
    .await
    .unwrap();
    let count = async |query: &str| {
        let page = get(&service, &operator, query).await;
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().len()
    };
    let name = &user.username;
    for (query, expected) in [
        (format!("?user={name}&state=done&kind=welcome_email"), 1),
        (format!("?user={name}&state=dead"), 0),
        ("?user=nobody".to_owned(), 0),
        ("?args=X%40EXAMPLE.org".to_owned(), 1),
        ("?error=refused&state=dead".to_owned(), 2),
        ("?error=ref%25".to_owned(), 0),
        (
            "?created_after=2020-01-01T00:00:00Z&kind=welcome_email&state=dead".to_owned(),
            2,
        ),
        ("?finished_before=0000-01-01T00:00:00Z".to_owned(), 0),
        ("?finished_after=9999-12-31T23:59:59Z".to_owned(), 0),
    ] {
        assert_eq!(count(&query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_kind_is_paused_with_who_and_why_and_resumed() {
    let service = Service::start().await;
    let operator = service.operator().await;
    add(&service, "welcome_email", "ready", 2).await;
    let pause = json!({ "scope": "kind", "name": "welcome_email", "reason": "the server moves" });
    let paused = order(&service, &operator, "pause", &pause).await;
    assert_eq!(paused["data"][0]["paused_by_username"], OPERATOR);
    assert_eq!(paused["data"][0]["reason"], "the server moves");
    // Again, and by another reason: the first stays.
    let mut again = pause.clone();
    again["reason"] = "no reason".into();
    assert_eq!(order(&service, &operator, "pause", &again).await, paused);
    let queue = json!({ "scope": "queue", "name": "default" });
    let both = order(&service, &operator, "pause", &queue).await;
    assert_eq!(both["data"].as_array().unwrap().len(), 2);

    let stats = get(&service, &operator, "/stats").await;
    assert_eq!(stats["pauses"], both["data"]);
    let kind = &stats["data"][0];
    assert_eq!((&kind["due"], &kind["paused"]), (&json!(0), &json!(2)));
    assert_eq!(stats["limits"], json!([]));

    let target = json!({ "scope": "kind", "name": "welcome_email" });
    for _ in 0..2 {
        let left = order(&service, &operator, "resume", &target).await;
        assert_eq!(left["data"][0]["name"], "default");
    }
    for body in [
        json!({ "scope": "kind", "name": "welcome-mail" }),
        json!({ "scope": "worker", "name": "welcome_email" }),
        json!({ "scope": "kind", "name": "" }),
        json!({ "scope": "queue", "name": "a\0" }),
        json!({ "scope": "kind", "name": "welcome_email", "reason": "a\0" }),
    ] {
        refused(&service, &operator, "pause", &body).await;
    }
}
