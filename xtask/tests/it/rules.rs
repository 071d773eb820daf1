//! Rules of `docs/architecture.md` that sources can break.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::root;

/// The files of Rust's below a folder of the checkout, with their paths in it.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((name(&path), fs::read_to_string(&path).expect("a source")));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

fn name(path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root()).expect("below it").into();
    path.display().to_string()
}

/// Without comments and without what follows the tests, which stand last.
fn code(text: &str) -> String {
    let before_tests = text.split("\n#[cfg(test)]\n").next().unwrap_or(text);
    let lines = before_tests.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<&str>>().join("\n")
}

/// The sources whose code has one of these words.
fn with(folders: &[&str], words: &[&str]) -> BTreeSet<String> {
    let all = folders.iter().flat_map(|folder| sources(folder));
    all.filter(|(_, text)| {
        let code = code(text);
        words.iter().any(|word| code.contains(word))
    })
    .map(|(name, _)| name)
    .collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn only_the_application_has_sql() {
    let found = with(
        &["api/src", "worker/src"],
        &["sqlx::query", "query_as!", "query_scalar!"],
    );
    assert_eq!(found, BTreeSet::new(), "a domain function holds it");
}

/// Clippy refuses the methods everywhere else.
#[test]
fn the_environment_is_read_in_one_place_of_each_kind() {
    let all = ["api/src", "taskhub/src", "worker/src", "xtask/src"];
    let expected = names([
        "taskhub/src/settings/source.rs",
        // Compiled into tests alone.
        "taskhub/src/testing.rs",
        "xtask/src/environment.rs",
    ]);
    assert_eq!(with(&all, &["clippy::disallowed_methods"]), expected);
    let clippy = fs::read_to_string(root().join("clippy.toml")).expect("a file");
    for method in ["var", "var_os", "vars", "vars_os"] {
        let line = format!("path = \"std::env::{method}\"");
        assert!(clippy.contains(&line), "clippy.toml lacks {line}");
    }
}

#[test]
fn only_a_programs_beginning_makes_pools_and_clients() {
    let makes = [
        "database::pool(",
        "database::trusting_pool(",
        "Client::open(",
        "ConnectionManager::new",
        "Mailer::new(",
    ];
    let beginnings = names([
        "api/src/serve.rs",
        "worker/src/main.rs",
        "worker/src/smoke.rs",
    ]);
    let programs = with(&["api/src", "worker/src"], &makes);
    assert_eq!(programs, beginnings);
    let pools = with(
        &["api/src", "taskhub/src", "worker/src"],
        &["PgPoolOptions"],
    );
    let pools: Vec<&String> = pools.iter().filter(|name| !is_testing(name)).collect();
    assert_eq!(pools, ["taskhub/src/database.rs"]);
}

fn is_testing(name: &str) -> bool {
    name.starts_with("taskhub/src/testing")
}

/// Those of the application's modules that are about the process and not about tasks.
const ABOUT_THE_PROCESS: [&str; 8] = [
    "database",
    "error",
    "lib",
    "queue",
    "rotation",
    "secrets",
    "settings",
    "telemetry",
];

#[test]
fn domain_functions_see_no_redis_no_settings_and_no_request() {
    let unseen = ["redis::", "settings::", "secrets::", "http::", "poem"];
    let found = with(&["taskhub/src"], &unseen);
    let is_domain = |name: &&String| {
        let module = name.trim_start_matches("taskhub/src/");
        let module = module.split(['/', '.']).next().unwrap_or_default();
        !is_testing(name) && !ABOUT_THE_PROCESS.contains(&module)
    };
    let found: Vec<&String> = found.iter().filter(is_domain).collect();
    assert_eq!(found, Vec::<&String>::new());
}
