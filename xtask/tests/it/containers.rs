//! Releases from the compiler to the user on the emulator: the image is built and pushed, a task migrates a real
//! database, services roll as containers, and one that does not start is taken back.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    deploy_verb::{first_release, says, world::World},
    emulator::Emulator,
    image_verb::{Fixture, told},
    support::{XTASK, root},
};

/// What only the run of tests knows.
#[expect(
    clippy::disallowed_methods,
    reason = "what tests are given is no setting"
)]
fn given(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn server(name: &str) -> String {
    given(name).expect("cargo xtask test sets it")
}

fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output();
    let output = output.expect("podman is installed");
    assert!(output.status.success(), "{arguments:?}: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The release programs, as `image build` compiles them for every image; `TASKHUB_TEST_PROGRAMS` may name a folder
/// that has them.
fn programs() -> PathBuf {
    if let Some(folder) = given("TASKHUB_TEST_PROGRAMS") {
        return folder.into();
    }
    let output = tempfile::tempdir().expect("a folder");
    let built = Command::new(XTASK)
        .args(["image", "build", "--engine=none", "--output"])
        .arg(output.path())
        .current_dir(root())
        .status();
    assert!(built.expect("xtask starts").success());
    let target = Path::new(XTASK).ancestors().nth(2).expect("target/");
    target.join("image/cargo/release")
}

/// What is built and pushed is one image for each commit.
struct Images<'a> {
    fixture: Fixture,
    world: &'a World,
}

impl Images<'_> {
    /// From these programs; gives the digest.
    fn push(&self, api: &Path, worker: &Path) -> String {
        let programs = self.fixture.path().join("programs");
        fs::copy(api, programs.join("taskhub-api")).expect("own folder");
        fs::copy(worker, programs.join("taskhub-worker")).expect("own folder");
        let built = self.fixture.built();
        let endpoint = self.world.emulator.variable("AWS_ENDPOINT_URL");
        let registry = endpoint.trim_start_matches("http://");
        let output: Output = self
            .fixture
            .command("push")
            .args(["--from=image", "--to", &format!("{registry}/taskhub")])
            .output()
            .expect("xtask starts");
        assert!(output.status.success(), "{}", told(&output));
        built["digest"].as_str().expect("a digest").to_owned()
    }
}

/// A user of the API, behind the load balancer.
struct User<'a> {
    world: &'a World,
    token: String,
}

impl<'a> User<'a> {
    fn register(world: &'a World) -> Self {
        let mut user = Self {
            world,
            token: String::new(),
        };
        let account = json!({
            "username": "grace", "email": "grace@example.com", "password": "correct horse battery staple",
        });
        user.post("/v1/auth/register", &account);
        let login = json!({"username": "grace", "password": "correct horse battery staple"});
        let session = user.post("/v1/auth/login", &login);
        user.token = session["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        user
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.world.between.url);
        let mut request = ureq::post(&url);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let mut answer = request.send_json(body).expect(path);
        answer.body_mut().read_json().expect("JSON")
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.world.between.url);
        let bearer = format!("Bearer {}", self.token);
        let mut answer = ureq::get(&url)
            .header("authorization", bearer)
            .call()
            .expect(path);
        answer.body_mut().read_json().expect("JSON")
    }
}

#[test]
#[ignore = "it compiles the release programs and runs containers: see docs/deployment.md"]
fn releases_run_as_containers_and_one_that_does_not_start_is_taken_back() {
    let Some(fixture) = Fixture::new() else {
        return;
    };
    let variables = [
        "APP_ENV=development".to_owned(),
        format!("DATABASE_URL={}", server("TEST_DATABASE_URL")),
        format!("REDIS_BROKER={}", server("TEST_REDIS_BROKER")),
    ];
    let mut options = vec!["--containers"];
    for variable in &variables {
        options.extend(["--task-variable", variable]);
    }
    let world = World::over(Emulator::start_with(&options), |_, _| ());
    let images = Images {
        fixture,
        world: &world,
    };
    let programs = programs();
    let [api, worker] = ["taskhub-api", "taskhub-worker"].map(|name| programs.join(name));

    let first = images.push(&api, &worker);
    first_release(&world, &first);
    let user = User::register(&world);
    let me = user.get("/v1/me");
    assert_eq!(me["username"], "grace");
    containers_are_as_their_definitions_say(&world);

    images.fixture.commit_something();
    let second = images.push(&api, &worker);
    let (code, said) = world.deploy(&second, "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), second);
    assert_eq!(user.get("/v1/me"), me);

    // It migrates, and ends at once where it should serve.
    images.fixture.commit_something();
    let third = images.push(Path::new("/bin/true"), &worker);
    let (code, said) = world.deploy(&third, "");
    assert_eq!(code, Some(7), "{said}");
    says(&said, "the former release is proven to run");
    assert_eq!(world.image_of("api"), second);
    assert_eq!(user.get("/v1/me"), me);
    world.nothing_secret_was_said();

    let ours = ours(&world);
    drop(world);
    assert_eq!(podman(&["ps", "--all", "--quiet", &ours]), "");
}

fn ours(world: &World) -> String {
    let endpoint = world.emulator.variable("AWS_ENDPOINT_URL");
    let port = endpoint.rsplit(':').next().expect("a port");
    format!("--filter=label=taskhub.emulator={port}")
}

fn containers_are_as_their_definitions_say(world: &World) {
    let running = podman(&["ps", "--quiet", &ours(world)]);
    let running: Vec<&str> = running.split_whitespace().collect();
    assert_eq!(running.len(), 2, "one task of each service");
    for container in running {
        let format = "--format={{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.EffectiveCaps}}";
        assert_eq!(
            podman(&["inspect", format, container]).trim(),
            "true 65532:65532 []"
        );
    }
}
