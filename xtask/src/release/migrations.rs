//! The migrations of two releases: which are new, and whether the old ones were left alone.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;

use super::{findings::Finding, git::Commit};
use crate::git;

/// Where they lie, in every release.
pub(super) const FOLDER: &str = "migrations";

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Migration {
    /// `0012_labels.sql`
    pub(super) name: String,
    pub(super) text: String,
}

/// What a migration does to the programs of the release before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// It adds, and they go on.
    Expand,
    /// It takes away what no program has used since the release of this name.
    Contract { after: String },
}

impl Migration {
    /// The number in front; 0 where there is none.
    pub(super) fn version(&self) -> i64 {
        let digits = self.name.split('_').next().unwrap_or_default();
        digits.parse().unwrap_or_default()
    }

    /// From the comments that the file begins with: `-- phase: contract` and `-- after-release: v3`.
    ///
    /// # Errors
    /// In words, where they are not complete.
    pub(super) fn phase(&self) -> Result<Phase, String> {
        match (self.header("phase:"), self.header("after-release:")) {
            (None | Some("expand"), None) => Ok(Phase::Expand),
            (Some("contract"), Some(after)) if !after.is_empty() => Ok(Phase::Contract {
                after: after.to_owned(),
            }),
            (Some("contract"), _) => Err(
                "a contract names the release since which nothing uses what it takes away: `-- after-release: v3`"
                    .to_owned(),
            ),
            (None | Some("expand"), Some(_)) => {
                Err("only a contract comes after a release: say `-- phase: contract`".to_owned())
            }
            (Some(other), _) => Err(format!("there is no phase {other:?}, but expand and contract")),
        }
    }

    fn header(&self, key: &str) -> Option<&str> {
        let comments = self.text.lines().map_while(|line| line.strip_prefix("--"));
        comments
            .filter_map(|comment| comment.trim().strip_prefix(key))
            .map(str::trim)
            .next()
    }

    /// Whether all of it happens or nothing. sqlx runs a file without a transaction that asks for that.
    pub(super) fn is_transaction(&self) -> bool {
        !self.text.starts_with("-- no-transaction")
    }
}

/// Those of the working tree, oldest first.
///
/// # Errors
/// Where they cannot be read.
pub(super) fn present(root: &Path) -> anyhow::Result<Vec<Migration>> {
    let folder = root.join(FOLDER);
    let entries =
        fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            let name = path.file_name().unwrap_or_default();
            found.push(Migration {
                name: name.to_string_lossy().into_owned(),
                text: fs::read_to_string(&path)?,
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Those of a commit, oldest first.
///
/// # Errors
/// Where git does not give them.
pub(super) fn of(root: &Path, commit: &Commit) -> anyhow::Result<Vec<Migration>> {
    let folder = format!("{FOLDER}/");
    let listed = git::ask(root, &["ls-tree", "--name-only", &commit.hash, &folder])?;
    let files = listed.lines().filter(|path| path.ends_with(".sql"));
    files
        .map(|path| {
            // From here, for the checkout may be a folder of a larger repository.
            let object = format!("{}:./{path}", commit.hash);
            Ok(Migration {
                name: path.strip_prefix(&folder).unwrap_or(path).to_owned(),
                text: git::ask(root, &["show", &object])?,
            })
        })
        .collect()
}

/// What is new, and what is wrong with the rest.
pub(super) fn compare(old: &[Migration], new: &[Migration]) -> (Vec<Migration>, Vec<Finding>) {
    let kept: BTreeMap<&str, &Migration> = new
        .iter()
        .map(|migration| (migration.name.as_str(), migration))
        .collect();
    let mut findings = Vec::new();
    for migration in old {
        match kept.get(migration.name.as_str()) {
            None => findings.push(Finding::whole(
                migration,
                "removed",
                "databases have had it: a program that does not know it refuses them",
            )),
            Some(now) if now.text != migration.text => findings.push(Finding::whole(
                migration,
                "edited",
                "databases have had what it said before, and are not migrated again: write a new one",
            )),
            Some(_) => {}
        }
    }
    let fresh: Vec<Migration> = new
        .iter()
        .filter(|migration| old.iter().all(|other| other.name != migration.name))
        .cloned()
        .collect();
    let newest = old.iter().map(Migration::version).max().unwrap_or(0);
    for migration in fresh.iter().filter(|fresh| fresh.version() <= newest) {
        findings.push(Finding::whole(
            migration,
            "out-of-order",
            format!("the earlier release has {newest} already: give it a higher number"),
        ));
    }
    (fresh, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(name: &str, text: &str) -> Migration {
        Migration {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_phase_stands_in_the_comments_that_a_file_begins_with() {
        let phase = |text| migration("0002_b.sql", text).phase();
        assert_eq!(phase("-- Adds.\nselect 1;"), Ok(Phase::Expand));
        assert_eq!(
            phase("-- Takes away.\n-- phase: contract\n-- after-release: v3\ndrop table a;"),
            Ok(Phase::Contract {
                after: "v3".to_owned()
            })
        );
        assert_eq!(
            phase("select 1;\n-- phase: contract\n-- after-release: v3"),
            Ok(Phase::Expand)
        );
        for text in [
            "-- phase: contract\ndrop table a;",
            "-- phase: contract\n-- after-release:\n",
            "-- after-release: v3\n",
            "-- phase: shrink\n",
        ] {
            assert!(phase(text).is_err(), "{text}");
        }
    }

    #[test]
    fn old_migrations_are_left_alone_and_new_ones_come_last() {
        let old = [migration("0001_a.sql", "a"), migration("0003_c.sql", "c")];
        let rules = |new: &[Migration]| -> Vec<String> {
            compare(&old, new)
                .1
                .into_iter()
                .map(|found| found.rule)
                .collect()
        };
        let added = [old.to_vec(), vec![migration("0004_d.sql", "d")]].concat();
        let (fresh, findings) = compare(&old, &added);
        assert_eq!((fresh.len(), findings.len()), (1, 0));
        assert_eq!(rules(&old[..1]), ["removed"]);
        assert_eq!(
            rules(&[migration("0001_a.sql", "A"), old[1].clone()]),
            ["edited"]
        );
        let between = [old.to_vec(), vec![migration("0002_b.sql", "b")]].concat();
        assert_eq!(rules(&between), ["out-of-order"]);
    }
}
