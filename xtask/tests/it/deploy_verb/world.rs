//! An account on the emulator whose tasks have addresses, whose load balancer looks at them, and whose API answers.

use std::{
    fs::File,
    io::Write,
    path::Path,
    process::{Child, Output, Stdio},
    sync::{Arc, Mutex},
};

use nix::pty::{OpenptyResult, openpty};
use serde_json::{Value, json};

use super::{
    between::{Between, Exchange},
    script::{Script, answer, change},
};
use crate::{
    emulator::Emulator,
    repository::Repository,
    support::{XTASK, eventually},
};

/// A secret that no output may show.
pub(crate) const SENTINEL: &str = "smtps://sentinel-user:sentinel-password@mail.example.com";

pub(crate) struct World {
    /// The checkout of every verb.
    pub(crate) repository: Repository,
    pub(crate) emulator: Emulator,
    pub(crate) between: Between,
    pub(crate) script: Arc<Script>,
    /// Everything that any run has written.
    said: Mutex<String>,
}

impl World {
    /// An account with its bootstrap stack, two images and nothing else.
    pub(crate) fn new() -> Self {
        Self::over(Emulator::start(), change)
    }

    /// The same on an emulator whose answers `change` changes.
    pub(crate) fn over(emulator: Emulator, change: fn(&Script, &mut Exchange)) -> Self {
        emulator.add_zone("staging.tasks.example.com", "Z0EXAMPLESTAGING");
        let script = Arc::new(Script::default());
        let (instead, scripted) = (script.clone(), script.clone());
        let between = Between::start(
            emulator.variable("AWS_ENDPOINT_URL"),
            move |operation, request| answer(&instead, operation, request),
            move |exchange| change(&scripted, exchange),
        );
        let world = Self {
            repository: Repository::new(),
            emulator,
            between,
            script,
            said: Mutex::default(),
        };
        // The first run builds what all others start at once.
        let bootstrap = world.shell(&format!("exec '{XTASK}' bootstrap --env staging"));
        let (code, said) = world.ended(bootstrap);
        assert_eq!(code, Some(0), "{said}");
        world
    }

    /// Pushes an image that differs from all others, and gives its digest.
    pub(crate) fn image(&self, tag: &str) -> String {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": format!("sha256:{}", "4".repeat(64)),
                "size": tag.len(),
            },
            "layers": [],
            "annotations": {"tag": tag},
        });
        let put = [
            "ecr",
            "put-image",
            "--repository-name",
            "taskhub",
            "--image-tag",
            tag,
        ];
        let manifest = ["--image-manifest", &manifest.to_string()];
        let made = self.emulator.aws(&[&put[..], &manifest].concat());
        made["image"]["imageId"]["imageDigest"]
            .as_str()
            .expect("a digest")
            .to_owned()
    }

    /// `xtask` with programs that are found before all others.
    pub(crate) fn run_beside(&self, programs: &Path, words: &str) -> (Option<i32>, String) {
        let path = format!("export PATH='{}':\"$PATH\"; ", programs.display());
        self.ended(self.shell(&(path + &self.program(words))))
    }

    /// A script whose AWS is between.
    pub(crate) fn shell(&self, script: &str) -> Child {
        self.begin(script, Stdio::piped())
    }

    fn begin(&self, script: &str, stdin: Stdio) -> Child {
        let mut command = self.emulator.shell(script);
        command
            .env("AWS_ENDPOINT_URL", &self.between.url)
            .env_remove("CI")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("a shell")
    }

    /// The exit code and everything that was written.
    pub(crate) fn run(&self, words: &str) -> (Option<i32>, String) {
        self.run_with(words, "")
    }

    pub(crate) fn run_with(&self, words: &str, input: &str) -> (Option<i32>, String) {
        let mut child = self.start(words);
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        self.ended(child)
    }

    /// As somebody types it at a terminal.
    pub(crate) fn run_typing(&self, words: &str, typed: &str) -> (Option<i32>, String) {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        let child = self.begin(&self.program(words), slave.into());
        let mut keyboard = File::from(master);
        writeln!(keyboard, "{typed}").expect("a terminal");
        self.ended(child)
    }

    pub(crate) fn start(&self, words: &str) -> Child {
        self.shell(&self.program(words))
    }

    /// Waits until an operation was asked for once more than before.
    pub(crate) fn until_asked(&self, operation: &str, before: usize) {
        eventually(operation, || self.between.count(operation) > before);
    }

    pub(crate) fn ended(&self, child: Child) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        self.said.lock().expect("no panic").push_str(&text);
        (status.code(), text)
    }

    /// A release, asked where `between` answers for the API.
    pub(crate) fn deploy(&self, image: &str, more: &str) -> (Option<i32>, String) {
        self.run(&self.deployment(image, more))
    }

    pub(crate) fn deployment(&self, image: &str, more: &str) -> String {
        let url = &self.between.url;
        format!("deploy --env staging --image {image} --url {url} --lock-wait 0 {more}")
    }

    /// The one object on standard output.
    pub(crate) fn json(&self, words: &str) -> Value {
        let (_, text) = self.run(&format!("{words} --json"));
        let line = text.lines().find(|line| line.starts_with('{'));
        serde_json::from_str(line.expect("an object")).expect("JSON")
    }

    /// The image that a service is to run.
    pub(crate) fn image_of(&self, service: &str) -> String {
        let name = ["--cluster", "taskhub-staging", "--services", service];
        let found = self
            .emulator
            .aws(&[&["ecs", "describe-services"], &name[..]].concat());
        let definition = found["services"][0]["taskDefinition"]
            .as_str()
            .expect("an ARN");
        let describe = [
            "ecs",
            "describe-task-definition",
            "--task-definition",
            definition,
        ];
        let found = self.emulator.aws(&describe);
        let image = &found["taskDefinition"]["containerDefinitions"][0]["image"];
        let image = image.as_str().expect("an image");
        image.rsplit('@').next().expect("a digest").to_owned()
    }

    pub(crate) fn lock_is_free(&self) {
        assert_eq!(
            self.json("lock status --env staging")["holder"],
            Value::Null
        );
    }

    /// Whether any output has shown this.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.said.lock().expect("no panic").contains(text)
    }

    /// # Panics
    /// Where any output has shown the sentinel or a part of it.
    pub(crate) fn nothing_secret_was_said(&self) {
        let said = self.said.lock().expect("no panic");
        assert!(said.len() > 1000);
        assert!(!said.contains("sentinel"));
    }

    /// A line that becomes `xtask` with these words; the first run has built it.
    fn program(&self, words: &str) -> String {
        let program = Path::new(XTASK).with_file_name("xtask-aws");
        format!("{} {words}", self.repository.here(&program))
    }
}
