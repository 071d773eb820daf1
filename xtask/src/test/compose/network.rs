//! Whether a company's mirror of the registry of crates reaches the build.

use std::fs;

use anyhow::{Context, ensure};

use super::project::Project;

/// It does not exist, so that the build ends once cargo has asked it.
const MIRROR: &str = "mirror.invalid";

/// Only fetches, with an empty cache, in place of the Dockerfile's build.
const CHANGES: [(&str, &str); 2] = [
    (
        "cargo build --release --locked -p taskhub-api -p taskhub-worker",
        "cargo fetch --locked",
    ),
    ("id=taskhub-registry,", "id=taskhub-trial-registry,"),
];

/// Builds with a configuration of cargo's that names the mirror.
pub(super) fn mirror_is_asked(project: &Project<'_>) -> anyhow::Result<()> {
    let path = project.folder.join("Dockerfile");
    let dockerfile = fs::read_to_string(&path)?;
    let mut fetching = dockerfile.clone();
    for (old, new) in CHANGES {
        ensure!(
            fetching.contains(old),
            "the Dockerfile has no {old:?} any more"
        );
        fetching = fetching.replace(old, new);
    }
    let configuration = format!(
        "[net]\nretry = 0\n[source.crates-io]\nreplace-with = \"mirror\"\n\
         [source.mirror]\nregistry = \"sparse+https://{MIRROR}/\"\n"
    );
    fs::write(&path, fetching)?;
    fs::write(project.folder.join("mirror.toml"), configuration)?;
    let output = project
        .command(&["--progress=plain", "build", "api"])
        .env("TASKHUB_BUILD_CARGO_CONFIG", "mirror.toml")
        .output()
        .context("docker cannot be run")?;
    fs::write(&path, dockerfile)?;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    ensure!(
        !output.status.success() && said.contains(MIRROR),
        "cargo does not ask the mirror that TASKHUB_BUILD_CARGO_CONFIG names:\n{said}"
    );
    Ok(())
}
