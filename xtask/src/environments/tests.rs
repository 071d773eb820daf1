//! What is wrong with an environment file is said with its line, its key and what would be right.

use std::fs;

use super::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

fn text(name: Name) -> String {
    fs::read_to_string(root().join(format!("infra/environments/{name}.toml"))).expect("a file")
}

/// The message after one change to a committed file, and the line where the change is.
fn refused(name: Name, old: &str, new: &str) -> (String, usize) {
    let text = text(name);
    let (before, _) = text
        .split_once(old)
        .unwrap_or_else(|| panic!("{old:?} is not in the file"));
    let indent = new.lines().count().max(1) - 1;
    let line = before.lines().count() + 1 + indent - usize::from(!before.ends_with('\n'));
    let changed = text.replacen(old, new, 1);
    let error = Environment::parse(name, "x.toml", &changed).expect_err("a file with a fault");
    (error.to_string(), line)
}

/// Holds the message to file, line, key and to some words of what would be right.
fn assert_refused(name: Name, old: &str, new: &str, key: &str, words: &[&str]) {
    let (message, line) = refused(name, old, new);
    let place = format!("x.toml:{line}: {key}: ");
    let told = message.lines().find(|told| told.starts_with(&place));
    let told = told.unwrap_or_else(|| panic!("no line begins with {place:?} in:\n{message}"));
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told:?}");
    }
}

#[test]
fn committed_files_have_no_faults() {
    for name in Name::ALL {
        let environment = Environment::load(root(), name).expect("a file without faults");
        assert_eq!(environment.name, name);
    }
}

#[test]
fn an_unknown_key_is_named_with_those_that_exist() {
    assert_refused(
        Name::Production,
        "zones = 2\n",
        "zones = 2\nzone = 2\n",
        "network.zone",
        &["unknown field", "`zones`", "`egress`"],
    );
}

#[test]
fn an_unknown_section_is_named_with_those_that_exist() {
    assert_refused(
        Name::Production,
        "[edge]",
        "[edges]",
        "edges",
        &["unknown field", "`edge`"],
    );
}

#[test]
fn a_missing_key_is_named() {
    let (message, _) = refused(Name::Production, "zones = 2\n", "");
    assert!(message.contains("network"), "{message}");
    assert!(message.contains("missing field `zones`"), "{message}");
}

#[test]
fn a_value_of_another_type_is_named_with_the_right_one() {
    assert_refused(
        Name::Production,
        "zones = 2",
        "zones = \"two\"",
        "network.zones",
        &["invalid type", "u32"],
    );
    assert_refused(
        Name::Production,
        "multi_az = true",
        "multi_az = 1",
        "database.multi_az",
        &["invalid type", "boolean"],
    );
}

#[test]
fn a_word_that_is_none_of_the_choices_is_named_with_them() {
    assert_refused(
        Name::Production,
        "\"endpoints\"",
        "\"internet\"",
        "network.egress",
        &["endpoints", "nat", "single_nat"],
    );
    assert_refused(
        Name::Production,
        "\"arm64\"",
        "\"riscv\"",
        "images.arch",
        &["arm64", "x86_64"],
    );
}

#[test]
fn a_number_out_of_bounds_is_named_with_them() {
    assert_refused(
        Name::Production,
        "zones = 2",
        "zones = 4",
        "network.zones",
        &["4", "2 to 3"],
    );
    assert_refused(
        Name::Production,
        "backup_days = 14",
        "backup_days = 36",
        "database.backup_days",
        &["1 to 35"],
    );
    assert_refused(
        Name::Production,
        "budget = 600",
        "budget = 0",
        "alarms.budget",
        &["1 or more"],
    );
}

#[test]
fn a_text_of_another_shape_is_named_with_the_shape() {
    assert_refused(
        Name::Production,
        "\"eu-central-1\"",
        "\"Frankfurt\"",
        "region",
        &["does not match"],
    );
    assert_refused(
        Name::Production,
        "\"15.19\"",
        "\"fifteen\"",
        "database.version",
        &["does not match"],
    );
}

#[test]
fn sizes_that_fargate_does_not_offer_are_named_with_those_that_it_does() {
    assert_refused(
        Name::Production,
        "cpu = 512",
        "cpu = 500",
        "api.cpu",
        &["256, 512, 1024"],
    );
    assert_refused(
        Name::Production,
        "memory = 1024",
        "memory = 512",
        "api.memory",
        &["cpu = 512", "1024, 2048, 3072, 4096"],
    );
}

