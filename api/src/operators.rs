//! Who operates this instance.

use std::collections::BTreeSet;

/// The people whose sessions may have the scope `admin`. Whoever is taken off the list loses it with the
/// next start, whatever their tokens say.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    usernames: BTreeSet<String>,
    are_reserved: bool,
}

impl Operators {
    /// With `are_reserved`, nobody can register one of the names: a name that is listed before its owner
    /// has it would make an operator of the first stranger who takes it.
    pub fn new(usernames: impl IntoIterator<Item = String>, are_reserved: bool) -> Self {
        Self {
            usernames: usernames.into_iter().collect(),
            are_reserved,
        }
    }

    pub fn include(&self, username: &str) -> bool {
        self.usernames.contains(username)
    }

    /// Whether a stranger may not have this name.
    pub fn reserve(&self, username: &str) -> bool {
        self.are_reserved && self.include(username)
    }
}
