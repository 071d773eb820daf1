//! `xtask release check` in a checkout of its own, which has this one's migrations and one more.
//!
//! The programs that this build made play both releases: what is tried is the gate. That it builds an earlier release
//! by itself is not tried here, for that takes minutes.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{
    repository::git,
    support::{Checkout, XTASK, root},
};

/// A checkout with git, whose first commit is tagged `v1` and has the migrations that there are.
struct Repository {
    checkout: Checkout,
}

impl Repository {
    fn new() -> Self {
        let checkout = Checkout::new("exit 0");
        let folder = checkout.path().join("migrations");
        fs::create_dir(&folder).expect("a folder");
        for entry in fs::read_dir(root().join("migrations")).expect("migrations") {
            let entry = entry.expect("a migration");
            fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
        }
        // So that Squawk is installed once.
        let tools = Path::new(XTASK).parent().and_then(Path::parent);
        let tools = tools.expect("target/").join("tools");
        fs::create_dir_all(&tools).expect("a folder in target/");
        symlink(tools, checkout.target().join("tools")).expect("a link");
        fs::write(checkout.path().join(".gitignore"), "target\ncargo\n").expect("a file");
        let repository = Self { checkout };
        repository.git(&["init", "--quiet"]);
        repository.commit();
        repository.git(&["tag", "v1"]);
        repository
    }

    fn git(&self, arguments: &[&str]) {
        git(self.checkout.path(), arguments);
    }