#[test]
fn classes_without_a_price_are_named_with_those_that_have_one() {
    assert_refused(
        Name::Production,
        "db.t4g.medium",
        "db.x9.tiny",
        "database.class",
        &["db.t4g.medium", "db.m7g.large"],
    );
    assert_refused(
        Name::Production,
        "cache.t4g.small",
        "cache.x9",
        "cache.class",
        &["cache.t4g.micro"],
    );
}

#[test]
fn values_that_do_not_go_together_are_named() {
    assert_refused(
        Name::Production,
        "max = 6",
        "max = 1",
        "api.max",
        &["less than api.min, 2"],
    );
    assert_refused(
        Name::Production,
        "max_storage = 500",
        "max_storage = 54",
        "database.max_storage",
        &["database.storage, 50"],
    );
    assert_refused(
        Name::Staging,
        "egress = \"single_nat\"",
        "egress = \"single_nat\"\nstrict_endpoints = true",
        "network.strict_endpoints",
        &["network.egress = \"endpoints\""],
    );
}

#[test]
fn a_request_that_outlasts_the_load_balancer_is_refused_with_both_numbers() {
    assert_refused(
        Name::Production,
        "request_timeout = 30",
        "request_timeout = 60",
        "api.request_timeout",
        &["60 s", "less than"],
    );
    assert_refused(
        Name::Production,
        "request_timeout = 30",
        "request_timeout = 20",
        "api.request_timeout",
        &["(20 s) must be less than a request (20 s)"],
    );
}

#[test]
fn a_release_that_cannot_end_in_time_is_refused_with_both_numbers() {
    assert_refused(
        Name::Production,
        "timeout = 900",
        "timeout = 600",
        "deploy.timeout",
        &["(690 s)", "(600 s)"],
    );
}

#[test]
fn more_connections_than_the_database_has_are_refused_with_both_numbers() {
    let (message, line) = refused(Name::Production, "connections = 10", "connections = 20");
    assert!(message.contains("database.class"), "{message}");
    assert!(
        message.contains("377") && message.contains("269"),
        "{message}"
    );
    assert_ne!(line, 0);
}

#[test]
fn production_cannot_be_made_unsafe() {
    for (old, new, key) in [
        ("multi_az = true", "multi_az = false", "database.multi_az"),
        (
            "deletion_protection = true",
            "deletion_protection = false",
            "database.deletion_protection",
        ),
        (
            "backup_days = 14",
            "backup_days = 6",
            "database.backup_days",
        ),
        ("replicas = 1", "replicas = 0", "cache.replicas"),
        ("waf = true", "waf = false", "edge.waf"),
        ("alarms = true", "alarms = false", "deploy.alarms"),
        ("days = 365", "days = 180", "logs.days"),
        ("spot = \"beyond_min\"", "spot = \"always\"", "worker.spot"),
    ] {
        let text = text(Name::Production);
        let changed = text.replacen(&format!("\n{old}"), &format!("\n{new}"), 1);
        assert_ne!(text, changed, "{old}");
        let error =
            Environment::parse(Name::Production, "x.toml", &changed).expect_err("an unsafe file");
        assert!(
            error
                .to_string()
                .contains(&format!("{key}: production needs")),
            "{error}"
        );
    }
}

#[test]
fn variables_that_are_unknown_secret_or_decided_elsewhere_are_refused() {
    let with = |line: &str| format!("[variables]\n{line}");
    assert_refused(
        Name::Production,
        "[variables]",
        &with("LOG_LEVLE = \"debug\""),
        "variables.LOG_LEVLE",
        &["is no variable", "LOG_LEVEL"],
    );
    assert_refused(
        Name::Production,
        "[variables]",
        &with("JWT_SECRET = \"x\""),
        "variables.JWT_SECRET",
        &["is a secret"],
    );
    assert_refused(
        Name::Production,
        "[variables]",
        &with("APP_ENV = \"test\""),
        "variables.APP_ENV",
        &["is decided by"],
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let text = text(Name::Production)
        .replace("zones = 2", "zones = 9")
        .replace("budget = 600", "budget = 0");
    let error = Environment::parse(Name::Production, "x.toml", &text)
        .expect_err("two faults")
        .to_string();
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn every_key_says_what_it_means() {
    for key in reference::keys() {
        assert!(key.meaning.ends_with('.'), "{} has no sentence", key.path);
    }
}

#[test]
fn every_key_of_the_committed_files_is_in_the_reference() {
    let known: Vec<String> = reference::keys().into_iter().map(|key| key.path).collect();
    for name in Name::ALL {
        for key in Environment::load(root(), name)
            .expect("a file without faults")
            .flat()
            .keys()
        {
            let section = key.split('.').next().unwrap_or_default();
            assert!(
                known.contains(key) || ["variables", "tags"].contains(&section),
                "{key}"
            );
        }
    }
}
