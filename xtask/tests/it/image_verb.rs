//! `xtask image` as a process: packages of Debian's archive, a real registry, and programs that stand for ours.
//!
//! The image is made from Debian 12's packages, which only Debian 12 can fetch. Elsewhere these tests say so and
//! do nothing; what needs no package is tested beside the code.

pub(crate) mod registry;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use self::registry::{PASSWORD, Registry, USER};
use crate::{
    repository,
    support::{Checkout, XTASK, root},
};

/// What an image is made of beside the programs.
const SOURCES: [&str; 3] = ["Cargo.lock", "infra/rds-ca.pem", "xtask/image.lock.txt"];

/// When the commits were made.
const FIRST: &str = "2024-01-02T03:04:05Z";
const SECOND: &str = "2024-01-03T03:04:05Z";

/// A checkout with one commit, and two programs.
pub(crate) struct Fixture {
    checkout: Checkout,
}

impl Fixture {
    /// Nothing where Debian's packages cannot be had.
    pub(crate) fn new() -> Option<Self> {
        if !is_debian_12() {
            say_that_nothing_is_tested();
            return None;
        }
        let cargo = env!("CARGO");
        let checkout = Checkout::new(&format!(
            "cd '{}' && exec '{cargo}' \"$@\"",
            root().display()
        ));
        let fixture = Self { checkout };
        symlink(shared_packages(), fixture.path().join("target/image")).expect("a link");
        for file in SOURCES {
            let copy = fixture.path().join(file);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("own folder");
            fs::copy(root().join(file), copy).expect("a file");
        }
        for program in ["taskhub-api", "taskhub-worker"] {
            let copy = fixture.path().join("programs").join(program);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("own folder");
            fs::copy("/bin/true", copy).expect("a program");
        }
        let ignored = "/cargo\n/target\n/environment\n/draft\n/programs\n/image\n";
        fs::write(fixture.path().join(".gitignore"), ignored).expect("own file");
        fixture.git(FIRST, &["init", "--quiet"]);
        fixture.commit(FIRST);
        Some(fixture)
    }

    pub(crate) fn path(&self) -> &Path {
        self.checkout.path()
    }

    fn git(&self, time: &str, arguments: &[&str]) {
        let status = repository::command(self.path())
            .args(arguments)
            .env("GIT_COMMITTER_DATE", time)
            .env("GIT_AUTHOR_DATE", time)
            .status();
        assert!(status.expect("git runs").success(), "git {arguments:?}");
    }

    fn commit(&self, time: &str) {
        self.git(time, &["add", "--all"]);
        self.git(time, &["commit", "--quiet", "--no-gpg-sign", "-m", time]);
    }

    pub(crate) fn commit_something(&self) {
        let note = self.path().join("note");
        let former = fs::read_to_string(&note).unwrap_or_default();
        fs::write(note, former + "something\n").expect("own file");
        self.commit(SECOND);
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(XTASK);
        command
            .args(["image", verb, "--json"])
            .env("CARGO", self.checkout.cargo())
            .env_remove("TASKHUB_REGISTRY_AUTH")
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    fn build(&self) -> Output {
        let mut command = self.command("build");
        command.args(["--engine=none", "--binaries=programs", "--output=image"]);
        command.output().expect("xtask starts")
    }

    /// The answer of a build that works.
    pub(crate) fn built(&self) -> Value {
        let output = self.build();
        assert!(output.status.success(), "{}", told(&output));
        serde_json::from_slice(&output.stdout).expect("one JSON object")
    }

    fn push(&self, registry: &Registry) -> Output {
        let mut command = self.command("push");
        command
            .args(["--from=image", "--to", &registry.repository("taskhub")])
            .env("TASKHUB_REGISTRY_AUTH", format!("{USER}:{PASSWORD}"));
        command.output().expect("xtask starts")
    }
}

fn is_debian_12() -> bool {
    fs::read_to_string("/etc/os-release")
        .is_ok_and(|text| text.contains("VERSION_CODENAME=bookworm"))
}

#[expect(
    clippy::print_stderr,
    reason = "a test that does nothing must not be silent about it"
)]
fn say_that_nothing_is_tested() {
    eprintln!("this is not Debian 12: nothing is tested");
}

