//! Jobs over HTTP, as operators see and steer them.

mod many;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use taskhub_api::operators::Operators;
use uuid::Uuid;

use crate::support::{OPERATOR, PASSWORD, Service, User, problem, success};

const JOBS: &str = "/v1/admin/jobs";

/// Adds jobs of `kind` in `state`.
async fn add(service: &Service, kind: &str, state: &str, count: i32) -> Vec<Uuid> {
    sqlx::query_scalar(
        "
        insert into job (kind, args_version, args, state, attempt, finished_at, last_error, trace_context)
        select $1, 1, '{\"a\": 1}', $2, 1, case when $2 in ('dead', 'done') then now() end, 'refused',
            '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
        from generate_series(1, $3)
        returning public_id
        ",
    )
    .bind(kind)
    .bind(state)
    .bind(count)
    .fetch_all(&service.database.pool)
    .await
    .unwrap()
}

async fn get(service: &Service, operator: &User, path: &str) -> Value {
    let request = service.by(operator, Method::GET, &format!("{JOBS}{path}"));
    success(request.send().await.unwrap(), StatusCode::OK).await
}

async fn post(service: &Service, operator: &User, path: &str) -> reqwest::Response {
    let request = service.by(operator, Method::POST, &format!("{JOBS}{path}"));
    request.send().await.unwrap()
}

#[tokio::test]
async fn only_operators_who_asked_for_it_may_look_and_steer() {
    let service = Service::start().await;
    let operator = service.operator().await;
    // Signed in without asking for the scope, it is not there.
    let plain = service.sign_in(OPERATOR).await;
    let stranger = service.user().await;
    let id = add(&service, "welcome_email", "dead", 1).await[0];
    for (method, path) in [
        (Method::GET, JOBS.to_owned()),
        (Method::GET, format!("{JOBS}/stats")),
        (Method::GET, format!("{JOBS}/{id}")),
        (Method::POST, format!("{JOBS}/{id}/retry")),
        (Method::POST, format!("{JOBS}/{id}/cancel")),
        (Method::POST, format!("{JOBS}/retry")),
        (Method::POST, format!("{JOBS}/cancel")),
        (Method::POST, format!("{JOBS}/pause")),
        (Method::POST, format!("{JOBS}/resume")),
    ] {
        for user in [&plain, &stranger] {
            let request = service.by(user, method.clone(), &path).json(&json!({}));
            let answer = request.send().await.unwrap();
            let refusal = problem(answer, StatusCode::FORBIDDEN, "insufficient-scope").await;
            assert_eq!(refusal["required_scopes"], json!(["admin"]), "{path}");
        }
        let nobody = service.request(method, &path).send().await.unwrap();
        problem(nobody, StatusCode::UNAUTHORIZED, "missing-credentials").await;
    }
    assert_eq!(
        get(&service, &operator, &format!("/{id}")).await["state"],
        "dead"
    );
}

