//! What happens when something that the service needs is away, slow or flooded.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use taskhub::{
    settings::RateLimit,
    testing::{Database, Postgres, Redis, wait_for},
};

use crate::support::{PASSWORD, Service, User, problem, success};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn without_a_database_requests_are_503_and_recover_by_themselves() {
    let service = Service::start().await;
    let user = service.user().await;
    service.database.close_to_all().await;

    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;
    let health = service.get("/health").send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    let ready = service.get("/health/ready").send().await.unwrap();
    let ready = success(ready, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(ready["database"], "down");

    service.database.open().await;
    wait_for("the service recovers", SOON, async || {
        let answer = service
            .by(&user, Method::GET, "/v1/me")
            .send()
            .await
            .unwrap();
        answer.status() == StatusCode::OK
    })
    .await;
}

/// Creates tasks until `count` are acknowledged and gives their ids. Every other answer is a 503.
async fn acknowledged(service: &Service, user: &User, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let create = service.by(user, Method::POST, "/v1/tasks");
        let answer = create.json(&json!({ "title": "kept" })).send().await;
        let answer = answer.unwrap();
        if answer.status() == StatusCode::CREATED {
            let task: Value = answer.json().await.unwrap();
            ids.push(task["id"].as_str().unwrap().to_owned());
        } else {
            assert!(answer.headers().contains_key("retry-after"));
            problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;
        }
    }
    ids
}

#[tokio::test]
async fn a_database_that_crashes_under_load_loses_nothing_that_was_acknowledged() {
    let mut postgres = Postgres::start().await;
    let database = Database::create_on(postgres.url().into()).await;
    let service = Service::start_with_database(database).await;
    let user = service.user().await;

    let crash = async {
        let crashed = acknowledged(&service, &user, 20).await.len();
        postgres.kill();
        postgres.restart().await;
        crashed
    };
    let (first, crashed, second) = tokio::join!(
        acknowledged(&service, &user, 200),
        crash,
        acknowledged(&service, &user, 200)
    );
    assert_eq!(crashed, 20);

    for id in first.iter().chain(&second) {
        let read = service.by(&user, Method::GET, &format!("/v1/tasks/{id}"));
        assert_eq!(read.send().await.unwrap().status(), StatusCode::OK, "{id}");
    }
}

#[tokio::test]
async fn a_request_that_waits_for_a_lock_is_given_up_before_its_client_gives_up() {
    let service =
        Service::start_with(|options| options.deadline = Duration::from_millis(500)).await;
    let user = service.user().await;
    let mut holder = service.database.pool.begin().await.unwrap();
    sqlx::query("lock table session in access exclusive mode")
        .execute(&mut *holder)
        .await
        .unwrap();
    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;
    holder.rollback().await.unwrap();
    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_exhausted_pool_sheds_requests_and_leaves_health_alone() {
    let service = Service::start().await;
    let user = service.user().await;
    let mut held = Vec::new();
    while let Ok(Ok(connection)) =
        tokio::time::timeout(Duration::from_secs(1), service.database.pool.acquire()).await
    {
        held.push(connection);
    }
    let health = service.get("/health").send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;
    drop(held);
    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn redis_may_stop_hang_and_come_back_empty_while_people_work() {
    let mut redis = Redis::start().await;
    let service = Service::start_on(&redis.url(), |_| {}).await;
    let user = service.user().await;
    let works = async || {
        let body = json!({ "title": "water the plants" });
        let answer = service
            .by(&user, Method::POST, "/v1/tasks")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert!(answer.headers().contains_key("ratelimit"));
    };
    works().await;
    redis.pause();
    works().await;
    redis.stop();
    works().await;
    redis.restart().await;
    works().await;
}

#[tokio::test]
async fn without_redis_passwords_are_not_guessed_faster() {
    let service = Service::start_on("redis://127.0.0.1:1", |options| {
        options.rates.login_account = Some(RateLimit {
            requests: 3,
            period: Duration::from_secs(900),
        });
    })
    .await;
    let guess = || {
        let body = json!({ "username": "someone", "password": "not the right one" });
        service.post("/v1/auth/login").json(&body).send()
    };
    for _ in 0..3 {
        problem(
            guess().await.unwrap(),
            StatusCode::UNAUTHORIZED,
            "invalid-login",
        )
        .await;
    }
    problem(
        guess().await.unwrap(),
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
    )
    .await;
}

#[tokio::test]
async fn a_strangers_guesses_do_not_lock_the_owner_out() {
    let service = Service::start_with(|options| {
        options.trusted_proxies = 1;
        options.rates.login_account = Some(RateLimit {
            requests: 3,
            period: Duration::from_secs(900),
        });
    })
    .await;
    let login = async |username: &str, password: &str, address: &str| {
        let body = json!({ "username": username, "password": password });
        let request = service
            .post("/v1/auth/login")
            .header("x-forwarded-for", address)
            .json(&body);
        request.send().await.unwrap()
    };
    let body = json!({ "username": "owner", "password": PASSWORD });
    let registered = service
        .post("/v1/auth/register")
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(registered.status(), StatusCode::CREATED);
    // From here the owner's address is known.
    success(login("owner", PASSWORD, "192.0.2.1").await, StatusCode::OK).await;
    for _ in 0..3 {
        let answer = login("owner", "not the right one", "198.51.100.9").await;
        problem(answer, StatusCode::UNAUTHORIZED, "invalid-login").await;
    }
    let answer = login("owner", PASSWORD, "198.51.100.9").await;
    problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
    success(login("owner", PASSWORD, "192.0.2.1").await, StatusCode::OK).await;
}
