//! `GET /v1/meta/limits` names every limit that the document and the settings put on a client.

use std::{collections::BTreeMap, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use taskhub::settings::{Program, RateLimit, VARIABLES};

use crate::support::{Service, success};

/// Which member of the answer tells the largest value of a parameter or a field of a body.
const LARGEST: &[(&str, &str)] = &[
    ("args", "job_text_characters"),
    ("code", "reset_code_characters"),
    ("cursor", "job_cursor_characters"),
    ("description", "description_bytes"),
    ("email", "email_bytes"),
    ("error", "job_text_characters"),
    ("from", "label_characters"),
    ("kind", "job_kind_characters"),
    ("label", "label_characters"),
    ("labels", "labels"),
    ("labels[]", "label_characters"),
    ("limit", "page_items"),
    ("new_password", "password_bytes"),
    ("not_label", "label_characters"),
    ("password", "password_bytes"),
    ("q", "q_characters"),
    ("queue", "queue_characters"),
    ("reason", "job_reason_characters"),
    ("refresh_token", "token_characters"),
    ("scope", "scope_characters"),
    ("time_zone", "time_zone_characters"),
    ("title", "title_characters"),
    ("to", "label_characters"),
    ("token", "token_characters"),
    ("user", "job_user_characters"),
    ("username", "username_characters"),
];

/// The same of smallest values; that something must not be empty is no limit.
const SMALLEST: &[(&str, &str)] = &[
    ("new_password", "password_min_characters"),
    ("password", "password_min_characters"),
    ("username", "username_min_characters"),
];

/// Which member tells what a variable of the API allows a client; nothing where it allows or keeps nothing.
const VARIABLES_OF_CLIENTS: &[(&str, Option<&str>)] = &[
    ("ACCESS_TOKEN_SECONDS", Some("access_token_seconds")),
    ("ADMIN_USERS", None),
    ("APP_ENV", None),
    ("BCRYPT_COST", None),
    ("CLIENT_URL", None),
    ("CORS_ORIGINS", None),
    ("DATABASE_MAX_CONNECTIONS", None),
    ("DATABASE_URL", None),
    ("DRAIN_SECONDS", None),
    ("IDEMPOTENCY_HOURS", Some("idempotency_hours")),
    ("JOB_RETENTION_DAYS", Some("job_days")),
    ("JWT_SECRET", None),
    ("JWT_SECRET_PREVIOUS", None),
    ("LISTEN_ADDRESS", None),
    ("LOG_FORMAT", None),
    ("LOG_LEVEL", None),
    ("METRICS_ADDRESS", None),
    ("PUBLIC_URL", None),
    ("RATE_LIMIT_LOGIN_ACCOUNT", Some("rates")),
    ("RATE_LIMIT_LOGIN_ADDRESS", Some("rates")),
    ("RATE_LIMIT_LOGIN_RESET", Some("rates")),
    ("RATE_LIMIT_READ", Some("rates")),
    ("RATE_LIMIT_REGISTER", Some("rates")),
    ("RATE_LIMIT_WRITE", Some("rates")),
    ("REDIS_BROKER", None),
    ("REFRESH_RETRY_SECONDS", Some("refresh_retry_seconds")),
    ("REFRESH_TOKEN_DAYS", Some("session_idle_seconds")),
    ("REQUEST_TIMEOUT_SECONDS", Some("request_seconds")),
    ("SECRETS_REFRESH_SECONDS", None),
    ("SECURITY_CONTACT", None),
    ("TASKHUB_REQUIRE_IF_MATCH", None),
    ("TASKHUB_SECRETS", None),
    ("TRASH_DAYS", Some("trash_days")),
    ("TRUSTED_PROXIES", None),
];

async fn limits(service: &Service) -> Value {
    let answer = service.get("/v1/meta/limits").send().await.unwrap();
    success(answer, StatusCode::OK).await
}

/// One bound of the document: the parameter or field, the keyword, and the value.
type Bound = (String, String, i64);

/// Every bound that `schema` sets under `name`, through references.
fn bounds(document: &Value, name: &str, schema: &Value, found: &mut Vec<Bound>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.trim_start_matches('#');
        return bounds(document, name, document.pointer(target).unwrap(), found);
    }
    for (keyword, value) in schema.as_object().into_iter().flatten() {
        match (keyword.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                for (field, schema) in fields {
                    bounds(document, field, schema, found);
                }
            }
            ("items", items) => bounds(document, &format!("{name}[]"), items, found),
            ("oneOf" | "anyOf" | "allOf", Value::Array(forms)) => {
                for form in forms {
                    bounds(document, name, form, found);
                }
            }
            (_, Value::Number(number)) => {
                let number = number.as_i64().unwrap();
                found.push((name.to_owned(), keyword.clone(), number));
            }
            _ => {}
        }
    }
}

