//! Which files of the checkout compiling the two programs reads: sources, and what macros include. The compiler
//! writes them down for cargo.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use url::Url;

use crate::checkout::Checkout;

/// What macros read without telling the compiler: the answers that queries are checked against.
const UNTOLD: &str = ".sqlx";

/// The folders of the members that get into the image.
const MEMBERS: [&str; 3] = ["taskhub", "api", "worker"];

/// What checks read, and compilers do not.
const CHECKS: &str = "clippy.toml";

/// Paths relative to the checkout. `clippy` compiles or has compiled everything, and answers in JSON.
pub(super) fn files(checkout: &Checkout, mut clippy: Command) -> anyhow::Result<BTreeSet<String>> {
    let output = clippy.output().context("cargo cannot be run")?;
    ensure!(
        output.status.success(),
        "cargo clippy: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let root = &checkout.root;
    let mut files = BTreeSet::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Message = serde_json::from_str(line)?;
        if MEMBERS.iter().any(|member| message.is_of(root, member)) {
            files.extend(message.files(root)?);
        }
    }
    // Build scripts make these.
    files.retain(|file| !root.join(file).starts_with(&checkout.target));
    ensure!(!files.is_empty(), "cargo names no file that it compiles");
    for entry in fs::read_dir(root.join(UNTOLD))? {
        files.insert(format!("{UNTOLD}/{}", entry?.file_name().to_string_lossy()));
    }
    Ok(files)
}

/// What cargo tells of a target.
/// <https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages>
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    reason: String,
    package_id: String,
    target: Target,
    profile: Profile,
    filenames: Vec<PathBuf>,
    out_dir: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Profile {
    test: bool,
}

impl Message {
    /// Whether it is about the member in this folder.
    fn is_of(&self, root: &Path, folder: &str) -> bool {
        let id = self.package_id.split('#').next().unwrap_or_default();
        Url::from_file_path(root.join(folder)).is_ok_and(|url| id == format!("path+{url}"))
    }

    fn files(&self, root: &Path) -> anyhow::Result<BTreeSet<String>> {
        let kind = self.target.kind.first().map(String::as_str);
        match (self.reason.as_str(), kind) {
            ("compiler-artifact", Some("lib" | "bin")) if !self.profile.test => {
                let text = self.filenames.first().map(|file| read(&rules(file)));
                Ok(inputs(&text.transpose()?.unwrap_or_default(), root))
            }
            ("compiler-artifact", Some("custom-build")) => {
                Ok(relative(&self.target.src_path, root).into_iter().collect())
            }
            ("build-script-executed", _) => {
                let text = read(&self.out_dir.with_file_name("output"))?;
                let folder = self.package_id.split(['#', '?']).next();
                let folder = folder.and_then(|id| Url::parse(id.strip_prefix("path+")?).ok());
                let folder = folder
                    .and_then(|url| url.to_file_path().ok())
                    .unwrap_or_default();
                Ok(watched(&text, &folder, root))
            }
            _ => Ok(BTreeSet::new()),
        }
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Where the compiler writes down what it read for `libNAME.rmeta`: `NAME.d` beside it.
fn rules(artifact: &Path) -> PathBuf {
    let name = artifact.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix("lib").unwrap_or(&name);
    artifact.with_file_name(format!("{name}.d"))
}

/// What a build script says that it reads.
fn watched(said: &str, folder: &Path, root: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for line in said.lines() {
        let line = line
            .strip_prefix("cargo:")
            .unwrap_or(line)
            .trim_start_matches(':');
        let Some(path) = line.strip_prefix("rerun-if-changed=") else {
            continue;
        };
        let mut folders = vec![folder.join(path)];
        while let Some(path) = folders.pop() {
            match fs::read_dir(&path) {
                Ok(entries) => folders.extend(entries.flatten().map(|entry| entry.path())),
                Err(_) => files.extend(relative(&path, root)),
            }
        }
    }
    files
}

/// The files of the checkout among the prerequisites of a rule for `make`.
fn inputs(rules: &str, root: &Path) -> BTreeSet<String> {
    let first = rules.lines().next().unwrap_or_default();
    let (_, inputs) = first.split_once(": ").unwrap_or_default();
    // A blank in a name is written with a backslash.
    let inputs = inputs.replace("\\ ", "\0");
    let inputs = inputs.split(' ').map(|input| input.replace('\0', " "));
    inputs
        .filter_map(|input| relative(&root.join(input), root))
        .collect()
}

/// None for what lies outside, or is for checks alone.
fn relative(path: &Path, root: &Path) -> Option<String> {
    let path = normal(path);
    let path = path.strip_prefix(root).ok()?.to_str()?;
    (!path.is_empty() && path != CHECKS).then(|| path.to_owned())
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            part @ (Component::Prefix(_) | Component::RootDir | Component::Normal(_)) => {
                normal.push(part)
            }
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_script_watches_is_needed() {
        let root = tempfile::tempdir().expect("a folder");
        let pages = root.path().join("api/pages/old");
        fs::create_dir_all(&pages).expect("a folder");
        for file in ["../a.html", "b.html"] {
            fs::write(pages.join(file), "").expect("a file");
        }
        let said =
            "cargo:rerun-if-changed=pages\ncargo::rerun-if-changed=x.css\ncargo:rustc-cfg=y\n";
        let found = watched(said, &root.path().join("api"), root.path());
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["api/pages/a.html", "api/pages/old/b.html", "api/x.css"]
        );
    }

    #[test]
    fn inputs_of_the_checkout_are_relative_to_it() {
        let rules = "/a\\ b/target/x.d: api/src/lib.rs api/src/docs/../page.html /a\\ b/migrations/1\\ x.sql \
                     /a\\ b/clippy.toml /usr/lib.rs\n\napi/src/lib.rs:\n";
        let found = inputs(rules, Path::new("/a b"));
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["api/src/lib.rs", "api/src/page.html", "migrations/1 x.sql"]
        );
    }
}