/// Of every run, for Debian's archive need not be asked again.
fn shared_packages() -> PathBuf {
    let binaries = Path::new(XTASK).parent().expect("a folder");
    let folder = binaries.parent().expect("target/").join("image");
    fs::create_dir_all(&folder).expect("a folder in target/");
    folder
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_same_commit_gives_the_same_image_in_another_place() {
    let (Some(one), Some(other)) = (Fixture::new(), Fixture::new()) else {
        return;
    };
    let (first, second) = (one.built(), other.built());
    assert_eq!(first["digest"], second["digest"]);
    assert_eq!(first["dirty"], false);
    let sbom = |fixture: &Fixture| fs::read(fixture.path().join("image/sbom.cdx.json"));
    let (ours, theirs) = (sbom(&one).expect("a file"), sbom(&other).expect("a file"));
    assert!(ours == theirs, "the lists of what is in it differ");
    assert!(
        !String::from_utf8_lossy(&ours).contains(root().to_str().expect("text")),
        "the list tells where it was made"
    );

    one.commit_something();
    let third = one.built();
    assert_ne!(
        first["digest"], third["digest"],
        "another commit is another image"
    );
    let base = |answer: &Value| answer["layers"][0]["digest"].clone();
    assert_eq!(
        base(&first),
        base(&third),
        "no commit changes what lies below the programs"
    );
}

#[test]
fn everything_in_the_image_is_listed() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    fixture.built();
    let list = fs::read(fixture.path().join("image/sbom.cdx.json")).expect("a file");
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    assert_eq!(list["bomFormat"], "CycloneDX");
    let components = list["components"].as_array().expect("components");
    for name in [
        "libc6",
        "ca-certificates",
        "taskhub-api",
        "taskhub-worker",
        "poem",
        "sqlx-core",
        "tokio",
        "ring",
    ] {
        let found = components
            .iter()
            .filter(|component| component["name"] == name);
        assert!(found.count() > 0, "{name} is not listed");
    }
    for name in ["clap_derive", "xtask", "oci-client", "cc", "proptest"] {
        let found = components
            .iter()
            .find(|component| component["name"] == name);
        assert!(found.is_none(), "{name} is listed and not in the programs");
    }
    for component in components
        .iter()
        .filter(|component| component["purl"].is_string())
    {
        let licence = &component["licenses"][0]["expression"];
        assert!(
            licence.as_str().is_some_and(|text| !text.is_empty()),
            "{component}"
        );
        let is_ours = component["name"] == "taskhub";
        assert!(
            is_ours || component["hashes"][0]["content"].is_string(),
            "{component}"
        );
    }
    let known: Vec<&Value> = components
        .iter()
        .chain([&list["metadata"]["component"]])
        .map(|component| &component["bom-ref"])
        .collect();
    for edge in list["dependencies"].as_array().expect("dependencies") {
        let to = edge["dependsOn"].as_array().expect("a list");
        for reference in to.iter().chain([&edge["ref"]]) {
            assert!(known.contains(&reference), "nobody knows {reference}");
        }
    }
}

