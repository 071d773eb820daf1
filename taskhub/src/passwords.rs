//! Passwords: which ones are accepted, and how they are hashed without starving everything else.

use std::{sync::Arc, thread, time::Duration};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task, time,
};

use crate::{Error, Result, Violation};

/// In characters (NIST SP 800-63B counts code points).
pub const MIN_LENGTH: usize = 10;

/// In bytes of UTF-8. bcrypt looks at 72, one of which is the terminator.
pub const MAX_LENGTH: usize = 71;

/// Below this many guesses a password falls to an attacker's first list. zxcvbn calls such a password
/// very guessable: it knows the most used ones, names, dates, keyboard walks and their usual disguises.
const MIN_GUESSES_LOG10: f64 = 6.0;

/// How many wait for each one that is being hashed.
const QUEUE_FACTOR: usize = 4;

/// The longest wait for a turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// Marks a hash that only a test environment makes and accepts.
const TEST_PREFIX: &str = "$test$";

/// The rules that `password`, found at `pointer`, breaks. `known` are words that a guesser who knows the
/// account would try, such as its username.
pub fn violations(pointer: &str, password: &SecretString, known: &[&str]) -> Vec<Violation> {
    let password = password.expose_secret();
    let broken = |code, detail: String| Violation {
        pointer: pointer.to_owned(),
        code,
        detail,
    };
    let mut violations = Vec::new();
    if password.chars().count() < MIN_LENGTH {
        violations.push(broken(
            "too-short",
            format!("must have at least {MIN_LENGTH} characters"),
        ));
    }
    if password.len() > MAX_LENGTH {
        violations.push(broken(
            "too-long",
            format!("must have at most {MAX_LENGTH} bytes in UTF-8"),
        ));
    }
    if password.contains('\0') {
        violations.push(broken(
            "forbidden-character",
            "must not contain U+0000".to_owned(),
        ));
    }
    if violations.is_empty() {
        let known: Vec<&str> = known.iter().copied().chain(["taskhub"]).collect();
        if zxcvbn::zxcvbn(password, &known).guesses_log10() < MIN_GUESSES_LOG10 {
            violations.push(broken(
                "too-guessable",
                "is among the first that a guesser would try".to_owned(),
            ));
        }
    }
    violations
}

/// Makes and checks hashes, a few at a time.
#[derive(Debug)]
pub struct Hasher {
    scheme: Scheme,
    /// One permit for each core but one, so that hashing never takes the last.
    turns: Arc<Semaphore>,
    /// One permit for each that has a turn or waits for one.
    places: Arc<Semaphore>,
    /// The hash of nobody's password, checked where there is no account so that both take as long.
    nobodys: String,
}

#[derive(Clone, Copy, Debug)]
enum Scheme {
    Bcrypt {
        cost: u32,
    },
    /// Salted SHA-256, for tests that sign in a thousand times. It stops no guesser.
    Test,
}

impl Hasher {
    /// bcrypt with 2^`cost` rounds.
    ///
    /// # Errors
    /// Where bcrypt knows no such cost.
    pub fn bcrypt(cost: u32) -> anyhow::Result<Self> {
        ensure!((4..=31).contains(&cost), "bcrypt's cost is 4 to 31");
        // Well-formed, and of no password. Making a real one would delay every start.
        let nobodys = format!("$2b${cost:02}${}", ".".repeat(53));
        Ok(Self::new(Scheme::Bcrypt { cost }, nobodys))
    }

