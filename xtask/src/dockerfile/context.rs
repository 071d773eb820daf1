//! The files that a build is given.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::ignore::Ignore;

/// Of a checkout, what `.dockerignore` does not leave out.
pub(super) struct Context {
    /// Where each lies, by its path relative to the context, with `/`.
    pub(super) files: BTreeMap<String, PathBuf>,
}

impl Context {
    pub(super) fn read(root: &Path, dockerignore: &str) -> anyhow::Result<Self> {
        let mut context = Self {
            files: BTreeMap::new(),
        };
        context.walk(root, "", &Ignore::parse(dockerignore)?)?;
        Ok(context)
    }

    fn walk(&mut self, folder: &Path, name: &str, ignore: &Ignore) -> anyhow::Result<()> {
        let entries = fs::read_dir(folder);
        for entry in entries.with_context(|| format!("{} cannot be read", folder.display()))? {
            let entry = entry?;
            let Ok(own) = entry.file_name().into_string() else {
                continue;
            };
            let path = if name.is_empty() {
                own
            } else {
                format!("{name}/{own}")
            };
            let left_out = ignore.leaves_out(&path);
            if entry.file_type()?.is_dir() {
                if !left_out || ignore.may_keep_below(&path) {
                    self.walk(&entry.path(), &path, ignore)?;
                }
            } else if !left_out {
                self.files.insert(path, entry.path());
            }
        }
        Ok(())
    }

    /// A file as itself with an empty rest, or what lies below a folder, each with the rest of its path.
    pub(super) fn at(&self, source: &str) -> Vec<(&str, &Path)> {
        let source = source.trim_start_matches("./").trim_matches('/');
        let is_everything = source.is_empty() || source == ".";
        let rest = |path: &'_ str| -> Option<usize> {
            if is_everything {
                return Some(0);
            }
            let rest = path.strip_prefix(source)?;
            match rest.chars().next() {
                None => Some(path.len()),
                Some('/') => Some(source.len() + 1),
                Some(_) => None,
            }
        };
        let files = self.files.iter();
        files
            .filter_map(|(path, file)| Some((&path[rest(path)?..], file.as_path())))
            .collect()
    }
}
