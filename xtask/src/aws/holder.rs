//! Who has the lock, as it stands in the state bucket.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::environment::variable;

/// A holder that gives no sign of life for this long is dead.
pub(super) const LEASE: Duration = Duration::from_secs(120);

/// AWS takes no request of a clock that is five minutes off, so two clocks differ by ten at most.
const SKEW: TimeDelta = TimeDelta::minutes(10);

/// What the object says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Holder {
    /// Who deploys, as AWS names them; absent where nobody does.
    pub(crate) who: Option<String>,
    /// What for.
    pub(crate) why: String,
    pub(crate) release: Option<String>,
    /// The machine and the process, or the pipeline's run.
    pub(crate) place: String,
    pub(crate) since: DateTime<Utc>,
    /// Absent where a person holds it until a person gives it back.
    pub(crate) expires: Option<DateTime<Utc>>,
    /// Whoever held it has gone, and what it began goes on in AWS.
    #[serde(default)]
    left: bool,
    /// Of beats; makes each writing another object.
    beat: u64,
}

impl Holder {
    pub(crate) fn new(who: &str, why: &str, release: Option<&str>) -> Self {
        Self {
            who: Some(who.to_owned()),
            why: why.to_owned(),
            release: release.map(str::to_owned),
            place: place(),
            since: Utc::now(),
            expires: Some(Utc::now() + LEASE),
            left: false,
            beat: 0,
        }
    }

    /// Whether it is certain, whatever the clocks say, that nobody holds it.
    pub(super) fn is_free(&self) -> bool {
        self.who.is_none() || self.expires.is_some_and(|end| end + SKEW < Utc::now())
    }

    /// Whether somebody has it, dead or alive.
    pub(crate) fn is_held(&self) -> bool {
        self.who.is_some() && !self.is_free()
    }

    /// Whether it was left for whoever watches the same release.
    pub(super) fn is_left_for(&self, other: &Self) -> bool {
        self.left && self.release.is_some() && self.release == other.release
    }

    /// Whether it is the same process's, at another time.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (&self.who, &self.place, self.since) == (&other.who, &other.place, other.since)
    }

    /// Another sign of life.
    pub(super) fn beat(&mut self) {
        self.beat += 1;
        self.expires = Some(Utc::now() + LEASE);
    }

    /// Nobody's.
    pub(super) fn free(&mut self) {
        self.who = None;
    }

    /// For whoever watches the same release.
    pub(super) fn leave(&mut self) {
        self.left = true;
    }

    /// Who, since when, what for and until when.
    pub(crate) fn describe(&self) -> String {
        let Some(who) = &self.who else {
            return "nobody".to_owned();
        };
        let until = match self.expires {
            Some(end) => format!("lease until {}", end.format("%H:%M:%S UTC")),
            None => "until somebody gives it back with `cargo xtask lock release`".to_owned(),
        };
        format!(
            "{who} at {} since {} for: {} ({until})",
            self.place,
            self.since.format("%F %H:%M:%S UTC"),
            self.why
        )
    }
}

/// The pipeline's run, or the machine and the process.
pub(super) fn place() -> String {
    match (variable("GITHUB_REPOSITORY"), variable("GITHUB_RUN_ID")) {
        (Some(repository), Some(run)) => {
            format!("https://github.com/{repository}/actions/runs/{run}")
        }
        _ => {
            let host = nix::unistd::gethostname().ok();
            let host = host.and_then(|host| host.into_string().ok());
            format!(
                "{}, process {}",
                host.unwrap_or_default(),
                std::process::id()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_cannot_be_wrong_tells_that_a_lease_has_ended() {
        let mut holder = Holder::new("me", "deploying", Some("r1"));
        assert!(holder.is_held());
        holder.expires = Some(Utc::now() - TimeDelta::minutes(9));
        assert!(holder.is_held(), "the two clocks may be ten minutes apart");
        holder.expires = Some(Utc::now() - TimeDelta::minutes(11));
        assert!(!holder.is_held());
        holder.expires = None;
        assert!(
            holder.is_held(),
            "a person holds it for as long as it takes"
        );
        holder.free();
        assert!(holder.is_free());
    }

    #[test]
    fn what_is_left_is_for_whoever_watches_the_same_release() {
        let mut left = Holder::new("me", "deploying", Some("r1"));
        let same = Holder::new("you", "watching", Some("r1"));
        assert!(!left.is_left_for(&same));
        left.leave();
        assert!(left.is_left_for(&same));
        assert!(!left.is_left_for(&Holder::new("you", "deploying", Some("r2"))));
        assert!(!left.is_left_for(&Holder::new("you", "holding", None)));
    }

    #[test]
    fn a_sign_of_life_makes_another_object_of_the_same_holder() {
        let first = Holder::new("me", "deploying", Some("r1"));
        let mut second = first.clone();
        second.beat();
        assert!(second.is_same(&first));
        let text = |holder| serde_json::to_string(holder).expect("JSON");
        assert_ne!(text(&first), text(&second));
        assert!(
            first.describe().starts_with("me at "),
            "{}",
            first.describe()
        );
    }
}
