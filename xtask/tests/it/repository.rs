//! Git repositories for tests. None of them relies on that of the checkout, which may be an archive without one.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{folder, root};

/// Git in a folder, whatever the user's own settings are and whoever's hook runs the tests.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(folder);
    command
}

/// What Git says in a folder.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = command(folder).args(arguments).output();
    let output = output.expect("git runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

/// Makes a folder the work tree of a repository with one commit of all that is in it.
pub(crate) fn commit_all(folder: &Path) {
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message=all"]);
}

/// Copies what is in the checkout under these names.
pub(crate) fn copy(names: &[&str], folder: &Path) {
    let status = Command::new("cp")
        .arg("-R")
        .args(names.iter().map(|name| root().join(name)))
        .arg(folder)
        .status();
    assert!(status.expect("cp runs").success());
}

/// A checkout with what a deployment reads, all of it committed.
pub(crate) struct Repository(TempDir);

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self(folder());
        copy(&["infra", "migrations", "docs"], repository.path());
        commit_all(repository.path());
        repository.write_cargo();
        repository
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The hash of its commit.
    pub(crate) fn head(&self) -> String {
        git(self.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Of staging's file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let file = self.path().join("infra/environments/staging.toml");
        let text = fs::read_to_string(&file).expect("the file");
        assert!(text.contains(from), "{from}");
        fs::write(file, text.replace(from, to)).expect("own file");
    }

    fn cargo(&self) -> PathBuf {
        self.path().join(".git/cargo")
    }

    /// What tells `xtask` that this is its checkout.
    fn write_cargo(&self) {
        let root = self.path().display();
        let script = format!(
            "#!/bin/sh\necho '{{\"workspace_root\": \"{root}\", \"target_directory\": \"{root}/.git/target\", \"packages\": []}}'\n"
        );
        fs::write(self.cargo(), script).expect("own folder");
        fs::set_permissions(self.cargo(), fs::Permissions::from_mode(0o755)).expect("own file");
    }

    /// The beginning of a shell's line that runs a program of `xtask`'s here.
    pub(crate) fn here(&self, program: &Path) -> String {
        let (cargo, program) = (self.cargo(), program.display());
        format!("CARGO='{}' exec '{program}'", cargo.display())
    }
}
