//! Where people stand: an archive from the web, a shallow clone, a work tree, a folder of another repository. All of
//! them lie in a folder whose name has a space and an umlaut.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    release_verb::programs,
    repository::{commit_all, copy, git},
    support::{Checkout, XTASK, folder, root},
    workspace::DESCRIBED,
};

/// The same files in each of these ways.
struct Stands(TempDir);

impl Stands {
    fn new() -> Self {
        let stands = Self(folder());
        let archive = stands.archive();
        fs::create_dir(&archive).expect("a folder");
        copy(DESCRIBED, &archive);
        stands
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    fn copy_of_archive(&self, name: &str) -> PathBuf {
        let folder = self.path(name);
        fs::create_dir_all(folder.parent().expect("a folder")).expect("own folder");
        copy(&[self.archive().to_str().expect("text")], &folder);
        folder
    }

    fn clone(&self) -> PathBuf {
        let folder = self.copy_of_archive("clone");
        commit_all(&folder);
        let line = ["commit", "--quiet", "--allow-empty", "--message=two"];
        git(&folder, &line);
        folder
    }

    fn shallow_clone(&self, clone: &Path) -> PathBuf {
        let from = format!("file://{}", clone.display());
        let line = ["clone", "--quiet", "--depth=1", &from, "shallow"];
        git(self.0.path(), &line);
        self.path("shallow")
    }

    fn work_tree(&self, clone: &Path) -> PathBuf {
        git(
            clone,
            &["worktree", "add", "--quiet", "-b", "other", "../work tree"],
        );
        self.path("work tree")
    }

    /// Tracked by the other repository.
    fn subfolder(&self) -> PathBuf {
        let folder = self.copy_of_archive("company/tools/taskhub");
        let company = self.path("company");
        commit_all(&company);
        fs::write(company.join("note"), "is of no concern").expect("own file");
        let line = ["commit", "--quiet", "--allow-empty", "--message=two"];
        git(&company, &line);
        folder
    }

    /// Within another repository that does not track it.
    fn stranger(&self) -> PathBuf {
        let home = self.path("home");
        fs::create_dir(&home).expect("a folder");
        fs::write(home.join(".gitignore"), "taskhub\n").expect("own file");
        commit_all(&home);
        self.copy_of_archive("home/taskhub")
    }
}

fn xtask(folder: &Path, words: &str) -> Output {
    Command::new(XTASK)
        .args(words.split(' '))
        .current_dir(folder)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .stdin(Stdio::null())
        .output()
        .expect("xtask starts")
}

fn assert_ends(folder: &Path, words: &str, code: i32, says: &[&str]) {
    let output = xtask(folder, words);
    let said = String::from_utf8_lossy(&output.stderr);
    let place = folder.display();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{words} in {place}: {said}"
    );
    for expected in says {
        assert!(said.contains(expected), "{words} in {place}: {said}");
    }
}

#[test]
fn verbs_that_need_a_commit_say_so_and_all_others_run_anywhere() {
    let stands = Stands::new();
    let (archive, clone) = (stands.archive(), stands.clone());
    let shallow = stands.shallow_clone(&clone);
    let (work_tree, subfolder) = (stands.work_tree(&clone), stands.subfolder());
    let stranger = stands.stranger();
    let all = [
        &archive, &clone, &shallow, &work_tree, &subfolder, &stranger,
    ];
    for folder in all {
        assert_ends(folder, "render --check", 0, &[]);
        assert_ends(folder, "workflows --check", 0, &[]);
    }
    let needy = [
        "release check --sql",
        "deploy --env staging",
        "image build --engine none --binaries /",
    ];
    for words in needy {
        let no_checkout = ["is not a Git checkout", "git clone", "git init"];
        assert_ends(&archive, words, 2, &no_checkout);
        assert_ends(&stranger, words, 2, &["is in no commit of the repository"]);
    }
    let none = "the schema is that of HEAD^";
    for folder in [&clone, &work_tree, &subfolder] {
        assert_ends(folder, "release check --sql", 0, &[none]);
    }
    assert_ends(
        &shallow,
        "release check --sql",
        2,
        &["git fetch --unshallow"],
    );
}

#[test]
fn what_dev_prints_can_be_pasted_in_a_folder_with_a_space_and_an_umlaut() {
    let checkout = checkout_with_programs();
    let mut dev = Command::new(XTASK)
        .arg("dev")
        .env("CARGO", checkout.cargo())
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_BROKER")
        // From here no path is short enough to need no quotes.
        .current_dir("/usr")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    let lines = BufReader::new(dev.stderr.take().expect("a pipe")).lines();
    let said: Vec<String> = lines
        .map(|line| line.expect("text"))
        .take_while(|line| !line.starts_with("Ctrl-C stops"))
        .collect();
    let request: Vec<&str> = said
        .iter()
        .map(String::as_str)
        .skip_while(|line| !line.starts_with("  curl "))
        .take_while(|line| !line.is_empty())
        .collect();
    let answer = shell(&format!("{} --silent --fail", request.join("\n")));
    let mail = said.iter().find_map(|line| line.strip_prefix("  mail "));
    let mail = mail.map(|path| shell(&format!("ls -d {}", path.trim())));
    kill(Pid::from_raw(dev.id().cast_signed()), Signal::SIGINT).expect("it runs");
    assert_eq!(dev.wait().expect("ours").code(), Some(0), "{said:#?}");

    assert!(answer.contains("\"Buy milk\""), "{answer}\n{said:#?}");
    let folder = checkout.target().join("dev/mail");
    assert_eq!(mail, Some(format!("{}\n", folder.display())));
}

/// The step of our workflows that runs `dev`, as GitHub's shell runs it.
#[test]
fn the_workflows_step_starts_asks_and_stops_it() {
    let workflow = fs::read_to_string(root().join(".github/workflows/ci.yml"));
    let workflow: Value = serde_saphyr::from_str(&workflow.expect("a file")).expect("YAML");
    let steps = workflow["jobs"]["macos"]["steps"].as_array();
    let last = steps.and_then(|steps| steps.last()).expect("a step");
    let script = last["run"].as_str().expect("lines");
    assert!(script.starts_with("cargo xtask dev "), "{script}");

    let checkout = checkout_with_programs();
    let bin = checkout.path().join("bin");
    fs::create_dir(&bin).expect("own folder");
    let cargo = format!(
        "#!/bin/sh\nshift; CARGO='{}' exec '{XTASK}' \"$@\"\n",
        checkout.cargo().display()
    );
    fs::write(bin.join("cargo"), cargo).expect("own file");
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).expect("own file");
    let path = format!("export PATH='{}':\"$PATH\"\n{script}", bin.display());
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &path])
        .env_remove("DATABASE_URL")
        .env_remove("REDIS_BROKER")
        .current_dir(checkout.path())
        .output();
    let output = output.expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}\n{output:?}");
    assert!(said.contains("Buy milk"), "{said}");
    assert_eq!(checkout.processes(), Vec::<String>::new());
}

/// What cargo would build is there already.
fn checkout_with_programs() -> Checkout {
    let checkout = Checkout::new("exit 0");
    symlink(programs(), checkout.target().join("debug")).expect("a link");
    checkout
}

/// What a shell makes of a line.
fn shell(line: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir("/")
        .output();
    let output = output.expect("a shell");
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
