//! `target/dev`: what outlives a run.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{checkout::Checkout, run_folder};

pub(super) struct State {
    pub(super) folder: PathBuf,
    _lock: File,
}

pub(super) fn folder(checkout: &Checkout) -> PathBuf {
    checkout.target.join("dev")
}

impl State {
    /// `None` where another run holds it.
    pub(super) fn lock(checkout: &Checkout) -> anyhow::Result<Option<Self>> {
        let folder = folder(checkout);
        fs::create_dir_all(folder.join("mail"))
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("target/dev cannot be locked");
            }
        }
        let state = Self {
            folder,
            _lock: lock,
        };
        // A run that was killed leaves it.
        remove(&state.endpoints())?;
        Ok(Some(state))
    }

    pub(super) fn endpoints(&self) -> PathBuf {
        self.folder.join("endpoints.json")
    }

    pub(super) fn mail(&self) -> PathBuf {
        self.folder.join("mail")
    }

    pub(super) fn token(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// Removes all of it but the lock.
    pub(super) fn reset(&self, checkout: &Checkout) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name() != "lock" {
                remove(&entry.path())?;
            }
        }
        fs::create_dir_all(self.mail())?;
        remove(&run_folder::elsewhere(checkout).join("dev"))
    }

    pub(super) fn keep_token(&self, token: &str) -> anyhow::Result<()> {
        remove(&self.token())?;
        write_privately(&self.token(), token)
    }

    /// Signs access tokens. Kept, so that they outlive a restart.
    pub(super) fn jwt_secret(&self) -> anyhow::Result<String> {
        let file = self.folder.join("jwt-secret");
        if let Ok(secret) = fs::read_to_string(&file) {
            return Ok(secret);
        }
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_privately(&file, &secret)?;
        Ok(secret)
    }
}

/// A token with the scope `admin`, for `cargo xtask jobs`.
pub(super) fn keep_operator_token(folder: &Path, token: &str) -> anyhow::Result<()> {
    let file = folder.join("operator-token");
    remove(&file)?;
    write_privately(&file, token)
}

pub(super) fn operator_token(folder: &Path) -> Option<String> {
    fs::read_to_string(folder.join("operator-token")).ok()
}

fn write_privately(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_finds_the_state_taken_and_a_reset_leaves_nothing() {
        let target = tempfile::tempdir().expect("a folder");
        let checkout = Checkout {
            root: target.path().to_owned(),
            target: target.path().to_owned(),
            members: Vec::new(),
        };
        let state = State::lock(&checkout)
            .expect("a folder")
            .expect("not taken");
        assert!(State::lock(&checkout).expect("a folder").is_none());

        let secret = state.jwt_secret().expect("randomness");
        assert_eq!(secret.len(), 64);
        assert_eq!(state.jwt_secret().expect("kept"), secret);

        state.reset(&checkout).expect("own files");
        assert_ne!(state.jwt_secret().expect("randomness"), secret);
    }
}
