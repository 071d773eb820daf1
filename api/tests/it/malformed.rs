//! Input that no well-meaning client sends. All of it is refused in words, and none of it is a defect.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use taskhub::scopes::Scope;
use taskhub_api::contract::Contract;
use tokio::io::AsyncWriteExt as _;

use crate::support::{PASSWORD, Service, User, answer, connect, problem, success};

/// An attempt to add a task, with these headers and nothing of its own.
fn adding(service: &Service, user: &User, headers: &[(&'static str, &str)]) -> RequestBuilder {
    let request = service.by(user, Method::POST, "/v1/tasks");
    let request = request.body(r#"{"title": "Renew the passport"}"#);
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

#[tokio::test]
async fn a_body_that_is_labelled_as_something_else_is_not_read() {
    let service = Service::start().await;
    let user = service.user().await;
    let json = ("content-type", "application/json");
    for headers in [
        vec![],
        vec![json, ("content-type", "text/plain")],
        vec![json, json],
        vec![("content-type", "application/json, text/plain")],
        vec![("content-type", "application/json; charset=iso-8859-1")],
        vec![json, ("content-encoding", "gzip")],
        vec![json, ("content-encoding", "identity, br")],
    ] {
        let answer = adding(&service, &user, &headers).send().await.unwrap();
        problem(
            answer,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
        )
        .await;
    }
    for headers in [
        vec![("content-type", "Application/JSON;charset=UTF-8")],
        vec![("content-type", "application/json; charset=\"utf-8\"")],
        vec![json, ("content-encoding", "identity")],
    ] {
        let answer = adding(&service, &user, &headers).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{headers:?}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused_wherever_it_stands() {
    let service = Service::start().await;
    let user = service.user().await;
    for path in ["/v1/tasks?q=%FF", "/v1/tasks/%FF", "/v1/tasks?q=%00"] {
        let request = service.by(&user, Method::GET, path);
        let answer = request.send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-parameter").await;
    }
    let body = b"{\"title\": \"\xFF\"}".to_vec();
    let request = service.by(&user, Method::POST, "/v1/tasks").body(body);
    let request = request.header("content-type", "application/json");
    let answer = request.send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
    let form = service.post("/v1/oauth/token").body("grant_type=%FF");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let answer = form.send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
}

#[tokio::test]
async fn numbers_beyond_all_bounds_and_in_odd_spellings_are_refused() {
    let service = Service::start().await;
    let user = service.user().await;
    for limit in [
        "99999999999999999999",
        "1e400",
        "1.0",
        "-1",
        "%2B5",
        "007",
        "",
        "0x10",
    ] {
        let path = format!("/v1/tasks?limit={limit}");
        let answer = service.by(&user, Method::GET, &path).send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-parameter").await;
    }
    for (body, status, code) in [
        (
            r#"{"title": 1e400}"#,
            StatusCode::BAD_REQUEST,
            "malformed-json",
        ),
        (
            r#"{"title": 123456789012345678901234567890}"#,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        ),
    ] {
        let request = service.by(&user, Method::POST, "/v1/tasks").body(body);
        let request = request.header("content-type", "application/json");
        problem(request.send().await.unwrap(), status, code).await;
    }
}

#[tokio::test]
async fn a_header_that_is_a_list_may_stand_on_several_lines() {
    let service = Service::start().await;
    let user = service.user().await;
    let get = service.by(&user, Method::GET, "/v1/me");
    let request = get
        .header("accept", "text/html")
        .header("accept", "application/json");
    success(request.send().await.unwrap(), StatusCode::OK).await;
    let patch = service.by(&user, Method::PATCH, "/v1/me");
    let request = patch
        .header("if-match", "\"7\"")
        .header("if-match", "\"1\"");
    let request = request.json(&json!({ "time_zone": "Europe/Vienna" }));
    success(request.send().await.unwrap(), StatusCode::OK).await;
    for condition in ["", ",", "2", "\"2", "*, \"2\"", "\"2\", \u{e4}"] {
        let patch = service.by(&user, Method::PATCH, "/v1/me");
        let request = patch.header("if-match", condition).json(&json!({}));
        let answer = request.send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-header").await;
    }
}

#[tokio::test]
async fn an_idempotency_key_is_one_visible_word() {
    let service = Service::start().await;
    let user = service.user().await;
    let json = ("content-type", "application/json");
    let long = "k".repeat(256);
    for key in ["", "\"", "\"\"", "\"open", "two words", "\u{e4}", &long] {
        let request = adding(&service, &user, &[json, ("idempotency-key", key)]);
        let answer = request.send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-idempotency-key").await;
    }
    let twice = [json, ("idempotency-key", "a"), ("idempotency-key", "b")];
    let answer = adding(&service, &user, &twice).send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "invalid-idempotency-key").await;
    let plain = [json, ("idempotency-key", "one")];
    let answer = adding(&service, &user, &plain).send().await.unwrap();
    let first = success(answer, StatusCode::CREATED).await;
    let quoted = [json, ("idempotency-key", "\"one\"")];
    let answer = adding(&service, &user, &quoted).send().await.unwrap();
    assert_eq!(
        success(answer, StatusCode::CREATED).await["id"],
        first["id"]
    );
}

#[tokio::test]
async fn a_path_is_what_it_says_and_nothing_else() {
    let service = Service::start().await;
    let user = service.user().await;
    for id in ["a%2Fb", "%00", "%zz", "{id}", &"x".repeat(7000)] {
        let request = service.by(&user, Method::GET, &format!("/v1/tasks/{id}"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{id}");
    }
    for path in ["//health", "/health/", "/v1%2Ftasks", "/docs/%2e%2e/tasks"] {
        let raw = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut stream = connect(&service).await;
        stream.write_all(raw.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 404"), "{path}: {text}");
        assert!(text.contains("no-such-route"), "{path}: {text}");
    }
}

/// The server refuses these itself, before there is a request that a problem could be about.
#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_without_a_body() {
    let service = Service::start().await;
    let many: String = (0..65).map(|index| format!("x-{index}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(17 * 1024));
    for (line, headers, status) in [
        ("GET /health HTTP/1.1", many.as_str(), "431"),
        ("GET /health HTTP/1.1", &long, "431"),
        ("GET /health HTTP/1.1", "no colon\r\n", "400"),
        ("GET /health HTTP/1.1", "x: a\0b\r\n", "400"),
        ("GET /health HTTP/1.1", "x: folded\r\n line\r\n", "400"),
        ("GET /health HTTP/1.1", "content-length: -1\r\n", "400"),
        ("GET /health HTTP/9.9", "", "400"),
        ("GET /health", "", "400"),
        ("\u{16}\u{3}\u{1}", "", "400"),
    ] {
        let mut stream = connect(&service).await;
        let head = format!("{line}\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        assert!(text.contains("content-length: 0"), "{text}");
    }
}

#[tokio::test]
async fn odd_methods_and_framings_are_refused_in_words() {
    let service = Service::start().await;
    let token = service.user().await.access_token;
    for (line, headers, rest, status) in [
        ("TRACE /v1/tasks", "", "", "405"),
        ("CONNECT /v1/tasks", "", "", "405"),
        ("BREW /v1/tasks", "", "", "405"),
        ("get /v1/tasks", "", "", "405"),
        ("BREW /docs", "", "", "405"),
        (
            "POST /v1/tasks",
            "transfer-encoding: chunked\r\n",
            "ZZ\r\n",
            "400",
        ),
        (
            "POST /v1/tasks",
            "content-length: 9999999999\r\n",
            "{",
            "413",
        ),
        (
            "POST /v1/tasks",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
            "400",
        ),
    ] {
        let mut stream = connect(&service).await;
        let request = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{headers}\r\n{rest}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status}")),
            "{line}: {text}"
        );
        assert!(text.contains("application/problem+json"), "{line}: {text}");
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_turn() {
    let service = Service::start().await;
    let mut stream = connect(&service).await;
    let one = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let all = format!("{one}{one}{last}");
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut text = String::new();
    loop {
        let more = answer(&mut stream).await;
        if more.is_empty() {
            break;
        }
        text.push_str(&more);
    }
    let statuses: Vec<_> = text
        .matches("HTTP/1.1 200")
        .chain(text.matches("HTTP/1.1 401"))
        .collect();
    assert_eq!(
        statuses,
        ["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 401"],
        "{text}"
    );
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let service = Service::start().await;
    let body = format!(r#"{{"username":"patient","password":"{PASSWORD}"}}"#);
    let head = format!(
        "POST /v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(&service).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201"));
}

#[tokio::test]
async fn a_body_that_is_broken_off_is_no_request() {
    let service = Service::start().await;
    let user = service.user().await;
    let mut stream = connect(&service).await;
    let request = format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 50\r\n\r\n{{\"title\": \"half",
        user.access_token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    let count = service.by(&user, Method::GET, "/v1/tasks/count");
    let count = success(count.send().await.unwrap(), StatusCode::OK).await;
    assert_eq!(count["total"], 0, "{count}");
}

#[tokio::test]
async fn a_body_where_none_is_defined_is_refused_by_every_operation() {
    let service = Service::start().await;
    let user = service.user().await;
    let operator = service.operator().await;
    let document: Value = service
        .get("/openapi-3.1.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let contract = Contract::new(&document).unwrap();
    let without = contract
        .operations()
        .filter(|operation| operation.body.is_none());
    for operation in without {
        let path = with_ids(&operation.template);
        let admin = operation.scopes.as_deref() == Some(&[Scope::Admin]);
        let caller = if admin { &operator } else { &user };
        for junk in [
            "junk",
            "[]",
            "null",
            r#"{"completed_at": "2020-01-01T00:00:00Z"}"#,
            &"{}".repeat(99),
        ] {
            let request = service.by(caller, operation.method.clone(), &path);
            let request = request.header("content-type", "application/json");
            let answer = request.body(junk.to_owned()).send().await.unwrap();
            problem(answer, StatusCode::BAD_REQUEST, "unexpected-body").await;
        }
    }
}

#[tokio::test]
async fn a_body_that_says_nothing_is_no_body() {
    let service = Service::start().await;
    let user = service.user().await;
    let created = adding(&service, &user, &[("content-type", "application/json")]);
    let task = success(created.send().await.unwrap(), StatusCode::CREATED).await;
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    for body in ["", "{}", " {\n} "] {
        for (method, suffix) in [
            (Method::GET, ""),
            (Method::POST, "/complete"),
            (Method::POST, "/reopen"),
            (Method::POST, "/restore"),
        ] {
            let request = service.by(&user, method, &format!("{path}{suffix}"));
            let request = request.header("content-type", "application/json");
            let answer = request.body(body).send().await.unwrap();
            success(answer, StatusCode::OK).await;
        }
    }
    let request = service.by(&user, Method::DELETE, &path).body("{}");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

/// A path of nothing that exists.
fn with_ids(template: &str) -> String {
    let segments = template.split('/').map(|segment| {
        if segment.starts_with('{') {
            "0199c1f0-7a52-7c11-9d0e-6f0d6a3b2c10"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}
