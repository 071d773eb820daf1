//! `cargo xtask test --compose`: `docker compose up --build` for real, as the README says it, up to the user's data
//! after everything was killed, taken down and brought up again.

mod containers;
mod engine;
mod network;
mod project;
mod user;

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use self::{engine::Engine, project::Project, user::User};
use crate::{
    checkout::Checkout,
    dockerfile, image,
    progress::{self, Step},
    run_folder::RunFolder,
    signals::Signals,
};

/// Where docker-compose.yml publishes the API.
const PORT: u16 = 8000;

/// The services that stay up.
const SERVICES: [&str; 4] = ["postgres", "redis", "api", "worker"];

/// How long the services may take to be healthy, or one of them to come back.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(250);

const TASK: &str = "Buy milk";

pub(super) fn run(checkout: &Checkout, signals: &Signals) -> anyhow::Result<ExitCode> {
    let folder = RunFolder::create(checkout, "compose")?;
    let engine = match Engine::find_or_start(checkout, &folder.path, signals)? {
        Ok(engine) => engine,
        Err(reason) => {
            progress::say(format_args!("skipped: {reason}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    ensure!(
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_ok(),
        "port {PORT} is taken: stop what listens there, perhaps with `docker compose down`"
    );
    // A path as people have them.
    let copy = folder.path.join("Aufgaben täglich");
    copy_tree(&checkout.root, &copy)?;
    let project = Project::new(&engine, checkout, copy)?;
    Trial {
        project: &project,
        log: &folder.path,
        newcomers: 0,
    }
    .run(signals)?;
    drop(project);
    progress::say("everything is taken down again");
    Ok(ExitCode::SUCCESS)
}

/// Without what Git ignores.
fn copy_tree(root: &Path, to: &Path) -> anyhow::Result<()> {
    let ignored = fs::read_to_string(root.join(".gitignore")).context(".gitignore")?;
    for (path, file) in dockerfile::files(root, &format!("{ignored}\n.git\n"))? {
        let copy = to.join(path);
        fs::create_dir_all(copy.parent().context("a file lies in a folder")?)?;
        fs::copy(&file, &copy).with_context(|| format!("{} cannot be copied", file.display()))?;
    }
    Ok(())
}

struct Trial<'a> {
    project: &'a Project<'a>,
    /// The folder for what the services say.
    log: &'a Path,
    newcomers: u32,
}

impl Trial<'_> {
    fn run(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let step = Step::start();
        network::mirror_is_asked(self.project)?;
        step.done("the build asks the mirror of the registry of crates that the shell names");
        let step = Step::start();
        self.project.build(signals)?;
        step.done("image built");
        self.image_is_small()?;

        let first = self.log.join("first.log");
        let step = Step::start();
        let up = self.project.up(&first, signals)?;
        step.done("docker compose up --build: all services are healthy");
        self.project.is_caged()?;
        self.project.is_of_its_commit()?;

        let step = Step::start();
        let mut ada = User::register("ada")?;
        ada.create_task(TASK)?;
        step.done("a user registered, signed in and created a task");
        let step = Step::start();
        let subject = self.letter_to(&ada, signals)?;
        step.done(format_args!(
            "the user's letter lies in the volume: {subject}"
        ));

        for service in SERVICES {
            let step = Step::start();
            self.project.kill(service, signals)?;
            self.works_for(&mut ada, signals)
                .with_context(|| format!("after kill -9 of {service}"))?;
            step.done(format_args!(
                "kill -9 of {service}: it came back, nothing is lost"
            ));
        }

        let step = Step::start();
        self.project.interrupt(up, signals)?;
        step.done("Ctrl-C: every service ended with code 0");

        let step = Step::start();
        self.project.down(signals)?;
        let second = self.log.join("second.log");
        let up = self.project.up(&second, signals)?;
        self.works_for(&mut ada, signals)
            .context("after docker compose down and up")?;
        step.done("docker compose down and up: the task is still there");
        self.project.interrupt(up, signals)
    }

    fn image_is_small(&self) -> anyhow::Result<()> {
        let (bytes, layers) = self.project.image_size()?;
        for line in layers {
            progress::say(format_args!("            {line}"));
        }
        let size = image::megabytes(bytes);
        let largest = image::megabytes(image::LARGEST);
        ensure!(
            bytes <= image::LARGEST,
            "the image has {size}, more than {largest}"
        );
        progress::say(format_args!("            {size} in all"));
        Ok(())
    }

    /// The first user sees the task, and a new one can register and gets a letter.
    fn works_for(&mut self, user: &mut User, signals: &Signals) -> anyhow::Result<()> {
        ensure!(
            user.tasks()?.iter().any(|title| title == TASK),
            "the task is gone"
        );
        self.newcomers += 1;
        let newcomer = User::register(&format!("newcomer-{}", self.newcomers))?;
        self.letter_to(&newcomer, signals)?;
        Ok(())
    }

    /// Gives its subject.
    fn letter_to(&self, user: &User, signals: &Signals) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for letter in self.project.letters()? {
                if letter.contains(&user.email()) {
                    let subject = letter.lines().find(|line| line.starts_with("Subject:"));
                    return Ok(subject.unwrap_or("no subject").to_owned());
                }
            }
            ensure!(
                Instant::now() < deadline,
                "the worker writes no letter to {}",
                user.email()
            );
            signals.wait(INTERVAL)?;
        }
    }
}
