//! Answers in fewer bytes, and none where the client has them.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Service, User, problem, success},
    tasks::add,
};

async fn asked(service: &Service, user: &User, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = service.by(user, Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

fn varies(response: &Response) -> bool {
    let lines = response.headers().get_all("vary").iter();
    lines
        .map(|line| line.to_str().unwrap())
        .any(|line| line.contains("Accept-Encoding"))
}

async fn with_tasks(count: usize) -> (Service, User) {
    let service = Service::start().await;
    let user = service.user().await;
    for number in 0..count {
        add(&service, &user, &json!({"title": format!("Task {number}")})).await;
    }
    (service, user)
}

#[tokio::test]
async fn a_list_is_compressed_for_whoever_takes_it() {
    let (service, user) = with_tasks(10).await;
    let plain = asked(&service, &user, "/v1/tasks", &[]).await;
    assert!(varies(&plain) && header(&plain, "content-encoding").is_empty());
    let tag = header(&plain, "etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    let plain = plain.bytes().await.unwrap();

    let compressed = asked(
        &service,
        &user,
        "/v1/tasks",
        &[("Accept-Encoding", "br;q=1, gzip;q=0.9")],
    )
    .await;
    assert!(varies(&compressed));
    assert_eq!(header(&compressed, "content-encoding"), "gzip");
    assert_eq!(
        header(&compressed, "content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(header(&compressed, "etag"), tag);
    let length: usize = header(&compressed, "content-length").parse().unwrap();
    let body = compressed.bytes().await.unwrap();
    assert_eq!(body.len(), length);
    assert!(length * 4 < plain.len(), "{length} of {}", plain.len());
    assert_eq!(unpacked(&body), plain);

    for refused in ["identity", "gzip;q=0", "br", "identity;q=1, gzip;q=0.5"] {
        let answer = asked(
            &service,
            &user,
            "/v1/tasks",
            &[("Accept-Encoding", refused)],
        )
        .await;
        assert!(
            varies(&answer) && header(&answer, "content-encoding").is_empty(),
            "{refused}"
        );
        assert_eq!(answer.bytes().await.unwrap(), plain);
    }
    let head = service
        .by(&user, Method::HEAD, "/v1/tasks")
        .header("Accept-Encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(header(&head, "content-encoding"), "gzip");
    assert_eq!(header(&head, "content-length"), length.to_string());
}

#[tokio::test]
async fn a_short_list_is_not_worth_it_unless_nothing_else_is_taken() {
    let (service, user) = with_tasks(1).await;
    let short = asked(&service, &user, "/v1/tasks", &[("Accept-Encoding", "gzip")]).await;
    assert!(header(&short, "content-encoding").is_empty() && varies(&short));
    let only = [("Accept-Encoding", "gzip, identity;q=0")];
    let answer = asked(&service, &user, "/v1/tasks", &only).await;
    assert_eq!(header(&answer, "content-encoding"), "gzip");
    let page: Value = serde_json::from_slice(&unpacked(&answer.bytes().await.unwrap())).unwrap();
    assert_eq!(page["data"][0]["title"], "Task 0");
    let none = [("Accept-Encoding", "br, identity;q=0")];
    let answer = asked(&service, &user, "/v1/tasks", &none).await;
    problem(answer, StatusCode::NOT_ACCEPTABLE, "not-acceptable").await;
}

#[tokio::test]
async fn an_unchanged_list_is_not_sent_again() {
    let (service, user) = with_tasks(3).await;
    for path in [
        "/v1/tasks",
        "/v1/tasks?limit=2&q=task&include_total=true",
        "/v1/sessions",
    ] {
        let tag = header(&asked(&service, &user, path, &[]).await, "etag").to_owned();
        let proxied = tag.replace("W/", "").replace("\"", "") + "-gzip";
        for known in [
            tag.clone(),
            tag.replace("W/", ""),
            format!("\"{proxied}\""),
            format!("\"other\", {tag}"),
            "*".to_owned(),
        ] {
            let headers = [
                ("If-None-Match", known.as_str()),
                ("Accept-Encoding", "gzip"),
            ];
            let answer = asked(&service, &user, path, &headers).await;
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header(&answer, "etag"), tag);
            assert!(varies(&answer) && header(&answer, "content-encoding").is_empty());
            assert!(answer.bytes().await.unwrap().is_empty());
        }
    }
    let tag = header(&asked(&service, &user, "/v1/tasks", &[]).await, "etag").to_owned();
    add(&service, &user, &json!({"title": "new"})).await;
    let answer = asked(&service, &user, "/v1/tasks", &[("If-None-Match", &tag)]).await;
    assert_ne!(header(&answer, "etag"), tag);
    success(answer, StatusCode::OK).await;
}

#[tokio::test]
async fn the_pages_and_the_document_are_compressed() {
    let service = Service::start().await;
    let page = service
        .get("/docs")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let script = page
        .split('"')
        .find(|part| part.contains("/docs/assets/scalar"))
        .unwrap();
    for path in [
        "/openapi.json",
        "/openapi-3.1.json",
        "/docs",
        "/problems",
        script,
    ] {
        let plain = service.get(path).send().await.unwrap();
        assert!(varies(&plain), "{path}");
        let strong = header(&plain, "etag").to_owned();
        let plain = plain.bytes().await.unwrap();
        if plain.len() < 1024 {
            continue;
        }
        // The second time it is kept.
        for _ in 0..2 {
            let request = service
                .get(path)
                .header("Accept-Encoding", "gzip, deflate, br");
            let answer = request.send().await.unwrap();
            assert_eq!(header(&answer, "content-encoding"), "gzip", "{path}");
            assert!(varies(&answer), "{path}");
            assert_eq!(header(&answer, "etag"), format!("W/{strong}"));
            let body = answer.bytes().await.unwrap();
            assert!(
                body.len() * 2 < plain.len(),
                "{path}: {} of {}",
                body.len(),
                plain.len()
            );
            assert_eq!(unpacked(&body), plain, "{path}");
        }
        let known = format!("W/{strong}");
        let request = service.get(path).header("If-None-Match", known);
        let answer = request
            .header("Accept-Encoding", "gzip")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
}

#[tokio::test]
async fn nothing_with_a_token_in_it_is_compressed() {
    let service = Service::start().await;
    let user = service.user().await;
    let login = json!({"username": user.username, "password": crate::support::PASSWORD});
    let signed_in = service
        .client
        .post(format!("{}/v1/auth/login", service.url))
        .json(&login);
    let me = service.by(&user, Method::GET, "/v1/me");
    let task = add(
        &service,
        &user,
        &json!({"title": "x", "description": "word ".repeat(1000)}),
    )
    .await;
    let id = task["id"].as_str().unwrap();
    let task = service.by(&user, Method::GET, &format!("/v1/tasks/{id}"));
    for request in [signed_in, me, task] {
        let answer = request
            .header("Accept-Encoding", "gzip")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(header(&answer, "content-encoding").is_empty() && !varies(&answer));
    }
}
