//! One `cargo build` of a Dockerfile, tried up to the first call of the compiler.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::stages::Tree;
use crate::{cargo, environment};

pub(super) struct Build {
    /// Of the Dockerfile.
    pub(super) line: usize,
    /// What follows `cargo`.
    pub(super) arguments: Vec<String>,
    /// Where it is called.
    pub(super) folder: String,
    pub(super) tree: Tree,
}

/// What stands in for the compiler says this.
const REACHED: &str = "this build reaches the compiler";

/// So many files are named at most.
const SHOWN: usize = 5;

impl Build {
    /// Cargo's own words, if it would not even begin to compile.
    pub(super) fn refusal(&self, root: &Path) -> anyhow::Result<Option<String>> {
        // Not below the checkout, whose manifest and configuration cargo would find there.
        let outside = tempfile::Builder::new()
            .prefix("taskhub-stage-")
            .tempdir()?;
        let folder = self.lay_out(outside.path())?;
        let output = cargo::plain()
            .args(&self.arguments)
            .args(["--offline", "--jobs=1", "--target-dir"])
            .arg(outside.path().join("target"))
            .current_dir(&folder)
            .env("RUSTC", compiler(outside.path())?)
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .output()
            .context("cargo cannot be run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains(REACHED) {
            return Ok(None);
        }
        let said = said.replace(&format!("{}/", folder.display()), "");
        let said = said.replace(&format!("{}/", root.display()), "");
        Ok(Some(format!(
            "Dockerfile:{}: cargo {}: {}",
            self.line,
            self.arguments.join(" "),
            said.trim()
        )))
    }

    /// Which files of the checkout compiling reads and this build does not have.
    pub(super) fn lack(&self, needed: &BTreeSet<String>) -> Option<String> {
        let has = |path: &String| self.tree.contains_key(&format!("{}/{path}", self.folder));
        let lacking: Vec<&str> = needed
            .iter()
            .filter(|path| !has(path))
            .map(String::as_str)
            .collect();
        let more = if lacking.len() > SHOWN { ", …" } else { "" };
        (!lacking.is_empty()).then(|| {
            format!(
                "Dockerfile:{}: COPY and .dockerignore leave out {} files that are needed to compile: {}{more}",
                self.line,
                lacking.len(),
                lacking[..lacking.len().min(SHOWN)].join(", ")
            )
        })
    }

    /// Gives the folder in which cargo is called.
    fn lay_out(&self, outside: &Path) -> anyhow::Result<PathBuf> {
        let inside = |path: &str| outside.join("tree").join(path.trim_start_matches('/'));
        for (path, file) in &self.tree {
            let copy = inside(path);
            let folder = copy.parent().context("a file lies in a folder")?;
            fs::create_dir_all(folder)?;
            fs::copy(file, &copy)
                .with_context(|| format!("{} cannot be copied", file.display()))?;
        }
        let folder = inside(&self.folder);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// Answers cargo's questions as the compiler does, and compiles nothing.
fn compiler(folder: &Path) -> anyhow::Result<PathBuf> {
    let rustc = environment::variable("RUSTC").unwrap_or_else(|| "rustc".to_owned());
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-vV*|*--print*) exec '{rustc}' \"$@\" ;; esac\necho '{REACHED}' >&2\nexit 1\n"
    );
    let file = folder.join("rustc");
    fs::write(&file, script)?;
    fs::set_permissions(&file, Permissions::from_mode(0o755))?;
    Ok(file)
}
