use std::{fs, path::Path};

use super::*;
use crate::{git::ask, release::migrations};

/// A checkout whose only commit, tagged `v1`, has this migration.
fn released(name: &str) -> (tempfile::TempDir, Commit) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let file = root.join(migrations::FOLDER).join(name);
    fs::create_dir(root.join(migrations::FOLDER)).expect("a folder");
    fs::write(file, "create table task (id bigint);").expect("a file");
    let lines: [&[&str]; 4] = [
        &["init", "--quiet"],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.org",
            "commit",
            "--quiet",
            "--message=one",
        ],
        &["tag", "v1"],
    ];
    for line in lines {
        ask(root, line).expect("git works");
    }
    let commit = git::find(root, "v1").expect("the tag");
    (folder, commit)
}

fn rules(root: &Path, against: &Commit, text: &str) -> Vec<String> {
    let fresh = [Migration {
        name: "0012_next.sql".to_owned(),
        text: text.to_owned(),
    }];
    let findings = check(root, against, &fresh, &[]);
    findings.into_iter().map(|finding| finding.rule).collect()
}

/// What stands in a file, and what is found in it.
const TABLE: [(&str, &[&str]); 17] = [
    ("create table label (id bigint);", &[]),
    ("alter table task add column due date;", &[]),
    ("-- drop table task;\nselect 'delete from task';", &[]),
    ("delete from task where true;", &["rows-go"]),
    ("TRUNCATE task;", &["rows-go"]),
    ("create table label (id bigint); delete from label;", &[]),
    (
        "alter table task add constraint positive check (id > 0) not valid;",
        &["forbids-more"],
    ),
    ("alter table task add check (id > 0);", &["forbids-more"]),
    ("alter table only task add unique (id);", &["forbids-more"]),
    (
        "create unique index concurrently task_key on task (id);",
        &["forbids-more"],
    ),
    ("create index concurrently task_idx on task (id);", &[]),
    (
        "alter table task drop constraint known, add constraint known check (id > 1) not valid;",
        &[],
    ),
    (
        "alter table task drop constraint known_long, add constraint known check (id > 1) not valid;",
        &["forbids-more"],
    ),
    (
        "drop index task_key; create unique index task_key on task (id);",
        &[],
    ),
    (
        "create table label (id bigint); alter table label add unique (id);",
        &[],
    ),
    ("update schema_floor set version = 12;", &["floor"]),
    ("-- phase: contract\ndelete from task;", &["phase"]),
];

#[test]
fn an_expansion_takes_nothing_away() {
    let (folder, v1) = released("0011_task.sql");
    for (text, expected) in TABLE {
        assert_eq!(rules(folder.path(), &v1, text), expected, "{text}");
    }
}

#[test]
fn a_contract_comes_after_a_release_that_can_still_start() {
    let (folder, v1) = released("0011_task.sql");
    let contract = |after: &str, floor: &str| {
        format!("-- phase: contract\n-- after-release: {after}\ndelete from task;\n{floor}")
    };
    let floor = |version| format!("update schema_floor set version = {version};");
    let short = format!("20261125T191300Z-{}", &v1.hash[..8]);
    for (text, expected) in [
        (contract("v1", &floor(11)), &[][..]),
        (contract(&short, &floor(11)), &[]),
        (contract("v1", ""), &["floor"]),
        (contract("v1", &floor(12)), &["floor"]),
        (contract("v2", &floor(11)), &["after-release"]),
    ] {
        assert_eq!(rules(folder.path(), &v1, &text), expected, "{text}");
    }

    fs::write(folder.path().join("later"), "").expect("a file");
    ask(folder.path(), &["add", "."]).expect("git works");
    let line = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let line = [&line[..], &["commit", "--quiet", "--message=two"]].concat();
    ask(folder.path(), &line).expect("git works");
    let later = contract("HEAD", &floor(11));
    assert_eq!(rules(folder.path(), &v1, &later), ["after-release"]);
}
