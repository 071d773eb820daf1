//! Who runs PostgreSQL, and where its data can lie. PostgreSQL refuses to be root.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use anyhow::Context;
use nix::{
    sys::signal::Signal,
    unistd::{Gid, Uid, User, geteuid},
};

use crate::{
    checkout::Checkout,
    launch::{self, Identity},
    run_folder,
};

pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) identity: Identity,
}

/// Makes the folder and finds an identity that can write to it and run the program.
///
/// A user who is not root is themself. Root becomes `nobody` in a user namespace: that needs no
/// `chown` and works in a checkout which only root can enter. Where namespaces are forbidden, as in most containers,
/// it is the checkout's owner, `postgres` or `nobody`, and if none of them can reach `target/`, the
/// folder moves to `/var/tmp`.
pub(crate) fn place(checkout: &Checkout, folder: &Path, program: &Path) -> anyhow::Result<Place> {
    make(folder)?;
    if !geteuid().is_root() {
        return Ok(Place {
            folder: folder.to_owned(),
            identity: Identity::Own,
        });
    }
    let others = others(checkout);
    let inside = std::iter::once((folder.to_owned(), Identity::Nobody))
        .chain(others.iter().map(|identity| (folder.to_owned(), *identity)));
    let name = folder.strip_prefix(&checkout.target).unwrap_or(folder);
    let moved = run_folder::elsewhere(checkout).join(name);
    let outside = others
        .iter()
        .filter(|_| is_ours(&run_folder::elsewhere(checkout)))
        .map(|identity| (moved.clone(), *identity));
    for (folder, identity) in inside.chain(outside) {
        if give(&folder, identity).is_ok() && can_use(&folder, program, identity) {
            return Ok(Place { folder, identity });
        }
    }
    anyhow::bail!(
        "PostgreSQL does not run as root, and no other user can run {} in {} or below /var/tmp. \
         Run this as a normal user, or name a running server.",
        program.display(),
        folder.display()
    )
}

/// Makes the folder among everybody's, where a stranger could have put one or a link of that name.
fn is_ours(folder: &Path) -> bool {
    drop(fs::create_dir(folder));
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == 0)
}

fn others(checkout: &Checkout) -> Vec<Identity> {
    let owner = fs::metadata(&checkout.root)
        .ok()
        .and_then(|metadata| User::from_uid(Uid::from_raw(metadata.uid())).ok().flatten());
    let named = ["postgres", "nobody"]
        .into_iter()
        .filter_map(|name| User::from_name(name).ok().flatten());
    owner
        .into_iter()
        .chain(named)
        .filter(|user| !user.uid.is_root())
        .map(|user| Identity::Other(user.uid, user.gid))
        .collect()
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o700)))
        .with_context(|| format!("{} cannot be made", folder.display()))
}

/// Hands the folder and all that is in it to the identity, which may be another than last time.
fn give(folder: &Path, identity: Identity) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let (uid, gid) = match identity {
        Identity::Own => return Ok(()),
        Identity::Nobody => (Uid::from_raw(0), Gid::from_raw(0)),
        Identity::Other(uid, gid) => (uid, gid),
    };
    if fs::metadata(folder)?.uid() == uid.as_raw() {
        return Ok(());
    }
    give_all(folder, uid, gid)
}

fn give_all(folder: &Path, uid: Uid, gid: Gid) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_all(&entry.path(), uid, gid)?;
        } else {
            lchown(entry.path(), Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
    }
    // Last, so that an attempt cut short is made again.
    lchown(folder, Some(uid.as_raw()), Some(gid.as_raw()))?;
    Ok(())
}

fn can_use(folder: &Path, program: &Path, identity: Identity) -> bool {
    launch::command("/bin/sh", identity, Signal::SIGKILL)
        .args(["-c", r#"test -w "$0" && test -x "$1""#])
        .args([folder, program])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
