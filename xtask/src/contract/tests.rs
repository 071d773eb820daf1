//! Dockerfile, Compose file, programs and contract agree; and whatever is changed in one of them is noticed.

mod compose;
mod dockerfile;
mod sources;

use std::{fs, path::Path};

use super::*;
use crate::environments::Name;

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

/// A file of this checkout.
pub(super) fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn production() -> Environment {
    Environment::load(root(), Name::Production).expect("a file without faults")
}

/// Holds what `differences` finds to nothing, and to something after each change of the text. The changes are
/// what is replaced, and by what.
pub(super) fn assert_agrees(
    text: &str,
    changes: &[(&str, &str)],
    differences: impl Fn(&str) -> Vec<String>,
) {
    assert_eq!(differences(text), Vec::<String>::new());
    for (old, new) in changes {
        assert!(text.contains(old), "{old:?} is not there any more");
        let found = differences(&text.replace(old, new));
        assert!(
            !found.is_empty(),
            "nobody notices {new:?} instead of {old:?}"
        );
    }
}

/// Compares one fact and notes where it differs.
pub(super) struct Comparison(Vec<String>);

impl Comparison {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn same<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, is: T, should_be: T) {
        if is != should_be {
            self.0
                .push(format!("{what} is {is:?} and should be {should_be:?}"));
        }
    }

    pub(super) fn ensure(&mut self, holds: bool, what: String) {
        if !holds {
            self.0.push(what);
        }
    }

    pub(super) fn found(self) -> Vec<String> {
        self.0
    }
}

#[test]
fn every_secret_gives_variables_that_exist() {
    for secret in SECRETS {
        let given = secret.readers.iter().flat_map(|(_, variables)| *variables);
        for name in secret.holds.iter().chain(given) {
            assert!(
                is_secret(name),
                "{} gives {name}, which is no secret variable",
                secret.name
            );
        }
    }
}

#[test]
fn a_task_reads_no_secret_that_it_has_no_variable_for() {
    for task in Task::ALL {
        for secret in Secret::read_by(task) {
            for name in secret.given_to(task).expect("a reader") {
                let variable = VARIABLES.iter().find(|variable| variable.name == *name);
                let reads =
                    variable.is_some_and(|variable| variable.programs.contains(&task.program()));
                assert!(reads, "{task:?} is given {name} and does not read it");
            }
        }
    }
}

#[test]
fn every_variable_that_a_task_requires_has_a_source() {
    let environment = production();
    for task in Task::ALL {
        settings(task, &environment).expect("every source");
    }
}

#[test]
fn a_required_variable_without_a_source_is_named() {
    let text = file("infra/environments/production.toml");
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("MAIL_FROM"))
        .map(|line| format!("{line}\n"))
        .collect();
    let environment = Environment::parse(Name::Production, "production.toml", &without)
        .expect("a file without faults");
    let error = settings(Task::Worker, &environment)
        .expect_err("MAIL_FROM is missing")
        .to_string();
    assert!(error.contains("MAIL_FROM"), "{error}");
    assert!(
        error.contains("infra/environments/production.toml"),
        "{error}"
    );
}

#[test]
fn every_plain_variable_of_a_task_is_in_its_definition() {
    let environment = production();
    for task in Task::ALL {
        let given = settings(task, &environment).expect("every source");
        for variable in VARIABLES
            .iter()
            .filter(|variable| variable.programs.contains(&task.program()))
        {
            let has_value = variable.default.text(Mode::Production).is_some();
            if variable.kind == variables::Kind::Plain && has_value {
                assert!(
                    given.contains_key(variable.name),
                    "{task:?} is not told {}",
                    variable.name
                );
            }
        }
    }
}

#[test]
fn no_secret_is_ever_a_plain_value() {
    let environment = production();
    for task in Task::ALL {
        for name in settings(task, &environment).expect("every source").keys() {
            assert!(!is_secret(name), "{task:?} is told {name} in plain text");
        }
    }
}