    /// The fast scheme of `APP_ENV=test`. No other hasher accepts what it makes.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn fast_for_tests() -> anyhow::Result<Self> {
        Ok(Self::new(Scheme::Test, Scheme::Test.hash("")?))
    }

    fn new(scheme: Scheme, nobodys: String) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let turns = cores.saturating_sub(1).max(1);
        Self {
            scheme,
            turns: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns * (1 + QUEUE_FACTOR))),
            nobodys,
        }
    }

    /// Hashes a password that keeps the rules of [`violations`].
    ///
    /// # Errors
    /// [`Error::Busy`] where too many wait already.
    pub async fn hash(&self, password: &SecretString) -> Result<String> {
        let scheme = self.scheme;
        let password = password.clone();
        self.run("hash", move || scheme.hash(password.expose_secret()))
            .await
    }

    /// Whether `password` is the one of `hash`. Without a hash it takes as long and is not.
    ///
    /// # Errors
    /// [`Error::Busy`] where too many wait already.
    pub async fn verify(&self, password: &SecretString, hash: Option<&str>) -> Result<bool> {
        let scheme = self.scheme;
        let password = password.clone();
        let acceptable =
            usable(password.expose_secret()) && hash.is_some_and(|hash| scheme.made(hash));
        let hash = hash
            .filter(|_| acceptable)
            .unwrap_or(&self.nobodys)
            .to_owned();
        let right = self
            .run("verify", move || {
                let password = if acceptable {
                    password.expose_secret()
                } else {
                    "-"
                };
                scheme.verify(password, &hash)
            })
            .await?;
        Ok(right && acceptable)
    }

    /// Whether `hash` should be made anew with the present cost.
    pub fn is_outdated(&self, hash: &str) -> bool {
        match self.scheme {
            Scheme::Bcrypt { cost } => hash
                .parse::<bcrypt::HashParts>()
                .is_ok_and(|parts| parts.get_cost() != cost),
            Scheme::Test => false,
        }
    }

    /// Runs `work` off the asynchronous threads when its turn comes.
    async fn run<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T> {
        metrics::counter!("taskhub_password_hashes_total", "work" => what).increment(1);
        match self.scheme {
            Scheme::Test => Ok(work()?),
            Scheme::Bcrypt { .. } => {
                // Kept by the thread, so that a caller who gives up does not free the core early.
                let turn = self.turn().await?;
                let done = task::spawn_blocking(move || {
                    let _turn = turn;
                    work()
                });
                Ok(done.await.context("password hashing panicked")??)
            }
        }
    }

    async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2]> {
        let busy = || {
            metrics::counter!("taskhub_password_hashes_refused_total").increment(1);
            Error::Busy {
                retry_after: QUEUE_TIMEOUT,
            }
        };
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let turn = time::timeout(QUEUE_TIMEOUT, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| busy())?
            .context("the semaphore is never closed")?;
        Ok([place, turn])
    }
}

impl Scheme {
    fn hash(self, password: &str) -> anyhow::Result<String> {
        match self {
            Self::Bcrypt { cost } => Ok(bcrypt::non_truncating_hash(password, cost)?),
            Self::Test => {
                let mut salt = [0; 12];
                getrandom::fill(&mut salt)?;
                let salt = BASE64_STANDARD_NO_PAD.encode(salt);
                Ok(format!(
                    "{TEST_PREFIX}{salt}${}",
                    salted_sha256(&salt, password)
                ))
            }
        }
    }

    fn verify(self, password: &str, hash: &str) -> anyhow::Result<bool> {
        match self {
            Self::Bcrypt { .. } => Ok(bcrypt::non_truncating_verify(password, hash)?),
            Self::Test => {
                let (salt, digest) = hash
                    .strip_prefix(TEST_PREFIX)
                    .and_then(|rest| rest.split_once('$'))
                    .context("a malformed test hash")?;
                Ok(salted_sha256(salt, password)
                    .as_bytes()
                    .ct_eq(digest.as_bytes())
                    .into())
            }
        }
    }

    /// Whether `hash` is of this scheme. A hash made in a test environment opens nothing elsewhere.
    fn made(self, hash: &str) -> bool {
        hash.starts_with(TEST_PREFIX) == matches!(self, Self::Test)
    }
}

/// Whether a password can have been accepted once; bcrypt would cut or misread any other.
fn usable(password: &str) -> bool {
    password.len() <= MAX_LENGTH && !password.contains('\0')
}

fn salted_sha256(salt: &str, password: &str) -> String {
    BASE64_STANDARD_NO_PAD.encode(
        Sha256::new()
            .chain_update(salt)
            .chain_update(password)
            .finalize(),
    )
}

#[cfg(test)]
mod tests;
