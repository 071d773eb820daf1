//! The image that is put together here runs like the one that the Dockerfile describes.

use std::{fs, path::Path};

use super::*;

fn dockerfile() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = root.expect("the workspace").join("Dockerfile");
    fs::read_to_string(path).expect("the Dockerfile")
}

/// The instructions of the last stage, continued lines joined.
fn instructions(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines: Vec<&str> = joined.lines().collect();
    let last = lines.iter().rposition(|line| line.starts_with("FROM "));
    lines[last.expect("a stage") + 1..]
        .iter()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| {
            let words: Vec<&str> = rest.split_whitespace().collect();
            (name.to_owned(), words.join(" "))
        })
        .collect()
}

/// What an engine would make of it, as far as the programs are concerned.
fn engine_would_say(text: &str, arguments: &[(&str, &str)]) -> Value {
    let mut said = json!({});
    for (name, rest) in instructions(text) {
        let list = || serde_json::from_str::<Value>(&rest).expect("a JSON list");
        match name.as_str() {
            "USER" => said["User"] = json!(rest),
            "WORKDIR" => said["WorkingDir"] = json!(rest),
            "STOPSIGNAL" => said["StopSignal"] = json!(rest),
            "CMD" => said["Cmd"] = list(),
            "ENTRYPOINT" => said["Entrypoint"] = list(),
            "EXPOSE" => {
                let ports = rest
                    .split(' ')
                    .map(|port| (format!("{port}/tcp"), json!({})));
                said["ExposedPorts"] = Value::Object(ports.collect());
            }
            "LABEL" => said["Labels"] = labels_of(&rest, arguments),
            "HEALTHCHECK" => said["Healthcheck"] = health_of(&rest),
            "ENV" => said["Env"] = json!([rest]),
            "ARG" | "COPY" => {}
            other => panic!("nobody here knows {other}"),
        }
    }
    said
}

fn labels_of(text: &str, arguments: &[(&str, &str)]) -> Value {
    let pattern = regex::Regex::new(r#"([a-z.]+)="([^"]*)""#).expect("a pattern");
    let labels = pattern.captures_iter(text).map(|label| {
        let mut value = label[2].to_owned();
        for (name, given) in arguments {
            value = value.replace(&format!("${{{name}}}"), given);
        }
        (label[1].to_owned(), json!(value))
    });
    Value::Object(labels.collect())
}

fn health_of(text: &str) -> Value {
    let (options, command) = text.split_once(" CMD ").expect("a command");
    let number = |name: &str| {
        let option = options
            .split(' ')
            .find_map(|option| option.strip_prefix(&format!("--{name}=")));
        let number = option.unwrap_or_else(|| panic!("no {name}"));
        number
            .trim_end_matches('s')
            .parse::<u32>()
            .expect("a number")
    };
    let command: Vec<String> = serde_json::from_str(command).expect("a JSON list");
    let test: Vec<String> = std::iter::once("CMD".to_owned()).chain(command).collect();
    json!({
        "Test": test,
        "Interval": nanoseconds(number("interval")),
        "Timeout": nanoseconds(number("timeout")),
        "StartPeriod": nanoseconds(number("start-period")),
        "Retries": number("retries"),
    })
}

fn commit() -> Commit {
    Commit {
        revision: "0123456789".to_owned(),
        seconds: 1_700_000_000,
        created: "2023-11-14T22:13:20Z".to_owned(),
        changed: Vec::new(),
    }
}

fn ours() -> Value {
    let bytes = config(
        &commit(),
        "https://example.org/taskhub",
        Architecture::Amd64,
        &[],
    );
    let config: Value = serde_json::from_slice(&bytes.expect("a configuration")).expect("JSON");
    config["config"].clone()
}

const ARGUMENTS: [(&str, &str); 4] = [
    ("TASKHUB_VERSION", env!("CARGO_PKG_VERSION")),
    ("TASKHUB_COMMIT", "0123456789"),
    ("TASKHUB_CREATED", "2023-11-14T22:13:20Z"),
    ("TASKHUB_SOURCE", "https://example.org/taskhub"),
];

#[test]
fn the_image_runs_as_the_dockerfile_says() {
    assert_eq!(ours(), engine_would_say(&dockerfile(), &ARGUMENTS));
}

#[test]
fn whatever_is_changed_in_the_dockerfile_is_noticed() {
    for (old, new) in [
        ("USER 65532:65532", "USER 0:0"),
        ("WORKDIR /var/lib/taskhub", "WORKDIR /"),
        ("EXPOSE 8000 9000", "EXPOSE 8000"),
        ("PATH=/usr/local/sbin:", "PATH="),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGINT"),
        ("--retries=3", "--retries=9"),
        ("title=\"TaskHub\"", "title=\"Taskhub\""),
        (
            "CMD [\"taskhub-api\", \"serve\"]",
            "ENTRYPOINT [\"taskhub-api\"]",
        ),
    ] {
        let text = dockerfile();
        assert!(text.contains(old), "{old} is not there any more");
        let changed = engine_would_say(&text.replace(old, new), &ARGUMENTS);
        assert_ne!(ours(), changed, "nobody notices {new}");
    }
}
