//! There and back again. The way back is prepared before the first step, so that whatever interrupts this leaves a
//! service that goes back, or that was never changed.

use std::io::Write;

use chrono::Utc;
use serde_json::json;

use super::{
    Arguments,
    remembered::{Bounds, Remembered, former},
    target::Target,
};
use crate::{
    aws::{account::Account, audit::Entry, state},
    exit::{Exit, Failed},
    progress::say,
};

/// # Errors
/// [`Exit::Refused`] where there is nothing to scale, or nothing to go back to.
pub(super) async fn scale(arguments: &Arguments) -> anyhow::Result<()> {
    let account = Account::open(&arguments.access).await?;
    let target = Target::of(&account, arguments.service);
    let now = target.bounds().await?;
    let memory = Memory::of(&account, arguments).await?;
    let kept = memory.read(&account).await?;
    match arguments.count {
        Some(count) => {
            let before = former(kept.as_ref(), now, Utc::now());
            there(arguments, &account, &target, &memory, (before, count)).await
        }
        None => back(arguments, &account, &target, &memory, kept, now).await,
    }
}

async fn there(
    arguments: &Arguments,
    account: &Account,
    target: &Target<'_>,
    memory: &Memory,
    (former, count): (Bounds, i32),
) -> anyhow::Result<()> {
    if former.max == 0 {
        return Err(Failed::because(
            Exit::Refused,
            "the service sleeps by its schedule, and what it would go back to is sleep at a time when it may be \
             awake: wait until it is awake, or change [schedule] in the environment's file",
        ));
    }
    let set = former.at_least(count);
    let until = arguments.lasting.map(|lasting| Utc::now() + lasting);
    let remembered = Remembered {
        who: account.caller.clone(),
        former,
        set,
        until,
    };
    memory.write(account, &remembered).await?;
    let words = format!("{set}, before {former}");
    Entry::new(account, "scale", arguments.service.name(), vec![words])
        .write(account)
        .await?;
    match until {
        Some(until) => target.set_at(former, until).await?,
        None => target.forget().await?,
    }
    target.set(set).await?;
    tell(arguments, account, &remembered)
}

fn tell(arguments: &Arguments, account: &Account, now: &Remembered) -> anyhow::Result<()> {
    let (service, name) = (arguments.service.name(), account.environment().name);
    if arguments.access.json {
        let answer =
            json!({"service": service, "set": now.set, "former": now.former, "until": now.until});
        writeln!(std::io::stdout(), "{answer}")?;
    }
    say(format_args!(
        "{service} has {} now, before {}",
        now.set, now.former
    ));
    let back = format!("`cargo xtask scale --env {name} --service {service} --back`");
    match now.until {
        Some(until) => say(format_args!(
            "AWS puts that back at {}; {back} does it earlier",
            until.format("%F %H:%M:%S UTC")
        )),
        None => say(format_args!("that stays until {back}")),
    }
    if account.environment().keys.schedule.is_some() {
        say(
            "the environment has office hours: what they set meanwhile replaces this, and going back replaces it in turn",
        );
    }
    Ok(())
}

async fn back(
    arguments: &Arguments,
    account: &Account,
    target: &Target<'_>,
    memory: &Memory,
    kept: Option<Remembered>,
    now: Bounds,
) -> anyhow::Result<()> {
    let service = arguments.service.name();
    let Some(kept) = kept else {
        return Err(Failed::because(
            Exit::Refused,
            format!(
                "nobody has scaled {service}: it has {now}, and there is nothing to go back to"
            ),
        ));
    };
    let is_ours = kept.holds(now, Utc::now());
    let after = if is_ours { kept.former } else { now };
    let words = format!("back to {after}");
    Entry::new(account, "scale", service, vec![words])
        .write(account)
        .await?;
    if is_ours {
        target.set(kept.former).await?;
        say(format_args!("{service} has {after} again"));
    } else {
        say(format_args!(
            "{service} has {now}, which came after {} was set by hand: it stays",
            kept.set
        ));
    }
    target.forget().await?;
    memory.forget(account).await?;
    if arguments.access.json {
        let answer = json!({"service": service, "set": after, "former": kept.set, "until": null});
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// The object that remembers.
struct Memory {
    bucket: String,
    key: String,
}

impl Memory {
    async fn of(account: &Account, arguments: &Arguments) -> anyhow::Result<Self> {
        let (name, service) = (account.environment().name, arguments.service.name());
        Ok(Self {
            bucket: state::bucket(account).await?,
            key: format!("scaling/{name}/{service}.json"),
        })
    }

    async fn read(&self, account: &Account) -> anyhow::Result<Option<Remembered>> {
        let found = state::get(account, &self.bucket, &self.key).await?;
        let kept = found.map(|(text, _)| serde_json::from_str::<Option<Remembered>>(&text));
        Ok(kept.transpose()?.flatten())
    }

    async fn write(&self, account: &Account, remembered: &Remembered) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(remembered)?;
        state::put(account, &self.bucket, &self.key, text).await
    }

    /// Written over, since the state bucket's objects are not deleted.
    async fn forget(&self, account: &Account) -> anyhow::Result<()> {
        state::put(account, &self.bucket, &self.key, "null".to_owned()).await
    }
}
