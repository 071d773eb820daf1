//! A part of the image's file system, and the archive that it becomes.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::Path,
};

use anyhow::Context;
use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};

use super::sha256;

/// Files by their path, without a slash before it. The order is that of the archive.
#[derive(Default)]
pub(super) struct Tree(BTreeMap<String, Node>);

struct Node {
    kind: Kind,
    mode: u32,
    /// User and group alike.
    owner: u32,
}

enum Kind {
    Folder,
    File(Vec<u8>),
    Link(String),
}

/// A compressed archive, as a layer of an image is.
pub(super) struct Layer {
    /// What it holds, in a word.
    pub(super) name: &'static str,
    pub(super) compressed: Vec<u8>,
    /// Of the archive before it was compressed, in hexadecimal.
    pub(super) diff_id: String,
    /// The archive's bytes.
    pub(super) unpacked: u64,
}

const ROOT: u32 = 0;

impl Tree {
    pub(super) fn folder(&mut self, path: &str, mode: u32, owner: u32) {
        self.insert(path, Kind::Folder, mode, owner);
    }

    pub(super) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>, mode: u32) {
        self.insert(path, Kind::File(bytes.into()), mode, ROOT);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Kind::Link(target.to_owned()), 0o777, ROOT);
    }

    /// Adds what an archive holds, as far as it is wanted. Times and owners are those of the image.
    pub(super) fn unpack(
        &mut self,
        archive: &[u8],
        wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let path = path.to_str().context("a path that is no text")?;
            let path = path
                .trim_start_matches("./")
                .trim_end_matches('/')
                .to_owned();
            if path.is_empty() || path == "." || !wanted(&path) {
                continue;
            }
            let mode = entry.header().mode()?;
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                self.folder(&path, mode, ROOT);
            } else if kind.is_file() {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                self.file(&path, bytes, mode);
            } else if kind.is_symlink() {
                let target = entry.link_name()?.context("a link without a target")?;
                self.link(&path, target.to_str().context("a link that is no text")?);
            } else {
                anyhow::bail!("{path} is a {kind:?}, which nothing here makes use of");
            }
        }
        Ok(())
    }

    /// Folders on the way are everybody's to read and root's.
    fn insert(&mut self, path: &str, kind: Kind, mode: u32, owner: u32) {
        for (at, _) in path.match_indices('/') {
            self.0.entry(path[..at].to_owned()).or_insert(Node {
                kind: Kind::Folder,
                mode: 0o755,
                owner: ROOT,
            });
        }
        self.0.insert(path.to_owned(), Node { kind, mode, owner });
    }

    /// The contents of a regular file.
    pub(super) fn get(&self, path: &str) -> Option<&[u8]> {
        match &self.0.get(path)?.kind {
            Kind::File(bytes) => Some(bytes),
            Kind::Folder | Kind::Link(_) => None,
        }
    }

    /// Regular files, in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .keys()
            .filter_map(|path| Some((path.as_str(), self.get(path)?)))
    }

    /// The same tree gives the same bytes, whenever and wherever. `seconds` is the time of every file.
    pub(super) fn layer(&self, name: &'static str, seconds: u64) -> anyhow::Result<Layer> {
        let archive = self.archive(seconds)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&archive)?;
        let compressed = encoder.finish()?;
        Ok(Layer {
            name,
            diff_id: sha256(&archive),
            unpacked: archive.len() as u64,
            compressed,
        })
    }

    fn archive(&self, seconds: u64) -> anyhow::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for (path, node) in &self.0 {
            let mut header = Header::new_gnu();
            header.set_mode(node.mode & 0o7777);
            header.set_uid(node.owner.into());
            header.set_gid(node.owner.into());
            header.set_mtime(seconds);
            header.set_size(0);
            match &node.kind {
                Kind::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    archive.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                Kind::File(bytes) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes.as_slice())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    archive.append_link(&mut header, path, Path::new(target))?;
                }
            }
        }
        Ok(archive.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::default();
        tree.folder("tmp", 0o1777, ROOT);
        for path in paths {
            tree.file(path, *path, 0o644);
        }
        tree.link("lib64/ld.so", "/lib/ld.so");
        tree
    }

    #[test]
    fn the_order_of_making_leaves_no_trace() {
        let one = tree(&["etc/a", "etc/b"]).layer("base", 7).expect("a layer");
        let other = tree(&["etc/b", "etc/a"]).layer("base", 7).expect("a layer");
        assert_eq!(one.compressed, other.compressed);
        let later = tree(&["etc/a", "etc/b"]).layer("base", 8).expect("a layer");
        assert_ne!(one.diff_id, later.diff_id);
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let archive = tree(&["etc/a", "usr/b"]).archive(7).expect("an archive");
        let mut again = Tree::default();
        again
            .unpack(&archive, |path| path != "usr/b")
            .expect("a good archive");
        let paths: Vec<&str> = again.0.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            ["etc", "etc/a", "lib64", "lib64/ld.so", "tmp", "usr"]
        );
        assert_eq!(again.get("etc/a"), Some("etc/a".as_bytes()));
        assert_eq!(again.0["tmp"].mode, 0o1777);
    }
}
