//! The pages for people, as a browser and as a program sees them.

use reqwest::{RequestBuilder, Response, StatusCode, redirect::Policy};
use secrecy::ExposeSecret as _;
use serde_json::json;
use taskhub::{settings::RateLimit, users};

use crate::support::{PASSWORD, Service, problem, success};

/// As browsers send it.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const NEW_PASSWORD: &str = "staple of quite another kind";

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// The HTML of a page that must have `status`, nothing from elsewhere on it, and tell nobody where the reader was.
async fn page(answer: Response, status: StatusCode) -> String {
    assert_eq!(answer.status(), status);
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
    assert_eq!(header(&answer, "cache-control"), "no-store");
    let policy = header(&answer, "content-security-policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!policy.contains("http"), "{policy}");
    let html = answer.text().await.unwrap();
    for part in [
        "<html lang=\"en\">",
        "name=\"viewport\"",
        "content=\"light dark\"",
        "<h1>",
    ] {
        assert!(html.contains(part), "{part} is missing: {html}");
    }
    for part in ["src=\"http", "src=\"//", "style=\"", "<style", "onclick"] {
        assert!(!html.contains(part), "{part}: {html}");
    }
    html
}

/// Someone with an address, and the code that a letter to it would hold.
async fn forgetful(service: &Service) -> (String, String) {
    let username = format!("u{}", &uuid::Uuid::new_v4().simple().to_string()[..20]);
    let email = format!("{username}@example.org");
    let body = json!({ "username": username, "password": PASSWORD, "email": email });
    let registered = service.post("/v1/auth/register").json(&body).send().await;
    success(registered.unwrap(), StatusCode::CREATED).await;
    let mut db = service.database.pool.acquire().await.unwrap();
    let codes = users::new_reset_codes(&mut db, &email).await.unwrap();
    (username, codes[0].code.expose_secret().to_owned())
}

fn reset(service: &Service, code: &str, new: &str, again: &str) -> RequestBuilder {
    let form = [("code", code), ("new_password", new), ("again", again)];
    let client = reqwest::Client::builder().redirect(Policy::none());
    let client = client.build().unwrap();
    client
        .post(format!("{}/reset-password", service.url))
        .form(&form)
}

#[tokio::test]
async fn the_root_is_a_page_for_browsers_and_facts_for_programs() {
    let service = Service::start_with(|options| {
        options.client_url = Some("https://app.example.org/?a=1&b=2".parse().unwrap());
    })
    .await;
    let answer = service
        .get("/")
        .header("accept", BROWSER)
        .send()
        .await
        .unwrap();
    assert!(header(&answer, "vary").contains("Accept"));
    let html = page(answer, StatusCode::OK).await;
    for part in [
        "TaskHub",
        "href=\"/docs\"",
        "href=\"/health/ready\"",
        "The service is up",
        "href=\"https://app.example.org/?a=1&amp;b=2\"",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    for accept in ["*/*", "application/json", ""] {
        let answer = service
            .get("/")
            .header("accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(header(&answer, "content-type"), "application/json");
        assert!(header(&answer, "vary").contains("Accept"));
        let facts = success(answer, StatusCode::OK).await;
        assert_eq!(facts["name"], "TaskHub");
        assert_eq!(facts["status"], "serving");
        assert_eq!(facts["app"], "https://app.example.org/?a=1&b=2");
        for link in ["documentation", "openapi", "limits", "health"] {
            let url = facts[link].as_str().unwrap();
            let answer = service.client.get(url).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{link}");
        }
    }
}

#[tokio::test]
async fn every_link_of_the_root_leads_somewhere() {
    let service = Service::start().await;
    let answer = service
        .get("/")
        .header("accept", BROWSER)
        .send()
        .await
        .unwrap();
    let html = page(answer, StatusCode::OK).await;
    let links: Vec<_> = html
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(links.len() > 6, "{links:?}");
    for link in links {
        let answer = service.get(link).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{link}");
    }
}

#[tokio::test]
async fn what_every_site_is_asked_for_is_answered() {
    let service = Service::start_with(|options| {
        options.security_contact = Some("mailto:security@example.org".to_owned());
    })
    .await;
    let icon = service.get("/favicon.ico").send().await.unwrap();
    assert_eq!(icon.status(), StatusCode::OK);
    assert_eq!(header(&icon, "content-type"), "image/x-icon");
    assert!(icon.bytes().await.unwrap().starts_with(&[0, 0, 1, 0]));

    let robots = service.get("/robots.txt").send().await.unwrap();
    assert_eq!(header(&robots, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(robots.text().await.unwrap(), "User-agent: *\nDisallow: /\n");

    let security = service
        .get("/.well-known/security.txt")
        .send()
        .await
        .unwrap();
    assert_eq!(
        header(&security, "content-type"),
        "text/plain; charset=utf-8"
    );
    let text = security.text().await.unwrap();
    let field = |name: &str| {
        let mut found = text.lines().filter_map(|line| line.strip_prefix(name));
        let (value, None) = (found.next().unwrap(), found.next()) else {
            panic!("{name} twice: {text}")
        };
        value.to_owned()
    };
    assert_eq!(field("Contact: "), "mailto:security@example.org");
    assert_eq!(
        field("Canonical: "),
        format!("{}/.well-known/security.txt", service.url)
    );
    let expires = chrono::DateTime::parse_from_rfc3339(&field("Expires: ")).unwrap();
    let left = expires.to_utc() - chrono::Utc::now();
    assert!((80..365).contains(&left.num_days()), "{text}");

    let without = Service::start().await;
    let answer = without
        .get("/.well-known/security.txt")
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::NOT_FOUND, "no-such-route").await;
}

#[tokio::test]
async fn the_page_of_the_letter_sets_a_new_password_without_a_script() {
    let service = Service::start().await;
    let (username, code) = forgetful(&service).await;
    let answer = service.get("/reset-password").send().await.unwrap();
    let html = page(answer, StatusCode::OK).await;
    for field in ["code", "new_password", "again"] {
        assert!(html.contains(&format!("<label for=\"{field}\">")), "{html}");
        assert!(
            html.contains(&format!("id=\"{field}\" name=\"{field}\"")),
            "{html}"
        );
    }
    assert!(
        html.contains("<form method=\"post\" action=\"/reset-password\">"),
        "{html}"
    );

    // As it is copied from a letter.
    let answer = reset(
        &service,
        &format!(" {code}\r\n"),
        NEW_PASSWORD,
        NEW_PASSWORD,
    )
    .send()
    .await
    .unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(header(&answer, "location"), "/reset-password/done");
    let done = service.get("/reset-password/done").send().await.unwrap();
    let html = page(done, StatusCode::OK).await;
    assert!(html.contains("signed out everywhere"), "{html}");

    let login = json!({ "username": username, "password": NEW_PASSWORD });
    let answer = service
        .post("/v1/auth/login")
        .json(&login)
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await;
    let again = reset(&service, &code, NEW_PASSWORD, NEW_PASSWORD)
        .send()
        .await
        .unwrap();
    let html = page(again, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(html.contains("was used already"), "{html}");
}

#[tokio::test]
async fn the_page_says_what_is_wrong_and_keeps_the_code_alone() {
    let service = Service::start().await;
    let (username, code) = forgetful(&service).await;
    let guessable = format!("{username}1");
    for (code, new, again, message, field) in [
        (
            code.as_str(),
            NEW_PASSWORD,
            "staple of one more kind",
            "not the same",
            "again",
        ),
        (
            &code,
            "short",
            "short",
            "must have at least 10 characters",
            "new_password",
        ),
        (
            &code,
            &guessable,
            &guessable,
            "among the first that a guesser",
            "new_password",
        ),
        (
            "thp_nonsense",
            NEW_PASSWORD,
            NEW_PASSWORD,
            "The code is wrong",
            "code",
        ),
        (
            "\"><script>alert(1)</script>",
            NEW_PASSWORD,
            NEW_PASSWORD,
            "The code is wrong",
            "code",
        ),
        (
            "{alert}",
            NEW_PASSWORD,
            NEW_PASSWORD,
            "The code is wrong",
            "code",
        ),
        ("", "", "", "The code is wrong", "code"),
    ] {
        let answer = reset(&service, code, new, again).send().await.unwrap();
        let html = page(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        let alert = html.split("role=\"alert\"").nth(1).unwrap();
        assert!(alert.contains(message), "{message}: {html}");
        let wrong = html.split("aria-invalid").next().unwrap();
        assert!(
            wrong
                .rsplit("<input id=\"")
                .next()
                .unwrap()
                .starts_with(field),
            "{html}"
        );
        assert!(!html.contains("<script>"), "{html}");
        assert!(new.is_empty() || !html.contains(new), "{html}");
        assert!(
            !code.starts_with("thp_") || html.contains(&format!("value=\"{code}\"")),
            "{html}"
        );
    }
    // Nothing has happened.
    let login = json!({ "username": username, "password": PASSWORD });
    let answer = service
        .post("/v1/auth/login")
        .json(&login)
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await;
}

#[tokio::test]
async fn the_page_counts_with_the_operation() {
    let service = Service::start_with(|options| {
        options.rates.password_reset = Some(RateLimit {
            requests: 2,
            period: std::time::Duration::from_secs(600),
        });
    })
    .await;
    let body = json!({ "code": "thp_nonsense", "new_password": NEW_PASSWORD });
    let answer = service.post("/v1/auth/reset-password").json(&body).send();
    problem(
        answer.await.unwrap(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let attempt = || reset(&service, "thp_nonsense", NEW_PASSWORD, NEW_PASSWORD).send();
    page(attempt().await.unwrap(), StatusCode::UNPROCESSABLE_ENTITY).await;
    let refused = attempt().await.unwrap();
    let wait: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    let html = page(refused, StatusCode::TOO_MANY_REQUESTS).await;
    assert!(html.contains("Too many attempts"), "{html}");
}

#[tokio::test]
async fn the_page_takes_nothing_but_its_form() {
    let service = Service::start().await;
    let url = "/reset-password";
    let answer = service.post(url).json(&json!({ "code": "x" })).send().await;
    problem(
        answer.unwrap(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
    )
    .await;
    let large = "x".repeat(20_000);
    let answer = reset(&service, &large, NEW_PASSWORD, NEW_PASSWORD)
        .send()
        .await;
    problem(
        answer.unwrap(),
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload-too-large",
    )
    .await;
    let answer = service
        .request(reqwest::Method::PUT, url)
        .send()
        .await
        .unwrap();
    assert_eq!(header(&answer, "allow"), "GET, HEAD, POST");
    problem(answer, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
}
