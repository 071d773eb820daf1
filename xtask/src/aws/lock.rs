//! One deployment of an environment at a time: an object of the state bucket that only one can write.
//!
//! S3 writes an object only where it is not there yet (`If-None-Match`) or is still the one that was read
//! (`If-Match`), so each change of hands has one winner. A holder writes again and again; one that stops for a whole
//! lease is dead, which a waiter sees on its own clock. Giving it back is such a write too, never a deletion: a holder
//! that was paused for longer than its lease must not take the lock of the next one away.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    time::Duration,
};

use aws_sdk_s3::{Client, primitives::ByteStream};
use tokio::time::{Instant, sleep};

pub(crate) use super::holder::Holder;
use super::{
    account::Account,
    errors::{code, explained},
    holder::LEASE,
    state, until,
};
use crate::{
    environments::Name,
    exit::{Exit, Failed},
    progress,
    signals::{Interrupted, Signals},
};

const HEARTBEAT: Duration = Duration::from_secs(30);

/// Between two looks at somebody else's lock.
const LOOK: Duration = Duration::from_secs(5);

fn key(name: Name) -> String {
    format!("locks/{name}.json")
}

/// Who holds it, and the version that says so.
///
/// # Errors
/// Where AWS does not say.
pub(crate) async fn read(
    account: &Account,
    bucket: &str,
) -> anyhow::Result<Option<(Holder, String)>> {
    let key = key(account.environment().name);
    let Some((text, tag)) = state::get(account, bucket, &key).await? else {
        return Ok(None);
    };
    Ok(Some((serde_json::from_str(&text)?, tag)))
}

/// A lock that this process holds until it gives it back or dies.
pub(crate) struct Lock<'a> {
    account: &'a Account,
    bucket: &'a str,
    holder: RefCell<Holder>,
    /// Of the object as we wrote it.
    tag: RefCell<String>,
    is_lost: Cell<bool>,
}

