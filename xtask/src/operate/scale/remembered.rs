//! What the state bucket knows of a service that was scaled by hand: `scaling/<environment>/<service>.json`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Tasks at least and at most.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Bounds {
    pub(super) min: i32,
    pub(super) max: i32,
}

impl Bounds {
    /// At least `count`; the most gives way, and only upwards.
    pub(super) fn at_least(self, count: i32) -> Self {
        Self {
            min: count,
            max: self.max.max(count),
        }
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {} tasks", self.min, self.max)
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Remembered {
    /// Who scaled it last.
    pub(super) who: String,
    /// What it goes back to.
    pub(super) former: Bounds,
    /// What it was set to.
    pub(super) set: Bounds,
    /// When AWS puts the former numbers back; absent where a person does.
    pub(super) until: Option<DateTime<Utc>>,
}

/// What the service goes back to: of two acts in a row, what was before the first. What has run out, or was changed
/// by somebody else since, is no longer remembered.
pub(super) fn former(kept: Option<&Remembered>, now: Bounds, time: DateTime<Utc>) -> Bounds {
    match kept {
        Some(kept) if kept.holds(now, time) => kept.former,
        Some(_) | None => now,
    }
}

impl Remembered {
    /// Whether it tells of the service as it is.
    pub(super) fn holds(&self, now: Bounds, time: DateTime<Utc>) -> bool {
        self.set == now && self.until.is_none_or(|until| until > time)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn bounds(min: i32, max: i32) -> Bounds {
        Bounds { min, max }
    }

    #[test]
    fn the_most_only_rises() {
        assert_eq!(bounds(2, 4).at_least(3), bounds(3, 4));
        assert_eq!(bounds(2, 4).at_least(6), bounds(6, 6));
        assert_eq!(bounds(2, 4).at_least(1), bounds(1, 4));
    }

    #[test]
    fn whoever_scales_twice_goes_back_to_what_was_before_the_first_time() {
        let time = Utc::now();
        let mut kept = Remembered {
            who: "me".to_owned(),
            former: bounds(2, 4),
            set: bounds(6, 6),
            until: None,
        };
        assert_eq!(former(None, bounds(2, 4), time), bounds(2, 4));
        assert_eq!(former(Some(&kept), bounds(6, 6), time), bounds(2, 4));
        // A deployment brought other numbers.
        assert_eq!(former(Some(&kept), bounds(3, 9), time), bounds(3, 9));
        kept.until = Some(time - TimeDelta::seconds(1));
        assert_eq!(former(Some(&kept), bounds(6, 6), time), bounds(6, 6));
    }
}
