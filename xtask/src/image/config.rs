//! What an image says of itself: whom its programs run as, where they listen, how they are asked for their health.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use oci_spec::image::ImageConfiguration;
use serde_json::{Map, Value, json};

use super::{architecture::Architecture, commit::Commit, tree::Layer};
use crate::contract::{PROBE, Task, USER};

/// Where the programs' files lie, and where they start.
pub(super) const HOME: &str = "/var/lib/taskhub";

/// Bytes of the configuration, in which nothing depends on when or where it is made.
pub(super) fn config(
    commit: &Commit,
    source: &str,
    architecture: Architecture,
    layers: &[Layer],
) -> anyhow::Result<Vec<u8>> {
    let digests: Vec<String> = layers
        .iter()
        .map(|layer| format!("sha256:{}", layer.diff_id))
        .collect();
    let history: Vec<Value> = layers
        .iter()
        .map(|layer| json!({"created": commit.created, "created_by": format!("cargo xtask image build: {}", layer.name)}))
        .collect();
    let config = json!({
        "architecture": architecture.as_str(),
        "os": "linux",
        "created": commit.created,
        "config": running(&labels(commit, source)),
        "rootfs": {"type": "layers", "diff_ids": digests},
        "history": history,
    });
    let bytes = serde_json::to_vec(&config)?;
    ImageConfiguration::from_reader(bytes.as_slice())
        .context("a configuration as OCI defines it")?;
    Ok(bytes)
}

/// As the Dockerfile's last stage says it.
fn running(labels: &BTreeMap<String, String>) -> Value {
    let ports: BTreeSet<u16> = Task::ALL
        .iter()
        .flat_map(|task| task.ports())
        .map(|(_, port)| port)
        .collect();
    let ports: Map<String, Value> = ports
        .iter()
        .map(|port| (format!("{port}/tcp"), json!({})))
        .collect();
    let health = Task::Api.health_command().unwrap_or_default();
    let test: Vec<&str> = ["CMD"].iter().chain(health).copied().collect();
    json!({
        "User": USER,
        "ExposedPorts": ports,
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": Task::Api.command(),
        "WorkingDir": HOME,
        "StopSignal": "SIGTERM",
        "Labels": labels,
        // OCI reserves the word for Docker, which counts in nanoseconds.
        "Healthcheck": {
            "Test": test,
            "Interval": nanoseconds(PROBE.interval),
            "Timeout": nanoseconds(PROBE.timeout),
            "StartPeriod": nanoseconds(PROBE.start_period),
            "Retries": PROBE.retries,
        },
    })
}

fn nanoseconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1_000_000_000
}

/// `source` is where the sources can be had, or empty.
fn labels(commit: &Commit, source: &str) -> BTreeMap<String, String> {
    [
        ("title", "TaskHub"),
        ("description", "Task-management API and its worker"),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", &commit.revision),
        ("created", &commit.created),
        ("source", source),
    ]
    .into_iter()
    .map(|(name, value)| (format!("org.opencontainers.image.{name}"), value.to_owned()))
    .collect()
}

#[cfg(test)]
mod tests;