impl<'a> Lock<'a> {
    /// Waits for it as long as `patience`.
    ///
    /// # Errors
    /// [`Exit::Locked`] with who holds it; at once where a person does.
    pub(crate) async fn take(
        account: &'a Account,
        bucket: &'a str,
        holder: Holder,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let deadline = Instant::now() + patience;
        // The version that was seen last, and since when.
        let mut seen: Option<(String, Instant)> = None;
        loop {
            let found = read(account, bucket).await?;
            let unchanged = match (&found, &seen) {
                (Some((_, tag)), Some((old, since))) if tag == old => since.elapsed(),
                _ => Duration::ZERO,
            };
            let is_free = found.as_ref().is_none_or(|(held, _)| {
                let is_dead = held.expires.is_some() && unchanged > LEASE;
                held.is_free() || held.is_left_for(&holder) || held.is_same(&holder) || is_dead
            });
            let tag = found.as_ref().map(|(_, tag)| tag.clone());
            if is_free && let Some(tag) = put(account, bucket, &holder, tag.as_deref()).await? {
                return Ok(Self {
                    account,
                    bucket,
                    holder: RefCell::new(holder),
                    tag: RefCell::new(tag),
                    is_lost: Cell::new(false),
                });
            }
            let Some((held, tag)) = found else { continue };
            if seen.as_ref().is_none_or(|(old, _)| *old != tag) {
                if seen.is_none() {
                    progress::say(format_args!("            held by {}", held.describe()));
                }
                seen = Some((tag, Instant::now()));
            }
            if held.expires.is_none() || Instant::now() + LOOK > deadline {
                return Err(Failed::because(
                    Exit::Locked,
                    format!(
                        "{} is locked by {}. Wait with --lock-wait SECONDS, or ask them",
                        account.environment().name,
                        held.describe()
                    ),
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// Gives signs of life for ever. Where that fails, the lock may be somebody else's.
    pub(crate) async fn keep(&self) -> Infallible {
        loop {
            sleep(HEARTBEAT).await;
            if self.is_lost.get() {
                continue;
            }
            match self.beat().await {
                Ok(true) => {}
                Ok(false) => {
                    self.is_lost.set(true);
                    progress::say(
                        "            the lock is somebody else's now: nothing new is begun",
                    );
                }
                // The next beat may come through: a lease is four of them.
                Err(error) => progress::say(format_args!("            the lock: {error:#}")),
            }
        }
    }

    async fn beat(&self) -> anyhow::Result<bool> {
        let holder = {
            let mut holder = self.holder.borrow_mut();
            holder.beat();
            holder.clone()
        };
        self.write(&holder).await
    }

    /// Whether the lock was still ours to write.
    async fn write(&self, holder: &Holder) -> anyhow::Result<bool> {
        let tag = self.tag.borrow().clone();
        let mut written = put(self.account, self.bucket, holder, Some(&tag)).await?;
        // What we wrote last may have arrived though its answer did not.
        if written.is_none()
            && let Some((found, tag)) = read(self.account, self.bucket).await?
            && found.is_same(holder)
        {
            written = put(self.account, self.bucket, holder, Some(&tag)).await?;
        }
        let is_ours = written.is_some();
        if let Some(tag) = written {
            *self.tag.borrow_mut() = tag;
        }
        Ok(is_ours)
    }

    /// Asked before each step that changes something.
    ///
    /// # Errors
    /// [`Exit::Locked`] where it was lost.
    pub(crate) fn is_held(&self) -> anyhow::Result<()> {
        if self.is_lost.get() {
            return Err(Failed::because(
                Exit::Locked,
                "the lock was lost to somebody else, so nothing new was begun: `cargo xtask status` shows the state",
            ));
        }
        Ok(())
    }

    /// Gives it back. One that was lost stays as it is.
    ///
    /// # Errors
    /// Where AWS does not take it; it then ends with its lease.
    pub(crate) async fn release(self) -> anyhow::Result<()> {
        self.end(Holder::free).await
    }

    /// Leaves it to whoever watches the same release within the lease.
    ///
    /// # Errors
    /// Where AWS does not take it; it then ends with its lease.
    pub(crate) async fn leave(self) -> anyhow::Result<()> {
        self.end(Holder::leave).await
    }

    async fn end(self, how: impl FnOnce(&mut Holder)) -> anyhow::Result<()> {
        how(&mut self.holder.borrow_mut());
        let holder = self.holder.borrow().clone();
        self.write(&holder).await?;
        Ok(())
    }
}

/// Runs `work` with the lock and gives it back, for verbs that are no deployment.
///
/// # Errors
/// Those of `work`; [`Exit::Locked`] where somebody else has the lock; [`Interrupted`], and then CloudFormation
/// goes on with what was begun.
pub(crate) async fn during<T>(
    account: &Account,
    bucket: &str,
    why: &str,
    patience: Duration,
    signals: &Signals,
    work: impl AsyncFnOnce(&Lock<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let holder = Holder::new(&account.caller, why, None);
    let lock = until(signals, Lock::take(account, bucket, holder, patience)).await?;
    let ended = tokio::select! {
        ended = until(signals, work(&lock)) => ended,
        never = lock.keep() => match never {},
    };
    if let Err(error) = &ended
        && error.is::<Interrupted>()
    {
        progress::say(
            "            interrupted: what AWS has begun goes on; the same command goes on from there",
        );
    }
    if let Err(error) = lock.release().await {
        // What came of the work is more important.
        progress::say(format_args!(
            "            the lock ends with its lease: {error:#}"
        ));
    }
    ended
}

/// Holds it for a person, until it is given back.
///
/// # Errors
/// [`Exit::Locked`] where somebody else holds it.
pub(crate) async fn hold(account: &Account, bucket: &str, why: &str) -> anyhow::Result<()> {
    let mut holder = Holder::new(&account.caller, why, None);
    holder.expires = None;
    Lock::take(account, bucket, holder, Duration::ZERO).await?;
    Ok(())
}

/// Takes the lock away from whoever holds it.
///
/// # Errors
/// Where AWS does not take it.
pub(crate) async fn break_open(
    account: &Account,
    bucket: &str,
    mut held: Holder,
    tag: &str,
) -> anyhow::Result<()> {
    held.free();
    if put(account, bucket, &held, Some(tag)).await?.is_none() {
        return Err(Failed::because(
            Exit::Locked,
            "its holder has just written it: look again",
        ));
    }
    Ok(())
}

/// Writes it where it still is `tag`, or is not there; the new version, or nothing where somebody was faster.
async fn put(
    account: &Account,
    bucket: &str,
    holder: &Holder,
    tag: Option<&str>,
) -> anyhow::Result<Option<String>> {
    let body = serde_json::to_vec(holder)?;
    let request = Client::new(&account.config)
        .put_object()
        .bucket(bucket)
        .key(key(account.environment().name))
        .content_type("application/json")
        .body(ByteStream::from(body));
    let request = match tag {
        Some(tag) => request.if_match(tag),
        None => request.if_none_match("*"),
    };
    match request.send().await {
        Ok(answer) => Ok(answer.e_tag),
        Err(error)
            if matches!(
                code(&error).as_str(),
                "PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey"
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(explained("writing the lock", error)),
    }
}
