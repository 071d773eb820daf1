//! How the key that signs access tokens is exchanged while tokens of the former one live on.
//!
//! The next key is accepted first, then it signs, then the former one is forgotten; between two steps every process must
//! have read the secret again. Nothing but the secret itself remembers where this stands: a label on its version, and
//! the time at which that version was made. So whoever was interrupted goes on where they were.

use std::time::Duration;

use serde_json::{Map, Value};

const KEY: &str = "JWT_SECRET";
const OTHER: &str = "JWT_SECRET_PREVIOUS";

/// What reading a secret may take beyond its interval.
const MARGIN: Duration = Duration::from_secs(30);

/// Where a rotation stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// One key.
    Steady,
    /// The next key is accepted and does not sign yet.
    Announced,
    /// The next key signs, and the former one is still accepted.
    Exchanged,
}

/// How long processes and tokens live with what they have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// Between two readings of the secret.
    pub(super) refresh: Duration,
    /// Of an access token.
    pub(super) token: Duration,
}

impl Phase {
    /// A second key that nobody announced was put there by hand: it is taken for a former one, which signs nothing.
    pub(super) fn of(content: &Map<String, Value>, is_announced: bool) -> Self {
        let has_other = content
            .get(OTHER)
            .and_then(Value::as_str)
            .is_some_and(|key| !key.is_empty());
        match (has_other, is_announced) {
            (false, _) => Self::Steady,
            (true, true) => Self::Announced,
            (true, false) => Self::Exchanged,
        }
    }

    #[cfg(feature = "aws")]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "one key",
            Self::Announced => "the next key is accepted",
            Self::Exchanged => "the next key signs, the former one is accepted",
        }
    }

    /// How old the phase must be before the next one may begin.
    pub(super) fn least(self, lives: Lives) -> Duration {
        match self {
            Self::Steady => Duration::ZERO,
            Self::Announced => lives.refresh + MARGIN,
            // Whoever reads last signs with the former key until then.
            Self::Exchanged => lives.refresh + MARGIN + lives.token,
        }
    }

    /// Changes the secret's content to the next phase. `fresh` is a new key.
    pub(super) fn advance(self, content: &mut Map<String, Value>, fresh: &str) -> Self {
        match self {
            Self::Steady => {
                content.insert(OTHER.to_owned(), fresh.into());
                Self::Announced
            }
            Self::Announced => {
                let next = content.remove(OTHER).unwrap_or_default();
                if let Some(former) = content.insert(KEY.to_owned(), next) {
                    content.insert(OTHER.to_owned(), former);
                }
                Self::Exchanged
            }
            Self::Exchanged => {
                content.remove(OTHER);
                Self::Steady
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIVES: Lives = Lives {
        refresh: Duration::from_secs(300),
        token: Duration::from_secs(900),
    };

    #[test]
    fn a_key_signs_only_once_everybody_accepts_it_and_goes_with_its_last_token() {
        let mut content = Map::from_iter([(KEY.to_owned(), json!("old"))]);
        let mut phase = Phase::of(&content, false);
        let mut seen = Vec::new();
        for _ in 0..3 {
            phase = phase.advance(&mut content, "new");
            assert_eq!(Phase::of(&content, phase == Phase::Announced), phase);
            seen.push((content[KEY].clone(), content.get(OTHER).cloned()));
        }
        let expected = [
            (json!("old"), Some(json!("new"))),
            (json!("new"), Some(json!("old"))),
            (json!("new"), None),
        ];
        assert_eq!(seen, expected);
        assert_eq!(phase, Phase::Steady);
    }

    #[test]
    fn each_phase_outlasts_the_slowest_reader_and_the_last_token() {
        assert_eq!(Phase::Steady.least(LIVES), Duration::ZERO);
        assert!(Phase::Announced.least(LIVES) > LIVES.refresh);
        assert!(Phase::Exchanged.least(LIVES) > LIVES.refresh + LIVES.token);
    }

    #[test]
    fn a_second_key_that_nobody_announced_is_taken_for_a_former_one() {
        let content = Map::from_iter([
            (KEY.to_owned(), json!("signs")),
            (OTHER.to_owned(), json!("by hand")),
        ]);
        assert_eq!(Phase::of(&content, false), Phase::Exchanged);
        let mut content = content;
        content.insert(OTHER.to_owned(), json!(""));
        assert_eq!(Phase::of(&content, true), Phase::Steady);
    }
}