    fn commit(&self) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message=more"]);
    }

    fn migration(&self, name: &str, text: &str) {
        let file = self.checkout.path().join("migrations").join(name);
        fs::write(file, text).expect("a file");
    }

    /// The exit code and the one object on stdout.
    fn check(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self
            .checkout
            .run(&[&["release", "check", "--json"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (output.status.code(), told)
    }

    /// With the programs beside this one as those of both releases.
    fn check_all(&self) -> (Option<i32>, Value) {
        let folder = programs();
        let folder = folder.to_str().expect("a path that is text");
        self.check(&["--old-binaries", folder, "--new-binaries", folder])
    }

    /// The exit code and what was said, where nothing is found out.
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let line = [&["release", "check", "--json"], arguments].concat();
        let output = self.checkout.run(&line);
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }

    fn file(&self) -> PathBuf {
        self.checkout.target().join("release-check.json")
    }

    fn kept(&self) -> bool {
        self.file().exists()
    }
}

/// Builds what an earlier build of the tests has not made.
pub(crate) fn programs() -> PathBuf {
    let folder = Path::new(XTASK).parent().expect("a folder").to_owned();
    let names = ["taskhub-api", "taskhub-worker", "examples/migration_trial"];
    if names.iter().all(|name| folder.join(name).is_file()) {
        return folder;
    }
    let lines = [
        &["--bins", "-p", "taskhub-api", "-p", "taskhub-worker"][..],
        &["--workspace", "--example", "migration_trial"],
    ];
    for line in lines {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet"])
            .args(line)
            .current_dir(root())
            .status();
        assert!(status.expect("cargo starts").success(), "{line:?}");
    }
    folder
}

fn texts(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list").iter();
    items.filter_map(Value::as_str).collect()
}

/// What stands in a migration, and what Squawk's part in the gate calls it. Each statement is a line.
const FORBIDDEN: [(&str, &str); 15] = [
    ("alter table task drop column title;", "ban-drop-column"),
    (
        "alter table task rename column title to name;",
        "renaming-column",
    ),
    ("alter table task rename to chore;", "renaming-table"),
    (
        "alter table task alter column version type integer;",
        "changing-column-type",
    ),
    (
        "alter table task alter column due_at set not null;",
        "adding-not-nullable-field",
    ),
    (
        "alter table task add column size bigint not null;",
        "adding-required-field",
    ),
    (
        "alter table task alter column status drop default;",
        "ban-drop-default",
    ),
    (
        "create index task_idx on task (title);",
        "require-concurrent-index-creation",
    ),
    (
        "drop index task_due_idx;",
        "require-concurrent-index-deletion",
    ),
    (
        "alter table task add constraint task_job foreign key (seq) references job (id);",
        "adding-foreign-key-constraint",
    ),
    (
        "alter table task add constraint task_seq check (seq > 0);",
        "constraint-missing-not-valid",
    ),
    (
        "alter table task add constraint task_one unique (seq);",
        "disallowed-unique-constraint",
    ),
    ("drop table job_log;", "ban-drop-table"),
    (
        "drop function due_order(date, timestamp, timestamptz);",
        "ban-drop-function",
    ),
    ("delete from job_log;", "rows-go"),
];

#[test]
fn what_an_older_program_may_need_is_not_taken_away() {
    let repository = Repository::new();
    let lines: Vec<&str> = FORBIDDEN.iter().map(|(line, _)| *line).collect();
    repository.migration("0012_next.sql", &lines.join("\n"));
    repository.commit();
    let (code, told) = repository.check(&["--sql"]);
    assert_eq!((code, &told["against_name"]), (Some(3), &"v1".into()));
    let findings = told["findings"].as_array().expect("a list");
    for (index, (line, rule)) in FORBIDDEN.iter().enumerate() {
        let is_it = |found: &&Value| found["line"] == index + 1 && found["rule"] == *rule;
        assert!(findings.iter().any(|found| is_it(&found)), "{line}: {told}");
    }
}

#[test]
fn a_contract_may_take_away_what_no_release_has_used_for_long() {
    let repository = Repository::new();
    let contract = "-- phase: contract\n-- after-release: v1\n\
                    alter table job drop column priority;\n\
                    update schema_floor set version = 11;\n";
    repository.migration("0012_contract.sql", contract);
    let (code, told) = repository.check(&["--sql"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(
        (&told["passed"], &told["rollback_safe"]),
        (&true.into(), &false.into())
    );
}

#[test]
fn a_migration_that_is_out_is_neither_edited_nor_removed() {
    let repository = Repository::new();
    let folder = repository.checkout.path().join("migrations");
    repository.migration("0010_password_resets.sql", "select 1;");
    fs::remove_file(folder.join("0011_schema_floor.sql")).expect("it is there");
    repository.commit();
    let (code, told) = repository.check(&[]);
    let findings = told["findings"].as_array().expect("a list").iter();
    let rules: Vec<&str> = findings
        .filter_map(|found| found["rule"].as_str())
        .collect();
    assert_eq!((code, rules), (Some(3), vec!["edited", "removed"]));
}

#[test]
fn without_an_earlier_release_or_a_new_migration_there_is_nothing_to_try() {
    let repository = Repository::new();
    let (code, told) = repository.check(&[]);
    assert_eq!((code, &told["against"]), (Some(0), &Value::Null));
    assert_eq!(told["rollback_safe"], false);
    assert_eq!(told["why"], "there is no earlier release to go back to");

    repository.git(&["commit", "--quiet", "--allow-empty", "--message=more"]);
    let (code, told) = repository.check(&[]);
    assert_eq!((code, &told["rollback_safe"]), (Some(0), &true.into()));
    assert!(repository.kept());
    let unknown = ["release", "check", "--against", "v2"];
    assert_eq!(repository.checkout.run(&unknown).status.code(), Some(2));
}

const ZEROS: &str = "0000000000000000000000000000000000000000";

#[test]
fn a_first_push_and_a_forced_one_have_nothing_to_compare_with() {
    let repository = Repository::new();
    let gone = "0123456789abcdef0123456789abcdef01234567";
    for (before, why) in [(ZEROS, "the branch is new"), (gone, "forced push")] {
        let (code, told) = repository.check(&["--against", before]);
        assert_eq!((code, &told["passed"]), (Some(0), &true.into()), "{told}");
        assert_eq!(told["against"], Value::Null);
        let said = told["nothing_to_compare_with"].as_str().expect("a reason");
        assert!(said.contains(why), "{said}");
        let kept = fs::read(repository.file()).expect("a file for the pipeline");
        assert_eq!(serde_json::from_slice::<Value>(&kept).ok(), Some(told));
        fs::remove_file(repository.file()).expect("own file");
    }
    // What a person mistypes is shorter, and what `deploy.yml` hands over is too: that is not passed over.
    let (code, said) = repository.refused(&["--against", "01234567"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("git knows no commit 01234567"), "{said}");
}

#[test]
fn a_clone_without_its_history_says_what_is_missing() {
    let repository = Repository::new();
    let root = repository.checkout.path();
    repository.git(&["commit", "--quiet", "--allow-empty", "--message=two"]);
    let before = git(root, &["rev-parse", "HEAD^"]);
    let shallow = format!("{}\n", git(root, &["rev-parse", "HEAD"]).trim());
    fs::write(root.join(".git/shallow"), shallow).expect("own repository");
    repository.git(&["tag", "--delete", "v1"]);
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git(&["gc", "--quiet", "--prune=now"]);
    for arguments in [&[][..], &["--against", before.trim()]] {
        let (code, said) = repository.refused(arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("this clone is shallow"), "{said}");
        assert!(said.contains("git fetch --unshallow --tags"), "{said}");
    }
    let (code, told) = repository.check(&["--against", ZEROS]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_migration_that_only_adds_passes_and_a_rollback_over_it_is_safe() {
    let repository = Repository::new();
    repository.migration(
        "9012_sizes.sql",
        "alter table task add column size bigint;\ncreate table note (id bigint primary key, text text);\n",
    );
    repository.commit();
    let (code, told) = repository.check_all();
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(texts(&told["wrong"]), Vec::<&str>::new());
    assert_eq!(told["rollback_safe"], true);
    let seen = &told["seen"];
    assert_eq!(seen["load"]["rows"], 100_000);
    assert_eq!(seen["load"]["failed"], 0);
    assert!(seen["load"]["requests"].as_u64() > Some(300), "{seen}");
    assert!(seen["requests"].as_u64() > Some(100), "{seen}");
    assert_eq!(seen["migrations"][0]["version"], 9012);
    // Programs that were given are not known to be those of the commits.
    assert!(!repository.kept());
}

#[test]
fn a_migration_that_breaks_the_old_programs_or_locks_them_out_is_refused() {
    let repository = Repository::new();
    repository.migration(
        "9012_wrong.sql",
        "do $$ begin lock table task; perform pg_sleep(1.5); end $$;\n\
         create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;\n\
         create trigger refuse before insert on task for each row execute function refuse();\n",
    );
    repository.commit();
    let (code, told) = repository.check_all();
    assert_eq!(
        (code, &told["findings"]),
        (Some(3), &Value::Array(Vec::new()))
    );
    assert_eq!(
        (&told["passed"], &told["rollback_safe"]),
        (&false.into(), &false.into())
    );
    let wrong = texts(&told["wrong"]);
    let says = |words: &str| wrong.iter().any(|line| line.contains(words));
    assert!(
        says("holds AccessExclusiveLock on task for 1."),
        "{wrong:?}"
    );
    assert!(says("a request took"), "{wrong:?}");
    assert!(says("POST /v1/tasks: 500"), "{wrong:?}");
}
