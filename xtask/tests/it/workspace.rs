//! Rules of `docs/architecture.md` that manifests and the tree can break.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use serde_json::Value;

use crate::support::root;

/// Every member's dependencies of all kinds.
fn members() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| (name(package), dependencies(package)))
        .collect()
}

fn dependencies(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies");
    dependencies.iter().map(name).collect()
}

fn name(value: &Value) -> String {
    value["name"].as_str().expect("a name").to_owned()
}

#[test]
fn the_application_knows_nothing_of_http() {
    let members = members();
    for server in ["poem", "poem-openapi", "hyper"] {
        assert!(
            !members["taskhub"].contains(server),
            "taskhub depends on {server}"
        );
    }
    assert!(!members["taskhub-worker"].contains("poem"));
}

#[test]
fn api_and_worker_do_not_know_each_other() {
    let members = members();
    assert!(!members["taskhub-api"].contains("taskhub-worker"));
    assert!(!members["taskhub-worker"].contains("taskhub-api"));
    assert!(!members["taskhub"].contains("taskhub-api"));
    assert!(!members["taskhub"].contains("taskhub-worker"));
}

#[test]
fn nothing_depends_on_xtask() {
    for (name, dependencies) in members() {
        assert!(!dependencies.contains("xtask"), "{name} depends on xtask");
    }
}

/// The names in the checkout, as `docs/architecture.md` tells of them.
pub(crate) const DESCRIBED: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".devcontainer",
    ".dockerignore",
    ".env.example",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".sqlx",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Dockerfile",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "api",
    "clippy.toml",
    "deny.toml",
    "docker-compose.yml",
    "docs",
    "infra",
    "migrations",
    "rustfmt.toml",
    "taskhub",
    "worker",
    "xtask",
];

#[test]
fn the_top_level_is_the_one_that_is_described() {
    let undescribed: Vec<String> = top_level()
        .into_iter()
        .filter(|name| !DESCRIBED.contains(&name.as_str()))
        .collect();
    assert_eq!(undescribed, Vec::<String>::new());
}

/// What Git has of the checkout; in an archive without Git, everything but what `.gitignore` names.
fn top_level() -> Vec<String> {
    let listed = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-tree", "--name-only", "HEAD"])
        .current_dir(root())
        .output();
    let tracked = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let tracked = tracked.unwrap_or_default();
    if !tracked.is_empty() {
        return tracked.lines().map(str::to_owned).collect();
    }
    let ignored = fs::read_to_string(root().join(".gitignore")).expect(".gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let entries = fs::read_dir(root()).expect("the checkout").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name != ".git" && !ignored.contains(&name.as_str()))
        .collect()
}
