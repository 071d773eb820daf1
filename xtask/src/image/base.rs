//! What lies below the programs: as little of Debian as they run on, without a shell.

use std::{fs, path::PathBuf};

use anyhow::Context;

use super::{
    packages::{self, Package},
    tree::Tree,
};
use crate::{checkout::Checkout, contract, progress::Step, signals::Signals};

pub(super) struct Base {
    /// The C library and what any program expects of a system.
    pub(super) system: Tree,
    /// The authorities that others' certificates are verified against.
    pub(super) certificates: Tree,
}

/// Where TLS libraries look, on Debian.
pub(super) const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";

/// Below which a package's own description lies, so that scanners know what is in the image.
pub(super) const DESCRIPTIONS: &str = "var/lib/dpkg/status.d";

const PASSWD: &str = "\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
taskhub:x:65532:65532:taskhub:/var/lib/taskhub:/sbin/nologin
";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\ntaskhub:x:65532:\n";
/// Names in `/etc/hosts` come before those of the network.
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

impl Base {
    /// From the packages' files, which are in the packages' order.
    pub(super) fn unpack(
        checkout: &Checkout,
        packages: &[Package],
        files: &[PathBuf],
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let step = Step::start();
        let mut base = Self {
            system: Tree::default(),
            certificates: Tree::default(),
        };
        for (package, file) in packages.iter().zip(files) {
            let archive = packages::files(file, signals)?;
            let control = packages::control(file, signals)?;
            let unpacked = match package.name.as_str() {
                "ca-certificates" => base.add_authorities(&archive),
                _ => base.system.unpack(&archive, is_wanted),
            };
            unpacked.with_context(|| package.name.clone())?;
            let tree = match package.name.as_str() {
                "ca-certificates" => &mut base.certificates,
                _ => &mut base.system,
            };
            tree.file(&format!("{DESCRIPTIONS}/{}", package.name), control, 0o644);
        }
        base.add_users();
        let rds = fs::read(checkout.root.join("infra/rds-ca.pem")).context("infra/rds-ca.pem")?;
        let path = contract::RDS_CERTIFICATES.trim_start_matches('/');
        base.certificates.file(path, rds, 0o644);
        step.done("base unpacked");
        Ok(base)
    }

    fn add_users(&mut self) {
        self.system.file("etc/passwd", PASSWD, 0o644);
        self.system.file("etc/group", GROUP, 0o644);
        self.system.file("etc/nsswitch.conf", NSSWITCH, 0o644);
    }

    /// All of Mozilla's in one file, as Debian's own tool writes it when the package is installed.
    fn add_authorities(&mut self, archive: &[u8]) -> anyhow::Result<()> {
        let mut package = Tree::default();
        package.unpack(archive, |_| true)?;
        let mut bundle = Vec::new();
        for (path, certificate) in package.files() {
            if path.starts_with("usr/share/ca-certificates/mozilla/") {
                bundle.extend_from_slice(certificate.trim_ascii_end());
                bundle.push(b'\n');
            }
        }
        anyhow::ensure!(!bundle.is_empty(), "there is no certificate in it");
        self.certificates.file(AUTHORITIES, bundle, 0o644);
        let copyright = "usr/share/doc/ca-certificates/copyright";
        let text = package
            .get(copyright)
            .context("there is no copyright in it")?;
        self.certificates.file(copyright, text, 0o644);
        Ok(())
    }
}

/// Not what is for people, for shells and for character sets that are not Unicode; but every licence.
fn is_wanted(path: &str) -> bool {
    const PASSED_OVER: [&str; 14] = [
        "boot",
        "etc/default",
        "etc/dpkg",
        "etc/issue",
        "etc/profile.d",
        "etc/skel",
        "etc/update-motd.d",
        "usr/games",
        "usr/include",
        "usr/share/base-files",
        "usr/share/info",
        "usr/share/lintian",
        "usr/share/man",
        "usr/src",
    ];
    if let Some(document) = path.strip_prefix("usr/share/doc/") {
        return !document.contains('/') || document.ends_with("/copyright");
    }
    !PASSED_OVER.iter().any(|start| path.starts_with(start))
        && !path
            .split('/')
            .any(|part| part == "gconv" || part == "audit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_stay_and_documents_go() {
        assert!(is_wanted("usr/share/doc/libc6/copyright"));
        assert!(is_wanted("usr/share/doc/libgcc-s1"));
        assert!(is_wanted("usr/share/common-licenses/GPL-3"));
        assert!(is_wanted("lib/x86_64-linux-gnu/libc.so.6"));
        assert!(!is_wanted("usr/share/doc/libc6/NEWS.gz"));
        assert!(!is_wanted("usr/lib/x86_64-linux-gnu/gconv/IBM1122.so"));
        assert!(!is_wanted("etc/update-motd.d/10-uname"));
    }

    #[test]
    fn the_programs_user_has_a_name_and_a_home() {
        let (user, _) = contract::USER.split_once(':').expect("user and group");
        assert!(PASSWD.contains(&format!("taskhub:x:{user}:{user}:")));
        assert!(GROUP.contains(&format!("taskhub:x:{user}:")));
    }
}
