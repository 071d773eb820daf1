//! What holds for every request: routes, methods, headers, limits, malformed input.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use taskhub::settings::RateLimit;
use tokio::io::AsyncWriteExt as _;

use crate::support::{PASSWORD, Service, answer, connect, problem, success};

#[tokio::test]
async fn an_unknown_path_is_told_from_a_missing_token() {
    let service = Service::start().await;
    let answer = service.get("/v1/nothing").send().await.unwrap();
    problem(answer, StatusCode::NOT_FOUND, "no-such-route").await;
    let answer = service.get("/v1/me").send().await.unwrap();
    assert_eq!(
        answer.headers()["www-authenticate"],
        r#"Bearer realm="taskhub""#
    );
    problem(answer, StatusCode::UNAUTHORIZED, "missing-credentials").await;
}

#[tokio::test]
async fn another_method_is_told_which_are_allowed() {
    let service = Service::start().await;
    let answer = service
        .request(Method::DELETE, "/health")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
    problem(answer, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
    let answer = service
        .request(Method::OPTIONS, "/health")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let service = Service::start().await;
    let get = service.get("/v1/meta").send().await.unwrap();
    let head = service
        .request(Method::HEAD, "/v1/meta")
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), StatusCode::OK);
    assert_eq!(
        head.headers()["content-length"],
        get.headers()["content-length"]
    );
    assert_eq!(head.bytes().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_request_id_is_kept_when_it_is_harmless_and_made_otherwise() {
    let service = Service::start().await;
    let answer = service
        .get("/health")
        .header("x-request-id", "mine-1")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-request-id"], "mine-1");
    for bad in ["with space", &"x".repeat(129)] {
        let answer = service
            .get("/health")
            .header("x-request-id", bad)
            .send()
            .await
            .unwrap();
        assert_ne!(answer.headers()["x-request-id"], bad);
        assert!(!answer.headers()["x-request-id"].is_empty());
    }
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let service = Service::start().await;
    for path in ["/health", "/v1/meta", "/v1/me", "/nowhere"] {
        let headers = service.get(path).send().await.unwrap().headers().clone();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(
            headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'"),
            "{path}"
        );
        assert!(!headers.contains_key("server"), "{path}");
        assert!(
            !headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn only_the_listed_origins_may_call_from_a_page() {
    let service = Service::start_with(|options| {
        options.cors_origins = vec!["https://app.example".to_owned()]
    })
    .await;
    let ask = |origin: &'static str| {
        service
            .request(Method::OPTIONS, "/v1/tasks")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
    };
    let allowed = ask("https://app.example").await.unwrap();
    assert_eq!(
        allowed.headers()["access-control-allow-origin"],
        "https://app.example"
    );
    assert!(
        !allowed
            .headers()
            .contains_key("access-control-allow-credentials")
    );
    let other = ask("https://evil.example").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    let answer = service
        .get("/health")
        .header("origin", "https://app.example")
        .send()
        .await
        .unwrap();
    assert!(
        answer.headers()["access-control-expose-headers"]
            .to_str()
            .unwrap()
            .contains("ETag")
    );
}

#[tokio::test]
async fn apps_and_extensions_have_origins_too() {
    let origins = [
        "capacitor://localhost",
        "tauri://localhost",
        "ionic://localhost",
        "app://obsidian.md",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
    ];
    let service =
        Service::start_with(|options| options.cors_origins = origins.map(str::to_owned).into())
            .await;
    let preflight = |origin: &'static str| {
        service
            .request(Method::OPTIONS, "/v1/tasks")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,if-match")
            .send()
    };
    for origin in origins {
        let allowed = preflight(origin).await.unwrap();
        assert_eq!(allowed.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&allowed, "access-control-allow-origin"), origin);
        assert!(header(&allowed, "access-control-allow-methods").contains("PATCH"));
        let sendable = header(&allowed, "access-control-allow-headers");
        assert!(sendable.contains("Authorization") && sendable.contains("If-Match"));
        let answer = service.get("/v1/meta").header("origin", origin).send();
        let answer = answer.await.unwrap();
        assert_eq!(header(&answer, "access-control-allow-origin"), origin);
    }
    for origin in [
        "null",
        "capacitor://localhost:1",
        "capacitor://localhost.evil.example",
    ] {
        let refused = preflight(origin).await.unwrap();
        assert!(
            !refused
                .headers()
                .contains_key("access-control-allow-origin"),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn an_unknown_query_parameter_is_refused() {
    let service = Service::start().await;
    let answer = service.get("/v1/meta?verbose=1").send().await.unwrap();
    let document = problem(answer, StatusCode::BAD_REQUEST, "unknown-parameter").await;
    assert_eq!(document["errors"][0]["parameter"], "verbose");
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_told() {
    let service = Service::start().await;
    let answer = service
        .get("/v1/meta")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::NOT_ACCEPTABLE, "not-acceptable").await;
    for accept in [
        "*/*",
        "text/html, application/json;q=0.5",
        "application/problem+json",
    ] {
        let answer = service
            .get("/v1/meta")
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{accept}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_typed() {
    let service = Service::start().await;
    let register = || service.post("/v1/auth/register");
    let json = |body: String| {
        register()
            .header("content-type", "application/json")
            .body(body)
    };

    let answer = register().body("{}").send().await.unwrap();
    problem(
        answer,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
    )
    .await;
    let answer = json("{\"username\": ".to_owned()).send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
    let answer = json(r#"{"username":"a","username":"b"}"#.to_owned())
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
    let answer = json("[".repeat(33) + &"]".repeat(33)).send().await.unwrap();
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
    let answer = json(format!("\"{}\"", "x".repeat(1024 * 1024)))
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large").await;
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let service = Service::start().await;
    let chunk = format!("{:x}\r\n{}\r\n", 65536, "x".repeat(65536));
    let mut stream = connect(&service).await;
    stream
        .write_all(b"POST /v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..20 {
        // The server may close before all is sent; what it answered counts.
        if stream.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn all_broken_rules_come_at_once_and_never_repeat_the_input() {
    let service = Service::start().await;
    let body = serde_json::json!({ "username": "No Spaces!", "password": 12345, "nickname": "sentinel-value" });
    let sent = service
        .post("/v1/auth/register")
        .json(&body)
        .send()
        .await
        .unwrap();
    let document = problem(sent, StatusCode::UNPROCESSABLE_ENTITY, "validation-failed").await;
    let pointers: Vec<_> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    for pointer in ["/username", "/password", "/nickname"] {
        assert!(pointers.contains(&pointer), "{document}");
    }
    let text = document.to_string();
    assert!(
        !text.contains("sentinel-value") && !text.contains("12345") && !text.contains("No Spaces"),
        "{text}"
    );
}

#[tokio::test]
async fn an_unknown_field_has_a_code_of_its_own() {
    let service = Service::start().await;
    let body = serde_json::json!({ "username": "someone", "password": PASSWORD, "admin": true });
    let sent = service
        .post("/v1/auth/register")
        .json(&body)
        .send()
        .await
        .unwrap();
    let document = problem(sent, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
    assert_eq!(document["errors"][0]["pointer"], "/admin");
}

#[tokio::test]
async fn a_long_address_is_refused() {
    let service = Service::start().await;
    let answer = service
        .get(&format!("/v1/tasks?q={}", "x".repeat(9000)))
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::URI_TOO_LONG, "uri-too-long").await;
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_are_refused() {
    let service = Service::start().await;
    let cases = [
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /v1/auth/login HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd",
        "GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
    ];
    for case in cases {
        let mut stream = connect(&service).await;
        stream.write_all(case.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(
            text.starts_with("HTTP/1.1 400"),
            "{case:?} was answered {text:?}"
        );
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_when_the_service_stops() {
    let mut service = Service::start().await;
    let mut stream = connect(&service).await;
    let body = r#"{"username":"late","password":"not the right one"}"#;
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The service has the head once it answers another connection's request after it.
    success(service.get("/health").send().await.unwrap(), StatusCode::OK).await;
    let (_, text) = tokio::join!(service.stop(), async {
        stream.write_all(body.as_bytes()).await.unwrap();
        answer(&mut stream).await
    });
    assert!(text.starts_with("HTTP/1.1 401"), "{text}");
    assert!(
        service
            .client
            .get(format!("{}/health", service.url))
            .send()
            .await
            .is_err()
    );
}

#[tokio::test]
async fn limits_are_announced_and_enforced() {
    let service = Service::start_with(|options| options.rates.read = at_most(3)).await;
    for left in [2, 1, 0] {
        let answer = service.get("/v1/meta").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-ratelimit-remaining"], left.to_string());
        assert!(
            answer.headers()["ratelimit-policy"]
                .to_str()
                .unwrap()
                .starts_with("\"read\";q=3;w=60")
        );
    }
    let answer = service.get("/v1/meta").send().await.unwrap();
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    let document = problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
    assert_eq!(document["policy"], "read");
    assert_eq!(
        service.get("/health").send().await.unwrap().status(),
        StatusCode::OK
    );
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// The parameter `t` of the member that `RateLimit` names first.
fn next_seconds(answer: &reqwest::Response) -> u64 {
    let state = header(answer, "ratelimit").split(',').next().unwrap();
    state.rsplit("t=").next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn whoever_waits_as_long_as_every_header_says_passes() {
    let service = Service::start_with(|options| {
        options.rates.read = Some(RateLimit {
            requests: 3,
            period: Duration::from_secs(3),
        });
    })
    .await;
    let get = || service.get("/v1/meta").send();
    let mut refused = get().await.unwrap();
    while refused.status() == StatusCode::OK {
        refused = get().await.unwrap();
    }
    let wait = next_seconds(&refused);
    assert_eq!(wait, 1);
    for name in ["retry-after", "x-ratelimit-reset"] {
        assert_eq!(header(&refused, name), wait.to_string(), "{name}");
    }
    assert!(header(&refused, "ratelimit").starts_with("\"read\";r=0;"));
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(get().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refused_sign_in_names_the_limit_that_refused_it() {
    let service = Service::start_with(|options| {
        options.rates.login_account = Some(RateLimit {
            requests: 1,
            period: Duration::from_secs(900),
        });
    })
    .await;
    let body = serde_json::json!({ "username": "ada", "password": "wrong horse battery" });
    let guess = || service.post("/v1/auth/login").json(&body).send();
    assert_eq!(guess().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let refused = guess().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = next_seconds(&refused);
    assert!((890..=900).contains(&wait), "{wait}");
    for name in ["retry-after", "x-ratelimit-reset"] {
        assert_eq!(header(&refused, name), wait.to_string(), "{name}");
    }
    let state = header(&refused, "ratelimit");
    assert!(state.starts_with("\"login-account\";r=0;t="), "{state}");
    assert!(state.contains(", \"write\";r="), "{state}");
    let policies = header(&refused, "ratelimit-policy");
    assert!(
        policies.starts_with("\"login-account\";q=1;w=900, "),
        "{policies}"
    );
}

#[tokio::test]
async fn the_clients_address_comes_from_trusted_proxies_only() {
    let limited = |proxies| {
        Service::start_with(move |options| {
            options.rates.read = at_most(1);
            options.trusted_proxies = proxies;
        })
    };
    let from = async |service: &Service, forwarded: &str| {
        service
            .get("/v1/meta")
            .header("x-forwarded-for", forwarded)
            .send()
            .await
            .unwrap()
            .status()
    };
    let direct = limited(0).await;
    assert_eq!(from(&direct, "192.0.2.1").await, StatusCode::OK);
    assert_eq!(
        from(&direct, "192.0.2.2").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    let behind_one = limited(1).await;
    assert_eq!(
        from(&behind_one, "198.51.100.9, 192.0.2.1").await,
        StatusCode::OK
    );
    assert_eq!(
        from(&behind_one, "203.0.113.7, 192.0.2.1").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        from(&behind_one, "198.51.100.9, 192.0.2.2").await,
        StatusCode::OK
    );
    assert_eq!(
        from(&behind_one, "192.0.2.2:50123").await,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        from(&behind_one, "[2001:db8::1]:50123").await,
        StatusCode::OK
    );
}

fn at_most(requests: u32) -> Option<RateLimit> {
    Some(RateLimit {
        requests,
        period: Duration::from_secs(60),
    })
}