#[tokio::test]
async fn the_scope_is_refused_to_all_others_and_nobody_learns_who_the_operators_are() {
    let service = Service::start().await;
    let user = service.user().await;
    service.operator().await;
    let body =
        |password| json!({ "username": user.username, "password": password, "scope": "admin" });
    let login = async |body: Value| {
        let request = service.post("/v1/auth/login").json(&body);
        request.send().await.unwrap()
    };
    let refused = login(body(PASSWORD)).await;
    let refused = problem(
        refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    assert_eq!(refused["errors"][0]["pointer"], "/scope");
    assert_eq!(refused["errors"][0]["code"], "not-allowed");
    // With a wrong password there is no difference between the two.
    for username in [OPERATOR, &user.username] {
        let mut body = body("a wrong password");
        body["username"] = username.into();
        problem(login(body).await, StatusCode::UNAUTHORIZED, "invalid-login").await;
    }
    let form = [
        ("grant_type", "password"),
        ("username", &user.username),
        ("password", PASSWORD),
        ("scope", "admin"),
    ];
    let answer = service.post("/v1/oauth/token").form(&form).send().await;
    problem(answer.unwrap(), StatusCode::BAD_REQUEST, "invalid-scope").await;
}

#[tokio::test]
async fn who_is_off_the_list_loses_the_scope_of_tokens_too() {
    let service = Service::start_with(|options| options.operators = Operators::default()).await;
    let user = service.user().await;
    // As it was granted while the name was listed.
    sqlx::query("update session set scope = 'admin'")
        .execute(&service.database.pool)
        .await
        .unwrap();
    let answer = service.by(&user, Method::GET, JOBS).send().await.unwrap();
    problem(answer, StatusCode::FORBIDDEN, "insufficient-scope").await;
}

#[tokio::test]
async fn no_stranger_can_take_a_name_that_is_listed() {
    let service = Service::start_with(|options| {
        options.operators = Operators::new([OPERATOR.to_owned()], true);
    })
    .await;
    let body = json!({ "username": OPERATOR, "password": PASSWORD });
    let request = service.post("/v1/auth/register").json(&body);
    let answer = request.send().await.unwrap();
    problem(answer, StatusCode::CONFLICT, "already-exists").await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_page_by_page() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let mut expected = add(&service, "welcome_email", "ready", 3).await;
    add(&service, "empty_trash", "ready", 1).await;
    add(&service, "welcome_email", "dead", 1).await;
    expected.reverse();

    let filter = "?state=ready&kind=welcome_email&queue=default&limit=2";
    let first = get(&service, &operator, filter).await;
    assert_eq!(first["has_more"], true);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = get(&service, &operator, &format!("{filter}&cursor={cursor}")).await;
    assert_eq!(
        (&second["has_more"], &second["next_cursor"]),
        (&json!(false), &Value::Null)
    );
    let both = [&first["data"], &second["data"]].map(|page| page.as_array().unwrap().clone());
    let ids: Vec<_> = both.concat().iter().map(|job| job["id"].clone()).collect();
    let expected: Vec<_> = expected.iter().map(|id| json!(id)).collect();
    assert_eq!(ids, expected);

    let other = format!("{JOBS}?state=dead&limit=2&cursor={cursor}");
    let answer = service.by(&operator, Method::GET, &other).send().await;
    problem(answer.unwrap(), StatusCode::BAD_REQUEST, "invalid-cursor").await;
    let nonsense = format!("{JOBS}?state=asleep");
    let answer = service.by(&operator, Method::GET, &nonsense).send().await;
    problem(
        answer.unwrap(),
        StatusCode::BAD_REQUEST,
        "invalid-parameter",
    )
    .await;
}

#[tokio::test]
async fn a_job_is_shown_with_all_that_happened_to_it() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let id = add(&service, "welcome_email", "dead", 1).await[0];
    let retried = post(&service, &operator, &format!("/{id}/retry")).await;
    let retried = success(retried, StatusCode::OK).await;
    assert_eq!(
        (&retried["state"], &retried["attempt"]),
        (&json!("ready"), &json!(0))
    );

    let job = get(&service, &operator, &format!("/{id}")).await;
    assert_eq!(job["args"], json!({ "a": 1 }));
    assert_eq!(job["last_error"], "refused");
    assert_eq!(job["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(job["log"][0]["outcome"], "replayed");

    let again = post(&service, &operator, &format!("/{id}/retry")).await;
    problem(again, StatusCode::CONFLICT, "invalid-transition").await;
    let unknown = post(&service, &operator, &format!("/{}/retry", Uuid::new_v4())).await;
    problem(unknown, StatusCode::NOT_FOUND, "not-found").await;
}

#[tokio::test]
async fn a_lost_answer_to_a_retry_can_be_asked_for_again() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let id = add(&service, "welcome_email", "dead", 1).await[0];
    for replayed in [false, true] {
        let path = format!("{JOBS}/{id}/retry");
        let request = service.by(&operator, Method::POST, &path);
        let answer = request.header("Idempotency-Key", "once").send().await;
        let answer = answer.unwrap();
        assert_eq!(
            answer.headers().contains_key("idempotency-replayed"),
            replayed
        );
        assert_eq!(success(answer, StatusCode::OK).await["state"], "ready");
    }
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked_to_end() {
    let service = Service::start().await;
    let operator = service.operator().await;
    let waiting = add(&service, "welcome_email", "ready", 1).await[0];
    let cancelled = post(&service, &operator, &format!("/{waiting}/cancel")).await;
    let cancelled = success(cancelled, StatusCode::OK).await;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(cancelled["log"][0]["outcome"], "cancelled");
    let again = post(&service, &operator, &format!("/{waiting}/cancel")).await;
    problem(again, StatusCode::CONFLICT, "invalid-transition").await;

    let running = add(&service, "welcome_email", "ready", 1).await[0];
    sqlx::query(
        "
        update job set state = 'running', lease_token = gen_random_uuid(), lease_until = now() + interval '1 hour'
        where public_id = $1
        ",
    )
    .bind(running)
    .execute(&service.database.pool)
    .await
    .unwrap();
    let asked = post(&service, &operator, &format!("/{running}/cancel")).await;
    let asked = success(asked, StatusCode::OK).await;
    assert_eq!(
        (&asked["state"], &asked["cancel_requested"]),
        (&json!("running"), &json!(true))
    );
}

#[tokio::test]
async fn all_dead_jobs_of_a_kind_are_retried_together() {
    let service = Service::start().await;
    let operator = service.operator().await;
    add(&service, "welcome_email", "dead", 3).await;
    add(&service, "empty_trash", "dead", 2).await;
    let retry = async |body: Value| {
        let request = service.by(&operator, Method::POST, &format!("{JOBS}/retry"));
        let answer = request.json(&body).send().await.unwrap();
        success(answer, StatusCode::OK).await["retried"].clone()
    };
    assert_eq!(retry(json!({ "kind": "welcome_email" })).await, 3);
    assert_eq!(retry(json!({ "kind": "welcome_email" })).await, 0);
    assert_eq!(retry(json!({})).await, 2);
}

#[tokio::test]
async fn the_counts_tell_what_waits_and_how_attempts_ended() {
    let service = Service::start().await;
    let operator = service.operator().await;
    assert_eq!(get(&service, &operator, "/stats").await["data"], json!([]));
    add(&service, "welcome_email", "ready", 2).await;
    add(&service, "welcome_email", "dead", 1).await;
    sqlx::raw_sql(
        "
        update job set run_at = now() - interval '90 seconds' where state = 'ready';
        insert into job_log (job_id, attempt, outcome)
        select id, 1, case state when 'dead' then 'dead' else 'failed' end from job
        ",
    )
    .execute(&service.database.pool)
    .await
    .unwrap();
    let stats = get(&service, &operator, "/stats").await;
    assert_eq!(stats["period_seconds"], 300);
    let kind = &stats["data"][0];
    assert_eq!(kind["kind"], "welcome_email");
    for (field, value) in [
        ("due", 2),
        ("scheduled", 0),
        ("running", 0),
        ("dead", 1),
        ("failed", 2),
        ("died", 1),
    ] {
        assert_eq!(kind[field], value, "{kind}");
    }
    assert!(kind["oldest_seconds"].as_i64().unwrap() >= 90, "{kind}");
}
