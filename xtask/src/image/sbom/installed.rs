//! What an image's own files say of its packages, whoever built it.

use std::{collections::BTreeMap, io::Read};

use anyhow::Context;
use flate2::read::GzDecoder;

use crate::image::{
    base::DESCRIPTIONS, binaries::PROGRAMS, layout::Layout, packages::field, sha256,
};

#[derive(Default)]
pub(super) struct Installed {
    pub(super) packages: Vec<Package>,
    /// Debian's, such as `12`; empty where the image does not say.
    pub(super) release: String,
    /// The hash of each program, by name.
    pub(super) programs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

impl Installed {
    /// Where two layers have the same file, the upper one's counts.
    pub(super) fn read(layout: &Layout) -> anyhow::Result<Self> {
        let mut installed = Self::default();
        for layer in &layout.layers {
            let bytes = layout.read(layer)?;
            installed
                .add_layer(&bytes)
                .with_context(|| format!("the layer {}", layer.digest()))?;
        }
        installed.packages.sort();
        Ok(installed)
    }

    fn add_layer(&mut self, layer: &[u8]) -> anyhow::Result<()> {
        const GZIP: &[u8] = &[0x1f, 0x8b];
        let reader: Box<dyn Read> = if layer.starts_with(GZIP) {
            Box::new(GzDecoder::new(layer))
        } else {
            Box::new(layer)
        };
        for entry in tar::Archive::new(reader).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().into_owned();
            let path = path.trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_file() && is_telling(&path) {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                self.add_file(&path, &bytes);
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: &str, bytes: &[u8]) {
        let text = || String::from_utf8_lossy(bytes);
        if path == STATUS {
            self.packages = text().split("\n\n").filter_map(package).collect();
        } else if path == RELEASE {
            self.release = release(&text());
        } else if path.starts_with(DESCRIPTIONS) {
            self.packages.extend(package(&text()));
        } else if let Some(name) = program(path) {
            self.programs.insert(name.to_owned(), sha256(bytes));
        }
    }
}

/// Every package of a system whose tools are installed.
const STATUS: &str = "var/lib/dpkg/status";
const RELEASE: &str = "usr/lib/os-release";

fn is_telling(path: &str) -> bool {
    path == STATUS || path == RELEASE || path.starts_with(DESCRIPTIONS) || program(path).is_some()
}

fn program(path: &str) -> Option<&str> {
    let name = path.strip_prefix("usr/local/bin/")?;
    PROGRAMS.contains(&name).then_some(name)
}

fn package(control: &str) -> Option<Package> {
    let value = |name| field(control, name).map(str::to_owned);
    // One that was removed and left its settings is listed too.
    if field(control, "Status").is_some_and(|status| !status.ends_with(" installed")) {
        return None;
    }
    Some(Package {
        name: value("Package")?,
        version: value("Version")?,
        architecture: value("Architecture")?,
    })
}

fn release(text: &str) -> String {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="));
    version.unwrap_or_default().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_found_as_dpkg_and_as_an_image_without_it_lists_them() {
        let mut installed = Installed::default();
        installed.add_file(
            STATUS,
            b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n\n\
              Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n",
        );
        installed.add_file(
            &format!("{DESCRIPTIONS}/base-files"),
            b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n",
        );
        installed.add_file(RELEASE, b"NAME=Debian\nVERSION_ID=\"12\"\n");
        let names: Vec<&str> = installed
            .packages
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(names, ["libc6", "base-files"]);
        assert_eq!(installed.release, "12");
    }
}
