//! No value of any operation makes the service fail, and every refusal tells why.
//!
//! The requests are made of the served document itself, so a new operation or field is tried without a
//! word about it here. They are the same in every run; `TASKHUB_EXTREMES=20` tries twenty times as many,
//! and others each time.

mod values;

use jsonschema::Validator;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value, json};

use self::values::{Dice, Values};
use crate::{
    support::{Service, User},
    tasks::add,
};

/// How often each operation is called.
const CALLS: u64 = 40;

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "an order to the test, no setting of the programs"
)]
async fn no_value_of_any_operation_makes_it_fail() {
    let times: Option<u64> = std::env::var("TASKHUB_EXTREMES")
        .ok()
        .map(|times| times.parse().unwrap());
    let seed = times.map_or(7, |_| rand_seed());
    let service = Service::start().await;
    let document: Value = service
        .get("/openapi-3.1.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let problems = problem_schema(&document);
    let mut caller = Caller::new(&service).await;
    let mut dice = Dice(seed);
    for (method, path, operation) in operations(&document) {
        for _ in 0..CALLS * times.unwrap_or(1) {
            let values = Values::new(&document, caller.known.clone());
            let sent = Sent::new(&values, &mut dice, &method, &path, operation);
            let answer = caller.send(&service, &sent, operation).await;
            let said = format!("seed {seed}: {sent:?}");
            check(answer, &problems, &said).await;
        }
    }
}

fn rand_seed() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap()
}

fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, path.clone(), operation)
        })
    });
    operations.collect()
}

fn problem_schema(document: &Value) -> Validator {
    let mut schema = Map::new();
    schema.insert("$ref".to_owned(), "#/components/schemas/Problem".into());
    schema.insert("components".to_owned(), document["components"].clone());
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema.into())
        .unwrap()
}

/// Holds an answer against what every answer must be.
async fn check(answer: Response, problems: &Validator, said: &str) {
    let status = answer.status().as_u16();
    assert!(
        status < 500,
        "{said}: {status} {}",
        answer.text().await.unwrap()
    );
    if status < 400 {
        return;
    }
    let kind = answer.headers()["content-type"].clone();
    assert_eq!(kind, "application/problem+json", "{said}");
    let document: Value = answer.json().await.unwrap();
    let broken: Vec<_> = problems
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(broken.is_empty(), "{said}: {broken:?} {document}");
    let code = document["code"].as_str().unwrap();
    let tells = status == 422
        || ["invalid-parameter", "unknown-parameter", "invalid-cursor"].contains(&code);
    let errors = document["errors"].as_array().unwrap();
    assert!(!tells || !errors.is_empty(), "{said}: {document}");
    for error in errors {
        let places = ["pointer", "parameter", "header"].map(|place| error[place].is_string());
        let place = places.into_iter().filter(|there| *there).count();
        let why = error["detail"].as_str().unwrap_or_default();
        assert!(place == 1 && !why.is_empty(), "{said}: {document}");
    }
}

/// Somebody who may call everything.
struct Caller {
    user: User,
    operator: User,
    /// Ids of what there is.
    known: Vec<Value>,
}

impl Caller {
    async fn new(service: &Service) -> Self {
        let operator = service.operator().await;
        let (user, known) = somebody(service).await;
        Self {
            user,
            operator,
            known,
        }
    }

    async fn send(&mut self, service: &Service, sent: &Sent, operation: &Value) -> Response {
        let admin = operation["x-required-scopes"].as_array();
        let admin = admin.is_some_and(|scopes| scopes.contains(&json!("admin")));
        let by = if admin { &self.operator } else { &self.user };
        let answer = sent.request(service, by).send().await.unwrap();
        // Signing out is an operation as well.
        if answer.status() != 401 || operation["security"] == json!([]) {
            return answer;
        }
        if admin {
            self.operator = service.operator_again().await;
        } else {
            (self.user, self.known) = somebody(service).await;
        }
        answer
    }
}

/// Somebody with a task of each form of due times.
async fn somebody(service: &Service) -> (User, Vec<Value>) {
    let user = service.user().await;
    let mut known = Vec::new();
    for due in [
        json!(null),
        json!({"date": "9999-12-31"}),
        json!({"local": "0001-01-01T00:00:00"}),
        json!({"at": "9999-12-31T23:59:59.999999Z", "time_zone": "Asia/Kathmandu"}),
    ] {
        let task = add(service, &user, &json!({"title": "there", "due": due})).await;
        known.extend([task["id"].clone(), task["project_id"].clone()]);
    }
    (user, known)
}

/// A request that can be told and sent.
#[derive(Debug)]
struct Sent {
    method: Method,
    /// With the query.
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Sent {
    fn new(
        values: &Values<'_>,
        dice: &mut Dice,
        method: &Method,
        path: &str,
        operation: &Value,
    ) -> Self {
        // Mostly one thing is wrong at a time, so that the rest gets past the first check.
        let wrong = dice.one_of(&[0, 0, 1, 5]);
        let mut path = path.to_owned();
        let mut query = Vec::new();
        let none = Vec::new();
        for parameter in operation["parameters"].as_array().unwrap_or(&none) {
            let parameter = values.resolve(parameter);
            let name = parameter["name"].as_str().unwrap();
            let schema = &parameter["schema"];
            if parameter["in"] == "path" {
                let value = values.text(dice, schema, wrong);
                path = path.replace(&format!("{{{name}}}"), &value);
            } else if parameter["in"] == "query" && dice.below(4) == 0 {
                let several = values.resolve(schema)["type"] == "array";
                let times = if several { dice.one_of(&[1, 2, 60]) } else { 1 };
                let schema = if several {
                    &values.resolve(schema)["items"]
                } else {
                    schema
                };
                query.extend(
                    (0..times).map(|_| format!("{name}={}", values.text(dice, schema, wrong))),
                );
            }
        }
        // A head of more than 16 KiB has no problem document.
        while query.iter().map(String::len).sum::<usize>() > 8000 {
            query.pop();
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let content = operation["requestBody"]["content"].as_object();
        let content = content.and_then(|content| content.iter().next());
        let mut headers = values.headers(dice, method, wrong);
        let body = content.map(|(kind, media)| {
            headers.push(("content-type", kind.clone()));
            let body = values.value(dice, &media["schema"], wrong);
            if kind.starts_with("application/json") {
                body.to_string()
            } else {
                form(&body)
            }
        });
        Self {
            method: method.clone(),
            path,
            headers,
            body,
        }
    }

    fn request(&self, service: &Service, by: &User) -> RequestBuilder {
        let mut request = service.by(by, self.method.clone(), &self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }
}

fn form(body: &Value) -> String {
    let fields = body.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={}", values::encoded(name), values::encoded(&text))
    });
    fields.collect::<Vec<_>>().join("&")
}
