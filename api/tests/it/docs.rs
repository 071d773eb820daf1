//! The pages: they load from this origin alone, and what they load is there.

use reqwest::StatusCode;

use crate::support::{Service, problem};

const PAGES: [&str; 3] = ["/docs", "/docs/swagger", "/docs/redoc"];

/// The addresses that a page loads.
fn loaded(page: &str) -> Vec<String> {
    let parts = page.split(['"', '\'']).collect::<Vec<_>>();
    let attributes = parts
        .windows(2)
        .filter(|pair| pair[0].ends_with("src=") || pair[0].ends_with("href="));
    attributes
        .map(|pair| pair[1].to_owned())
        .filter(|address| !address.starts_with("data:"))
        .collect()
}

#[tokio::test]
async fn what_a_page_loads_is_served_here_and_kept_forever() {
    let service = Service::start().await;
    for path in PAGES {
        let page = service.get(path).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        let addresses = loaded(&page.text().await.unwrap());
        assert!(addresses.len() >= 2, "{addresses:?}");
        for address in addresses {
            let asset = service.get(&address).send().await.unwrap();
            assert_eq!(asset.status(), StatusCode::OK, "{address}");
            assert_eq!(
                asset.headers()["cache-control"],
                "public, max-age=31536000, immutable"
            );
            let tag = asset.headers()["etag"].clone();
            assert!(!asset.bytes().await.unwrap().is_empty(), "{address}");
            let again = service
                .get(&address)
                .header("If-None-Match", tag)
                .send()
                .await
                .unwrap();
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        }
    }
}

#[tokio::test]
async fn no_page_may_load_or_send_anything_elsewhere() {
    let service = Service::start().await;
    for path in PAGES
        .into_iter()
        .chain(["/problems", "/problems/not-found"])
    {
        let page = service.get(path).send().await.unwrap();
        let policy = page.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            policy.starts_with("default-src 'none';"),
            "{path}: {policy}"
        );
        for word in [
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(word), "{path}: {policy}");
        }
        let allowed = ["'none'", "'self'", "data:", "blob:"];
        for directive in policy.split(';') {
            let mut words = directive.split_whitespace();
            let name = words.next().unwrap();
            for source in words {
                let hashed = source.starts_with("'sha256-");
                let styled = name == "style-src" && (hashed || source == "'unsafe-inline'");
                assert!(styled || allowed.contains(&source), "{path}: {directive}");
            }
        }
        assert!(
            !page.text().await.unwrap().contains("//"),
            "{path} names another origin"
        );
    }
}

#[tokio::test]
async fn the_document_is_served_with_an_etag_and_to_head() {
    let service = Service::start().await;
    for path in ["/openapi.json", "/openapi-3.1.json"] {
        let document = service.get(path).send().await.unwrap();
        assert_eq!(document.headers()["content-type"], "application/json");
        let tag = document.headers()["etag"].clone();
        let again = service
            .get(path)
            .header("If-None-Match", tag)
            .send()
            .await
            .unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let head = service
            .client
            .head(format!("{}{path}", service.url))
            .send()
            .await
            .unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_problem_links_to_the_page_that_explains_it() {
    let service = Service::start().await;
    let answer = service.get("/nowhere").send().await.unwrap();
    let problem = problem(answer, StatusCode::NOT_FOUND, "no-such-route").await;
    let page = service
        .client
        .get(problem["type"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert!(
        page.text()
            .await
            .unwrap()
            .contains("<code>no-such-route</code>")
    );
}

#[tokio::test]
async fn an_unknown_page_is_a_problem_like_any_other() {
    let service = Service::start().await;
    for path in [
        "/docs/assets/nothing.js",
        "/docs/assets/../../etc/passwd",
        "/problems/nonsense",
        "/docs/nothing",
    ] {
        let answer = service.get(path).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn pages_say_that_they_are_only_for_reading() {
    let service = Service::start().await;
    for path in ["/docs", "/openapi.json", "/problems/internal"] {
        let answer = service.post(path).send().await.unwrap();
        assert_eq!(answer.headers()["allow"], "GET, HEAD", "{path}");
        problem(answer, StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed").await;
    }
}
