//! The example of each kind of problem, sent and compared with what the pages show.

use std::process::Command;

use serde_json::{Value, json};
use taskhub_api::problem::{EXAMPLES, Example, KINDS};

use crate::support::{Service, success};

#[test]
fn every_kind_has_one_example() {
    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.code).collect();
    let examples: Vec<_> = EXAMPLES.iter().map(|example| example.code).collect();
    assert_eq!(examples, kinds);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_is_answered_as_its_page_says() {
    let service = Service::start().await;
    service.operator().await;
    let user = service.user().await;
    let task = service
        .by(&user, reqwest::Method::POST, "/v1/tasks")
        .json(&json!({ "title": "Buy milk" }))
        .send()
        .await
        .unwrap();
    let task = success(task, reqwest::StatusCode::CREATED).await;
    let task = task["id"].as_str().unwrap();
    let mut wrong = Vec::new();
    for kind in KINDS {
        let example = Example::of(kind).unwrap();
        if !example.sent_by_test {
            continue;
        }
        let answer = send(example.request, &service.url, &user.access_token, task).await;
        let mut answer: Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{}: {answer}", kind.code));
        let expected = example.answer(kind, &service.url).to_string();
        let expected: Value = serde_json::from_str(&expected.replace("$TASK", task)).unwrap();
        answer["request_id"] = expected["request_id"].clone();
        // The whole task stands there; its schema is another test's matter.
        if let Some(members) = answer.as_object_mut() {
            members.remove("current");
        }
        if answer != expected {
            wrong.push(format!(
                "{}:\n{answer:#}\ninstead of\n{expected:#}",
                kind.code
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What the last answer to a command of curl says.
async fn send(command: &str, url: &str, token: &str, task: &str) -> String {
    let mut shell = Command::new("bash");
    let quiet = r#"curl() { command curl --silent "$@"; echo; };"#;
    shell
        .args(["-c", &format!("{quiet} {command}")])
        .env("API", url)
        .env("TOKEN", token)
        .env("TASK", task);
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap());
    let output = output.await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().last().unwrap_or_default().to_owned()
}
