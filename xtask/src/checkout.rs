//! Where this checkout and what is built from it lie.

use std::path::PathBuf;

use anyhow::Context;

use crate::cargo;

pub(crate) struct Checkout {
    pub(crate) root: PathBuf,
    /// `target/`, or wherever `CARGO_TARGET_DIR` says.
    pub(crate) target: PathBuf,
    /// The workspace's packages by name.
    pub(crate) members: Vec<String>,
}

impl Checkout {
    /// Asks cargo, which knows of every way to configure it.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let output = cargo::plain()
            .args(["metadata", "--no-deps", "--format-version=1"])
            .output()
            .context("cargo cannot be run")?;
        anyhow::ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let path = |key: &str| {
            let value = metadata.get(key).and_then(serde_json::Value::as_str);
            value
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata has no {key}"))
        };
        let members = metadata
            .get("packages")
            .and_then(serde_json::Value::as_array);
        let name = |package: &serde_json::Value| Some(package.get("name")?.as_str()?.to_owned());
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            members: members.into_iter().flatten().filter_map(name).collect(),
        })
    }

    /// Packages of servers that were unpacked, not installed.
    pub(crate) fn packages(&self) -> PathBuf {
        self.target.join("servers")
    }

    /// Every member but this one, which has no database.
    pub(crate) fn packages_with_queries(&self) -> impl Iterator<Item = &String> {
        self.members.iter().filter(|name| *name != "xtask")
    }

    /// Stands for this checkout wherever something outside it needs a name or a number of its own.
    pub(crate) fn hash(&self) -> u64 {
        hash(self.target.as_os_str().as_encoded_bytes())
    }
}

/// FNV-1a: the same in every build, which `std`'s hasher does not promise.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