#[test]
fn the_registry_gets_what_it_lacks_and_one_image_for_a_commit() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let registry = Registry::start();
    let built = fixture.built();
    let digest = built["digest"].as_str().expect("a digest");
    let tag = built["revision"].as_str().expect("a commit").to_owned();

    let output = fixture.push(&registry);
    assert!(output.status.success(), "{}", told(&output));
    let pushed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let repository = registry.repository("taskhub");
    assert_eq!(pushed["image"], format!("{repository}@{digest}"));
    assert_eq!(pushed["tag"], tag);
    assert_eq!(pushed["present_bytes"], 0);
    assert_eq!(registry.digest("taskhub", &tag).as_deref(), Some(digest));

    let again = fixture.push(&registry);
    let pushed: Value = serde_json::from_slice(&again.stdout).expect("one JSON object");
    assert_eq!(pushed["sent_bytes"], 0);

    // The next commit shares all but the programs' layer.
    fixture.commit_something();
    let next = fixture.built();
    let output = fixture.push(&registry);
    let pushed: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let shared = next["layers"][0]["bytes"].as_u64().expect("bytes")
        + next["layers"][1]["bytes"].as_u64().expect("bytes");
    assert_eq!(pushed["present_bytes"], shared);

    // Other programs, said to be of the same commit.
    let tag = next["revision"].as_str().expect("a commit");
    fs::copy("/bin/false", fixture.path().join("programs/taskhub-api")).expect("a program");
    fixture.built();
    let output = fixture.push(&registry);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("a commit has one image"),
        "{}",
        told(&output)
    );
    assert_eq!(
        registry.digest("taskhub", tag).as_deref(),
        next["digest"].as_str()
    );
}

#[test]
fn a_registry_that_refuses_is_told_apart_from_one_that_is_not_there() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let registry = Registry::start();
    fixture.built();
    let mut stranger = fixture.command("push");
    stranger.args(["--from=image", "--to", &registry.repository("taskhub")]);
    let wrong = "a wrong password";
    let refused = stranger
        .env("TASKHUB_REGISTRY_AUTH", format!("{USER}:{wrong}"))
        .output()
        .expect("xtask starts");
    assert_eq!(refused.status.code(), Some(9), "{}", told(&refused));
    assert!(
        told(&refused).contains("TASKHUB_REGISTRY_AUTH"),
        "{}",
        told(&refused)
    );
    assert!(!told(&refused).contains(wrong), "{}", told(&refused));
    let unknown = stranger.env_remove("TASKHUB_REGISTRY_AUTH").output();
    let unknown = unknown.expect("xtask starts");
    assert_eq!(unknown.status.code(), Some(9), "{}", told(&unknown));

    drop(registry);
    let gone = stranger.output().expect("xtask starts");
    assert_eq!(gone.status.code(), Some(1), "{}", told(&gone));
    assert_eq!(
        told(&gone).matches("again in").count(),
        4,
        "{}",
        told(&gone)
    );
}

#[test]
fn files_that_are_in_no_commit_mark_the_image_and_are_not_pushed() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    fs::write(fixture.path().join("note"), "something").expect("own file");
    let built = fixture.built();
    assert_eq!(built["dirty"], true);
    let revision = built["revision"].as_str().expect("a commit");
    assert!(revision.ends_with("-dirty"), "{revision}");
    let mut push = fixture.command("push");
    let output = push
        .args(["--from=image", "--to=127.0.0.1:1/taskhub"])
        .output();
    let output = output.expect("xtask starts");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
}

#[test]
fn a_program_that_tells_of_this_machine_is_refused() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let program = fixture.path().join("programs/taskhub-worker");
    let mut bytes = fs::read(&program).expect("a program");
    bytes.extend_from_slice(format!("{}/src/main.rs", fixture.path().display()).as_bytes());
    fs::write(&program, bytes).expect("own file");
    let output = fixture.build();
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(
        told(&output).contains("taskhub-worker holds the path"),
        "{}",
        told(&output)
    );
    assert!(!fixture.path().join("image/oci").exists());
}

#[test]
fn a_package_that_the_archive_has_no_more_names_the_way_out() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let path = fixture.path().join("xtask/image.lock.txt");
    let lock = fs::read_to_string(&path).expect("a file");
    let mut changed = String::new();
    for line in lock.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [architecture, "libc6", _, _] => {
                changed += &format!(
                    "{architecture} libc6 2.36-9+deb12u1 sha256:{}\n",
                    "0".repeat(64)
                );
            }
            _ => changed += &format!("{line}\n"),
        }
    }
    fs::write(&path, changed).expect("own file");
    let output = fixture.build();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(
        told(&output).contains("cargo xtask image lock"),
        "{}",
        told(&output)
    );
    assert!(
        told(&output).contains("'libc6' was not found"),
        "{}",
        told(&output)
    );
}
