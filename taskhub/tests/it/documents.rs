//! What is written about the variables is what the programs do.
//!
//! `UPDATE=1` rewrites the files instead of comparing them.

use std::{fs, path::PathBuf};

use taskhub::settings::{
    Api, Environment, HealthCheck, Migration, Source, VARIABLES, Worker, env_example, table,
};

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", name].iter().collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether to rewrite is no setting of the programs"
)]
fn assert_current(name: &str, expected: &str) {
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") && text(name) != expected {
        fs::write(path(name), expected).expect("a file that can be written");
    }
    assert!(
        text(name) == expected,
        "{name} is not what the list of variables makes of it: UPDATE=1 cargo test -p taskhub documents"
    );
}

#[test]
fn env_example_shows_every_variable() {
    assert_current(".env.example", &env_example());
}

#[test]
fn env_example_is_all_that_development_needs() {
    let source = Source::from_values(
        dotenvy::from_path_iter(path(".env.example"))
            .expect("the file")
            .map(|line| line.expect("a line that dotenv understands")),
    );

    let api = Api::read(&source).expect("settings of the API");
    assert_eq!(api.environment, Environment::Development);
    Worker::read(&source).expect("settings of the worker");
    Migration::read(&source).expect("settings of a migration");
    HealthCheck::read(&source).expect("settings of a health check");
}

/// What is commented out must be right too once somebody takes the sign away.
#[test]
fn every_line_of_env_example_is_valid() {
    let whole =
        text(".env.example")
            .replace("\n#", "\n")
            .lines()
            .fold(String::new(), |mut lines, line| {
                if line
                    .split_once('=')
                    .is_some_and(|(name, _)| VARIABLES.iter().any(|v| v.name == name))
                {
                    lines.push_str(line);
                    lines.push('\n');
                }
                lines
            });
    let values: Vec<(String, String)> = dotenvy::from_read_iter(whole.as_bytes())
        .map(|line| line.expect("a line that dotenv understands"))
        .collect();

    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        VARIABLES
            .iter()
            .map(|variable| variable.name)
            .collect::<Vec<_>>()
    );
    let source = Source::from_values(values);
    Api::read(&source).expect("settings of the API");
    Worker::read(&source).expect("settings of the worker");
}

#[test]
fn the_page_of_settings_lists_every_variable() {
    const BEGIN: &str = "<!-- variables: written by the test of the same table -->\n";
    const END: &str = "<!-- end of variables -->";
    let page = text("docs/settings.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    assert_current(
        "docs/settings.md",
        &format!("{before}{BEGIN}\n{}\n{END}{after}", table()),
    );
}
