//! The crates that the two programs are linked from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{Architecture, hashes, licences};
use crate::{cargo, checkout::Checkout, image::binaries::PROGRAMS};

#[derive(Default)]
pub(super) struct Crates {
    crates: BTreeSet<Crate>,
    /// The programs' own.
    pub(super) roots: Vec<String>,
    /// What each of them is linked with, by package URL.
    pub(super) dependencies: BTreeMap<String, Vec<String>>,
    /// Of the file on crates.io, by name and version.
    checksums: BTreeMap<(String, String), String>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Crate {
    name: String,
    version: String,
    licence: String,
}

impl Crate {
    fn purl(&self) -> String {
        let version = self.version.replace('+', "%2B");
        format!("pkg:cargo/{}@{version}", self.name)
    }
}

impl Crates {
    /// Asks cargo, which alone knows what features and targets leave out. Macros run at build time only.
    pub(super) fn linked(checkout: &Checkout, architecture: Architecture) -> anyhow::Result<Self> {
        let mut command = cargo::plain();
        command
            .args(["tree", "--locked", "--edges=normal,no-proc-macro"])
            .args(["--prefix=depth", "--format=\t{p}\t{l}", "--target"])
            .arg(architecture.target())
            .args(PROGRAMS.iter().flat_map(|name| ["-p", name]))
            .current_dir(&checkout.root);
        let output = command.output().context("cargo cannot be run")?;
        anyhow::ensure!(
            output.status.success(),
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let lock = fs::read_to_string(checkout.root.join("Cargo.lock"))?;
        let mut crates = Self::parse(&String::from_utf8(output.stdout)?)?;
        crates.checksums = checksums(&lock)?;
        Ok(crates)
    }

    /// Lines of depth, name with version, and licence.
    fn parse(tree: &str) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let mut path: Vec<String> = Vec::new();
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let (depth, one) = parse_line(line)
                .with_context(|| format!("cargo tree says what is not understood: {line}"))?;
            let purl = one.purl();
            path.truncate(depth);
            match path.last() {
                Some(parent) => drop(
                    edges
                        .entry(parent.clone())
                        .or_default()
                        .insert(purl.clone()),
                ),
                None => found.roots.push(purl.clone()),
            }
            edges.entry(purl.clone()).or_default();
            path.push(purl);
            found.crates.insert(one);
        }
        let lists = edges.into_iter();
        found.dependencies = lists
            .map(|(from, to)| (from, to.into_iter().collect()))
            .collect();
        Ok(found)
    }

    /// `programs` has the hash of each program in the image, by name.
    pub(super) fn components(&self, programs: &BTreeMap<String, String>) -> Vec<Value> {
        self.crates
            .iter()
            .map(|one| self.component(one, programs.get(&one.name)))
            .collect()
    }

    fn component(&self, one: &Crate, program: Option<&String>) -> Value {
        let purl = one.purl();
        let mut component = json!({
            "type": if program.is_some() { "application" } else { "library" },
            "bom-ref": purl,
            "name": one.name,
            "version": one.version,
            "licenses": licences(&one.licence),
            "purl": purl,
        });
        let key = (one.name.clone(), one.version.clone());
        if let Some(hash) = program.or_else(|| self.checksums.get(&key)) {
            component["hashes"] = hashes(hash);
        }
        component
    }
}

fn parse_line(line: &str) -> Option<(usize, Crate)> {
    // A crate whose dependencies were listed before ends so.
    let line = line.strip_suffix(" (*)").unwrap_or(line);
    let mut fields = line.split('\t');
    let depth = fields.next()?.parse().ok()?;
    let mut package = fields.next()?.split(' ');
    let one = Crate {
        name: package.next()?.to_owned(),
        version: package.next()?.strip_prefix('v')?.to_owned(),
        licence: expression(fields.next()?),
    };
    Some((depth, one))
}

/// Cargo once took a slash for `OR`.
fn expression(licence: &str) -> String {
    let parts: Vec<&str> = licence.split('/').map(str::trim).collect();
    parts.join(" OR ")
}

fn checksums(lock: &str) -> anyhow::Result<BTreeMap<(String, String), String>> {
    #[derive(serde::Deserialize)]
    struct Lock {
        package: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(lock).context("Cargo.lock")?;
    let entries = lock.package.into_iter();
    Ok(entries
        .filter_map(|entry| Some(((entry.name, entry.version), entry.checksum?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_becomes_a_graph() {
        let tree = "0\tapi v0.1.0 (/home/x/api)\tMIT\n\
                    1\tserde v1.0.0\tMIT/Apache-2.0\n\
                    2\tserde_core v1.0.0+spec\tMIT\n\
                    \n\
                    0\tworker v0.1.0 (/home/x/worker)\tMIT\n\
                    1\tserde v1.0.0\tMIT/Apache-2.0 (*)\n";
        let found = Crates::parse(tree).expect("a tree");
        assert_eq!(
            found.roots,
            ["pkg:cargo/api@0.1.0", "pkg:cargo/worker@0.1.0"]
        );
        let of = |purl: &str| found.dependencies[purl].clone();
        assert_eq!(of("pkg:cargo/worker@0.1.0"), ["pkg:cargo/serde@1.0.0"]);
        assert_eq!(
            of("pkg:cargo/serde@1.0.0"),
            ["pkg:cargo/serde_core@1.0.0%2Bspec"]
        );
        assert_eq!(found.crates.len(), 4);
        let licences: Vec<&str> = found
            .crates
            .iter()
            .map(|one| one.licence.as_str())
            .collect();
        assert!(licences.contains(&"MIT OR Apache-2.0"), "{licences:?}");
    }
}
