//! A folder for one run, gone with it.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::checkout::Checkout;

/// `target/NAME-PID`. The lock in it tells whether the run still lives, which its number alone, soon
/// another program's, would not.
pub(crate) struct RunFolder {
    pub(crate) path: PathBuf,
    elsewhere: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Makes a folder for this process and removes those of runs that were killed.
    pub(crate) fn create(checkout: &Checkout, name: &str) -> anyhow::Result<Self> {
        fs::create_dir_all(&checkout.target)
            .with_context(|| format!("{} cannot be made", checkout.target.display()))?;
        sweep(checkout, name);
        let path = checkout
            .target
            .join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        let lock = File::create(path.join("lock"))?;
        lock.try_lock()
            .context("the lock of a new folder is taken")?;
        Ok(Self {
            elsewhere: elsewhere(checkout).join(path.file_name().unwrap_or_default()),
            path,
            _lock: lock,
        })
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
        drop(fs::remove_dir_all(&self.elsewhere));
    }
}

/// What the servers of a run may have had to put elsewhere: see [`crate::servers::placing`].
pub(crate) fn elsewhere(checkout: &Checkout) -> PathBuf {
    PathBuf::from("/var/tmp").join(format!("taskhub-{:016x}", checkout.hash()))
}

fn sweep(checkout: &Checkout, name: &str) {
    for folder in [checkout.target.clone(), elsewhere(checkout)] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if is_of(&entry.path(), name) && is_dead(&checkout.target.join(entry.file_name())) {
                drop(fs::remove_dir_all(entry.path()));
            }
        }
    }
}

fn is_of(path: &Path, name: &str) -> bool {
    path.file_name()
        .and_then(|file| file.to_str())
        .and_then(|file| file.strip_prefix(name)?.strip_prefix('-'))
        .is_some_and(|pid| pid.parse::<u32>().is_ok())
}

fn is_dead(folder: &Path) -> bool {
    match File::open(folder.join("lock")) {
        Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        // A folder without one is being made just now.
        Err(_) => !folder.exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(target: &Path) -> Checkout {
        Checkout {
            root: target.to_owned(),
            target: target.to_owned(),
            members: Vec::new(),
        }
    }

    #[test]
    fn the_folder_of_a_dead_run_is_swept_and_that_of_a_living_one_is_not() {
        let target = tempfile::tempdir().expect("a folder");
        let dead = target.path().join("test-1");
        let other = target.path().join("test-results");
        let living = target.path().join("test-2");
        for folder in [&dead, &other, &living] {
            fs::create_dir(folder).expect("a folder");
        }
        File::create(dead.join("lock")).expect("a lock");
        let lock = File::create(living.join("lock")).expect("a lock");
        lock.lock().expect("the lock is free");

        let own = RunFolder::create(&checkout(target.path()), "test").expect("a folder of its own");

        assert!(!dead.exists());
        assert!(other.exists() && living.exists() && own.path.exists());
        let path = own.path.clone();
        drop(own);
        assert!(!path.exists());
    }
}
