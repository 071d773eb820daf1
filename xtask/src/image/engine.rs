//! Container engines, which build the Dockerfile.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

use clap::ValueEnum;

use super::{commit::Commit, tools, tools::text};
use crate::{checkout::Checkout, environment, progress::Step, signals::Signals};

/// What builds the image.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Choice {
    /// The first of the engines that runs, else none
    Auto,
    /// The programs of this machine over packages of Debian 12
    None,
    Docker,
    Podman,
    Buildah,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Engine {
    Docker,
    Podman,
    Buildah,
}

impl Choice {
    pub(super) fn engine(self) -> Option<Engine> {
        match self {
            Self::None => None,
            Self::Docker => Some(Engine::Docker),
            Self::Podman => Some(Engine::Podman),
            Self::Buildah => Some(Engine::Buildah),
            Self::Auto => Engine::ALL.into_iter().find(|engine| engine.runs()),
        }
    }
}

impl Engine {
    const ALL: [Self; 3] = [Self::Docker, Self::Podman, Self::Buildah];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// Whether it answers, and not only its command line.
    fn runs(self) -> bool {
        environment::on_path(self.name()).is_some_and(|path| {
            let mut command = Command::new(path);
            command.arg("info").stdin(Stdio::null());
            command.output().is_ok_and(|output| output.status.success())
        })
    }

    /// Builds the Dockerfile and writes the image into an empty folder, as an OCI layout.
    pub(super) fn build(
        self,
        checkout: &Checkout,
        commit: &Commit,
        source: &str,
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<()> {
        let step = Step::start();
        let image = format!("localhost/taskhub:{}", commit.revision);
        let mut command = self.command()?;
        command.current_dir(&checkout.root).args(self.build_line(
            &image,
            commit,
            source,
            network(),
        ));
        tools::shown(self.name(), command, signals)?;
        step.done(format_args!("{} built the Dockerfile", self.name()));
        let mut command = self.command()?;
        match self {
            Self::Podman | Self::Buildah => {
                command.args([
                    "push",
                    &image,
                    &format!("oci:{}:{}", text(folder)?, commit.revision),
                ]);
                tools::output(self.name(), command, signals)?;
            }
            Self::Docker => {
                let archive = folder.with_extension("tar");
                command.args(["save", "--output", text(&archive)?, &image]);
                tools::output(self.name(), command, signals)?;
                tar::Archive::new(File::open(&archive)?).unpack(folder)?;
                fs::remove_file(archive)?;
                let layout = folder.join("index.json");
                anyhow::ensure!(
                    layout.exists(),
                    "Docker 25 or later is needed to save an OCI layout"
                );
            }
        }
        Ok(())
    }

    fn command(self) -> anyhow::Result<Command> {
        tools::command(self.name(), "it was asked for")
    }

    fn build_line(
        self,
        image: &str,
        commit: &Commit,
        source: &str,
        network: Vec<String>,
    ) -> Vec<String> {
        let mut line = vec!["build".to_owned(), format!("--tag={image}")];
        for (name, value) in [
            ("TASKHUB_COMMIT", commit.revision.as_str()),
            ("TASKHUB_VERSION", env!("CARGO_PKG_VERSION")),
            ("TASKHUB_CREATED", commit.created.as_str()),
            ("TASKHUB_SOURCE", source),
        ] {
            line.push(format!("--build-arg={name}={value}"));
        }
        match self {
            // BuildKit sets the image's times to this one.
            Self::Docker => line.push(format!("--build-arg=SOURCE_DATE_EPOCH={}", commit.seconds)),
            Self::Podman | Self::Buildah => line.push(format!("--timestamp={}", commit.seconds)),
        }
        line.extend(network);
        line.push(".".to_owned());
        line
    }
}

/// What a company's network needs during the build, from the environment: files are secrets of the Dockerfile.
fn network() -> Vec<String> {
    const FILES: [(&str, &str); 2] = [
        ("build_ca", "TASKHUB_BUILD_CA"),
        ("cargo_config", "TASKHUB_BUILD_CARGO_CONFIG"),
    ];
    const ARGUMENTS: [&str; 4] = ["RUST_IMAGE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
    let files = FILES.into_iter().filter_map(|(secret, name)| {
        let file = environment::variable(name)?;
        Some(format!("--secret=id={secret},src={file}"))
    });
    // Engines read the values themselves, so that no proxy's password stands in a list of processes.
    let arguments = ARGUMENTS
        .into_iter()
        .filter(|name| environment::variable(name).is_some())
        .map(|name| format!("--build-arg={name}"));
    files.chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_told_commit_and_time() {
        let commit = Commit {
            revision: "abc".to_owned(),
            seconds: 7,
            created: "1970-01-01T00:00:07Z".to_owned(),
            changed: Vec::new(),
        };
        let network = vec!["--secret=id=build_ca,src=/etc/company.pem".to_owned()];
        let line =
            Engine::Podman.build_line("taskhub:abc", &commit, "https://example.org", network);
        assert!(line.contains(&"--secret=id=build_ca,src=/etc/company.pem".to_owned()));
        assert!(line.contains(&"--build-arg=TASKHUB_COMMIT=abc".to_owned()));
        assert!(line.contains(&"--timestamp=7".to_owned()));
        let line = Engine::Docker.build_line("taskhub:abc", &commit, "", Vec::new());
        assert!(line.contains(&"--build-arg=SOURCE_DATE_EPOCH=7".to_owned()));
    }
}
