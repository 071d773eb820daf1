//! The served document, held against itself, the code and the committed file.

use std::{collections::BTreeSet, path::Path};

use jsonschema::Draft;
use serde_json::{Map, Value, json};
use taskhub_api::contract::Contract;

use crate::support::Service;

const PUBLIC_URL: &str = "http://localhost:8000";
/// Of nothing that exists.
const ID: &str = "0199c1f0-7a52-7c11-9d0e-6f0d6a3b2c10";
const V30: &str = "/openapi.json";
const V31: &str = "/openapi-3.1.json";

async fn served(path: &str) -> Value {
    let service =
        Service::start_with(|options| PUBLIC_URL.clone_into(&mut options.public_url)).await;
    service
        .get(path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

/// Every operation: its method and path, and what the document says of it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    operations.collect()
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => {
            let target = document.pointer(&reference[1..]);
            target.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => value,
    }
}

/// All references anywhere.
fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            found.extend(value["$ref"].as_str());
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "an order to the test, no setting of the programs"
)]
async fn the_committed_document_is_the_served_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let served = format!("{:#}\n", served(V30).await);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &served).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == served,
        "docs/openapi.json is stale; look at what `UPDATE_GOLDEN=1 cargo xtask test -- document` changes, and commit it"
    );
}

#[tokio::test]
async fn every_operation_of_the_document_is_routed() {
    let service = Service::start().await;
    let document: Value = service.get(V31).send().await.unwrap().json().await.unwrap();
    let contract = Contract::new(&document).unwrap();
    assert_eq!(contract.operations().count(), operations(&document).len());
    for operation in contract.operations() {
        let segments = operation.template.split('/').map(|segment| {
            if segment.starts_with('{') {
                ID
            } else {
                segment
            }
        });
        let path = segments.collect::<Vec<_>>().join("/");
        let answer = service
            .request(operation.method.clone(), &path)
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_ne!(answer["code"], "no-such-route", "{}", operation.id);
        assert_ne!(answer["code"], "method-not-allowed", "{}", operation.id);
    }
}

#[tokio::test]
async fn every_operation_is_described_completely() {
    let document = served(V30).await;
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let text = |field: &str| operation[field].as_str().unwrap_or_default();
        assert!(
            ids.insert(text("operationId")),
            "{name}: its id stands twice"
        );
        let id_is_snake = text("operationId")
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase());
        assert!(
            id_is_snake && text("operationId").contains('_'),
            "{name}: verb_noun"
        );
        assert!((1..=60).contains(&text("summary").len()), "{name}: summary");
        assert!(!text("description").is_empty(), "{name}: description");
        assert_eq!(
            operation["tags"].as_array().map(Vec::len),
            Some(1),
            "{name}: tags"
        );
        assert!(operation["security"].is_array(), "{name}: security");
        let secured = operation["security"] != json!([]);
        assert_eq!(
            secured,
            operation["x-required-scopes"].is_array(),
            "{name}: scopes"
        );
        let responses = operation["responses"].as_object().unwrap();
        let expected: &[&str] = match (secured, name.contains("/v1/")) {
            (true, _) => &["400", "401", "403", "429", "503", "default"],
            (false, true) => &["400", "429", "503", "default"],
            (false, false) => &["400", "503", "default"],
        };
        for status in expected {
            assert!(
                responses.contains_key(*status),
                "{name}: {status} is missing"
            );
        }
        for (status, response) in responses {
            let response = resolve(&document, response);
            let described = response["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            assert!(described, "{name}: {status} is not described");
            assert!(
                response["headers"]["X-Request-Id"].is_object(),
                "{name}: {status} lacks headers"
            );
        }
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_component_is_used() {
    for path in [V30, V31] {
        let document = served(path).await;
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(
                document.pointer(&reference[1..]).is_some(),
                "{reference} leads nowhere"
            );
        }
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components
                .as_object()
                .unwrap()
                .keys()
                .filter(|_| kind == "schemas")
            {
                let reference = format!("#/components/{kind}/{name}");
                assert!(
                    found.contains(reference.as_str()),
                    "{reference} is not used"
                );
            }
        }
    }
}

/// Every body of JSON that an operation takes or gives, by a name.
fn bodies<'d>(document: &'d Value, operation: &'d Value) -> Vec<(String, &'d Value)> {
    let responses = operation["responses"].as_object().unwrap().iter();
    let all = responses.map(|(status, response)| (status.clone(), resolve(document, response)));
    all.chain([("request".to_owned(), &operation["requestBody"])])
        .flat_map(|(name, body)| {
            let content = body["content"].as_object().into_iter().flatten();
            content.map(move |(kind, media)| (format!("{name} {kind}"), media))
        })
        .collect()
}

#[tokio::test]
async fn every_body_has_examples_that_keep_its_schema() {
    let document = served(V31).await;
    for (name, operation) in operations(&document) {
        for (body, media) in bodies(&document, operation) {
            let several = media["examples"].as_object().into_iter().flatten();
            let mut examples: Vec<_> = several.map(|(_, example)| &example["value"]).collect();
            examples.extend(media.get("example"));
            assert!(
                body.starts_with("default") || !examples.is_empty(),
                "{name}: {body} has no example"
            );
            let mut schema = Map::from_iter([("allOf".to_owned(), json!([media["schema"]]))]);
            schema.insert("components".to_owned(), document["components"].clone());
            let validator = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                .build(&schema.into())
                .unwrap();
            for example in examples {
                let errors: Vec<_> = validator
                    .iter_errors(example)
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{name}: {body}: {errors:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_newer_form_has_none_of_the_older_forms_keywords() {
    fn look(value: &Value, path: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| look(item, path)),
            Value::Object(members) => {
                for (key, member) in members {
                    assert_ne!(key, "nullable", "{path}");
                    look(member, &format!("{path}/{key}"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    look(&served(V31).await, "");
}

/// What a person can tick on a documentation page is what signing in gives and some operation asks for.
#[tokio::test]
async fn the_scopes_that_are_offered_are_those_that_operations_need() {
    let document = served(V30).await;
    let schemes = &document["components"]["securitySchemes"];
    let offered = &schemes["password"]["flows"]["password"]["scopes"];
    let offered: BTreeSet<_> = offered.as_object().unwrap().keys().collect();
    let needed: Vec<_> = operations(&document)
        .into_iter()
        .filter_map(|(_, operation)| operation["x-required-scopes"].as_array())
        .flatten()
        .collect();
    for scope in &offered {
        assert!(needed.iter().any(|needed| *needed == *scope), "{scope}");
    }
    let pattern = &document["components"]["schemas"]["Login"]["properties"]["scope"]["pattern"];
    let pattern = pattern.as_str().unwrap();
    for scope in &offered {
        assert!(pattern.contains(scope.as_str()), "{scope}");
    }
    assert!(!pattern.contains("projects"));
}
