//! What a program needs of the system that it is put upon.

use std::collections::BTreeSet;

use anyhow::Context;
use object::{
    Endianness, ReadRef,
    elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, VER_FLG_WEAK},
    read::elf::{FileHeader, SectionTable},
};

use super::{architecture::Architecture, tree::Tree};

type Header = FileHeader64<Endianness>;

/// A program or a library for Linux.
pub(super) struct Elf {
    pub(super) architecture: Architecture,
    /// Names of the libraries that the loader looks for.
    libraries: BTreeSet<String>,
    /// Versions of symbols that it needs, each with the library that should have it.
    needs: BTreeSet<(String, String)>,
    /// Versions of symbols that it has for others.
    has: BTreeSet<String>,
}

impl Elf {
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let header = Header::parse(bytes).context("it is no 64-bit program for Linux")?;
        let endian = header.endian()?;
        let architecture = match header.e_machine(endian) {
            EM_X86_64 => Architecture::Amd64,
            EM_AARCH64 => Architecture::Arm64,
            other => anyhow::bail!(
                "it is made for the processor {other:?}; images are for amd64 and arm64"
            ),
        };
        let sections = header.sections(endian, bytes)?;
        Ok(Self {
            architecture,
            libraries: libraries(&sections, endian, bytes)?,
            needs: needs(&sections, endian, bytes)?,
            has: has(&sections, endian, bytes)?,
        })
    }

    /// What the base lacks of what this program needs, each in a few words.
    pub(super) fn unmet(&self, base: &Tree) -> anyhow::Result<Vec<String>> {
        let mut unmet = Vec::new();
        for library in &self.libraries {
            let Some(bytes) = find(base, library) else {
                unmet.push(format!("{library} is not there"));
                continue;
            };
            let found = Self::parse(bytes).with_context(|| library.clone())?;
            let versions = self.needs.iter().filter(|(of, _)| of == library);
            for (_, version) in versions.filter(|(_, version)| !found.has.contains(version)) {
                unmet.push(format!("{library} has no {version}"));
            }
        }
        Ok(unmet)
    }
}

/// In a folder that the loader searches by itself.
fn find<'a>(base: &'a Tree, library: &str) -> Option<&'a [u8]> {
    let searched = |path: &str| {
        let folder = path
            .strip_suffix(library)
            .and_then(|path| path.strip_suffix('/'));
        folder.is_some_and(|folder| {
            let folder = folder.strip_prefix("usr/").unwrap_or(folder);
            matches!(folder, "lib" | "lib64")
                || folder
                    .strip_prefix("lib/")
                    .is_some_and(|rest| rest.ends_with("-linux-gnu"))
        })
    };
    base.files()
        .find(|(path, _)| searched(path))
        .map(|(_, bytes)| bytes)
}

fn libraries<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    endian: Endianness,
    data: R,
) -> anyhow::Result<BTreeSet<String>> {
    let table = sections.dynamic_table(endian, data)?;
    let mut names = BTreeSet::new();
    for entry in table.iter().filter(|entry| entry.tag == DT_NEEDED) {
        names.insert(name(table.string(entry)?)?);
    }
    Ok(names)
}

fn needs<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    endian: Endianness,
    data: R,
) -> anyhow::Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    let Some((mut files, link)) = sections.gnu_verneed(endian, data)? else {
        return Ok(found);
    };
    let strings = sections.strings(endian, data, link)?;
    while let Some((file, mut versions)) = files.next()? {
        let library = name(file.file(endian, strings)?)?;
        while let Some(version) = versions.next()? {
            // A program can do without a weak one.
            if !version.vna_flags.get(endian).contains(VER_FLG_WEAK) {
                found.insert((library.clone(), name(version.name(endian, strings)?)?));
            }
        }
    }
    Ok(found)
}

fn has<'data, R: ReadRef<'data>>(
    sections: &SectionTable<'data, Header, R>,
    endian: Endianness,
    data: R,
) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let Some((mut definitions, link)) = sections.gnu_verdef(endian, data)? else {
        return Ok(found);
    };
    let strings = sections.strings(endian, data, link)?;
    while let Some((_, mut names)) = definitions.next()? {
        // The first is the version itself, the others are what it follows.
        if let Some(version) = names.next()? {
            found.insert(name(version.name(endian, strings)?)?);
        }
    }
    Ok(found)
}

fn name(bytes: &[u8]) -> anyhow::Result<String> {
    Ok(String::from_utf8(bytes.to_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test's own program: it runs here, so it needs what this system has.
    fn own() -> Elf {
        let path = std::env::current_exe().expect("a program");
        Elf::parse(&std::fs::read(path).expect("a file")).expect("a program for Linux")
    }

    #[test]
    fn a_program_names_its_libraries_and_their_versions() {
        let own = own();
        assert!(own.libraries.contains("libc.so.6"), "{:?}", own.libraries);
        let glibc = own
            .needs
            .iter()
            .any(|(library, version)| library == "libc.so.6" && version.starts_with("GLIBC_2."));
        assert!(glibc, "{:?}", own.needs);
    }

    #[test]
    fn a_base_without_the_library_or_with_an_older_one_is_refused() {
        let mut program = own();
        program.libraries.retain(|library| library == "libc.so.6");
        let unmet = program.unmet(&Tree::default()).expect("an answer");
        assert_eq!(unmet, ["libc.so.6 is not there"]);

        // A program that has no versions for others stands for a library that is too old.
        let mut base = Tree::default();
        let path = std::env::current_exe().expect("a program");
        base.file(
            "lib/x86_64-linux-gnu/libc.so.6",
            std::fs::read(path).expect("a file"),
            0o755,
        );
        program
            .needs
            .insert(("libc.so.6".to_owned(), "GLIBC_9.99".to_owned()));
        let unmet = program.unmet(&base).expect("an answer");
        assert!(
            unmet.contains(&"libc.so.6 has no GLIBC_9.99".to_owned()),
            "{unmet:?}"
        );
    }

    #[test]
    fn a_script_is_no_program() {
        let error = Elf::parse(b"#!/bin/sh\n").err().expect("an error");
        assert_eq!(error.to_string(), "it is no 64-bit program for Linux");
    }
}
