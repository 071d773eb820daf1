//! The operator's page: it loads from this origin alone, and calls what there is.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::Service;

/// The addresses behind `attribute`.
fn addresses<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let parts: Vec<_> = page.split('"').collect();
    let pairs = parts
        .windows(2)
        .filter(|pair| pair[0].ends_with(attribute) && !pair[1].starts_with("data:"));
    pairs.map(|pair| pair[1]).collect()
}

async fn text(service: &Service, path: &str) -> String {
    let answer = service.get(path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn the_page_may_load_and_call_this_origin_and_nothing_else() {
    let service = Service::start().await;
    let answer = service.get("/admin/jobs").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    let policy = answer.headers()["content-security-policy"].to_str();
    assert_eq!(
        policy.unwrap(),
        "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; style-src 'self'; img-src data:"
    );
    let page = answer.text().await.unwrap();
    assert!(!page.contains("//"), "it names another origin");
    // The policy would stop all three; nobody should have to find out in a browser.
    let handler = |word: &str| word.starts_with("on") && word.contains('=');
    assert!(!page.contains(" style=") && !page.split_whitespace().any(handler));
    assert!(page.contains("defer></script>"), "{page}");
    let scripts = addresses(&page, "script src=");
    let styles = addresses(&page, "stylesheet");
    assert_eq!((scripts.len(), styles.len()), (1, 1));
    for (path, kind) in [
        (scripts[0], "text/javascript; charset=utf-8"),
        (addresses(&page, " href=")[0], "text/css; charset=utf-8"),
    ] {
        let asset = service.get(path).send().await.unwrap();
        assert_eq!(asset.status(), StatusCode::OK, "{path}");
        assert_eq!(asset.headers()["content-type"], kind);
    }
}

#[tokio::test]
async fn the_page_calls_only_operations_that_exist() {
    let service = Service::start().await;
    let page = text(&service, "/admin/jobs").await;
    let script = text(&service, addresses(&page, "script src=")[0]).await;
    let document: Value = serde_json::from_str(&text(&service, "/openapi.json").await).unwrap();
    let called: BTreeSet<_> = script
        .split('"')
        .filter(|literal| literal.starts_with("/v1/"))
        .collect();
    assert!(called.len() >= 8, "{called:?}");
    for path in called {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    // Every address stands among those above.
    assert_eq!(
        script.matches("/v1/").count(),
        script.matches("\"/v1/").count()
    );
    for forbidden in [
        "innerHTML",
        "localStorage",
        "sessionStorage",
        "cookie",
        "eval(",
    ] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

#[tokio::test]
async fn the_page_knows_every_state_and_every_field_it_shows() {
    let service = Service::start().await;
    let page = text(&service, "/admin/jobs").await;
    let script = text(&service, addresses(&page, "script src=")[0]).await;
    let document: Value = serde_json::from_str(&text(&service, "/openapi.json").await).unwrap();
    let schemas = &document["components"]["schemas"];
    let states = schemas["AdminJob"]["properties"]["state"]["x-extensible-enum"].as_array();
    for state in states.unwrap() {
        let entry = format!("\n  {}: {{ name:", state.as_str().unwrap());
        assert!(script.contains(&entry), "{state}");
    }
    let fields = |schema: &str| schemas[schema]["properties"].as_object().unwrap();
    for (variable, schema) in [
        ("job", "AdminJob"),
        ("kind", "JobKindStats"),
        ("entry", "JobAttempt"),
    ] {
        for rest in script.split(&format!("{variable}.")).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            assert!(fields(schema).contains_key(name), "{variable}.{name}");
        }
    }
}