/// Every bound that the document sets on requests.
fn bounds_of_requests(document: &Value) -> Vec<Bound> {
    let mut found = Vec::new();
    let operations = document["paths"].as_object().unwrap().values();
    for operation in operations.flat_map(|path| path.as_object().unwrap().values()) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let target = parameter["$ref"]
                .as_str()
                .map(|of| of.trim_start_matches('#'));
            let parameter = target.map_or(parameter, |of| document.pointer(of).unwrap());
            let name = parameter["name"].as_str().unwrap();
            bounds(document, name, &parameter["schema"], &mut found);
        }
        let content = operation["requestBody"]["content"].as_object();
        for media in content.into_iter().flat_map(|content| content.values()) {
            bounds(document, "body", &media["schema"], &mut found);
        }
    }
    found
}

#[tokio::test]
async fn every_bound_of_the_document_is_among_them() {
    let service = Service::start().await;
    let limits = limits(&service).await;
    let document = service.get("/openapi.json").send().await.unwrap();
    let document = success(document, StatusCode::OK).await;
    let (largest, smallest): (BTreeMap<_, _>, BTreeMap<_, _>) = (
        LARGEST.iter().copied().collect(),
        SMALLEST.iter().copied().collect(),
    );
    let found = bounds_of_requests(&document);
    assert!(found.len() > 50, "{} were found", found.len());
    let mut missing = Vec::new();
    for (name, keyword, value) in found {
        let member = match keyword.as_str() {
            // The quotes that may stand around a key are no part of it.
            "maxLength" if name == "Idempotency-Key" => {
                assert_eq!(limits["idempotency_key_characters"], value - 2);
                continue;
            }
            "maxLength" | "maxItems" | "maximum" => largest.get(name.as_str()),
            "minLength" | "minItems" | "minimum" if value > 1 => smallest.get(name.as_str()),
            "minLength" | "minItems" | "minimum" | "default" | "example" => continue,
            other => panic!("{name} has the unknown bound {other}"),
        };
        match member {
            Some(member) => assert_eq!(limits[*member], value, "{name}: {keyword} and {member}"),
            None => missing.push(format!("{name} has {keyword} {value}")),
        }
    }
    assert!(
        missing.is_empty(),
        "tell it in api/src/meta/limits.rs and here: {missing:#?}"
    );
}

#[tokio::test]
async fn every_setting_that_limits_a_client_is_among_them() {
    let service = Service::start().await;
    let limits = limits(&service).await;
    let known: BTreeMap<_, _> = VARIABLES_OF_CLIENTS.iter().copied().collect();
    let read = VARIABLES
        .iter()
        .filter(|variable| variable.programs.contains(&Program::Api));
    for variable in read {
        let member = known
            .get(variable.name)
            .unwrap_or_else(|| panic!("{}: does it limit a client? Say so here", variable.name));
        if let Some(member) = member {
            assert!(!limits[*member].is_null(), "{member} of {}", variable.name);
        }
    }
}

#[tokio::test]
async fn they_are_those_of_the_instance() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let service = Service::start_with(|options| {
        options.idempotency = hours(7);
        options.keep_trash = hours(3 * 24);
        options.keep_jobs = hours(2 * 24);
        options.deadline = Duration::from_secs(9);
        options.rates.register = Some(RateLimit {
            requests: 4,
            period: Duration::from_secs(120),
        });
        options.rates.password_reset = None;
    })
    .await;
    let limits = limits(&service).await;
    for (member, value) in [
        ("idempotency_hours", 7),
        ("trash_days", 3),
        ("job_days", 2),
        ("request_seconds", 9),
        ("access_token_seconds", 900),
        ("session_idle_seconds", 30 * 24 * 3600),
        ("refresh_retry_seconds", 24 * 3600),
        ("account_days", 7),
    ] {
        assert_eq!(limits[member], value, "{member}");
    }
    let rates = limits["rates"].as_array().unwrap();
    let register = json!({ "policy": "register", "requests": 4, "window_seconds": 120 });
    assert!(rates.contains(&register), "{rates:?}");
    assert!(rates.iter().all(|rate| rate["policy"] != "password-reset"));
}
