//! The order in which a reader wants to meet things.

use anyhow::Context as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::object;

/// The sections as a new reader needs them. A section that is not listed comes last.
const TAGS: [&str; 7] = [
    "Authentication",
    "Tasks",
    "Labels",
    "Account",
    "Sessions",
    "Jobs",
    "Operations",
];

/// Puts the sections in order; poem-openapi has them by the alphabet.
pub(super) fn tags(document: &mut Value) -> anyhow::Result<()> {
    let tags = object(document)?.get_mut("tags");
    let tags = tags.and_then(Value::as_array_mut).context("no tags")?;
    tags.sort_by_key(|tag| {
        let place = TAGS.iter().position(|name| tag["name"] == *name);
        place.unwrap_or(TAGS.len())
    });
    Ok(())
}

/// What comes first, in this order; all else follows by the alphabet. Pages list operations as they
/// stand, and the first one that a reader tries out should not be the one that deletes the account.
const FIRST: [&str; 10] = [
    "openapi", "info", "servers", "tags", "paths", "get", "post", "put", "patch", "delete",
];

/// Writes a value with its keys in order.
pub(super) struct Ordered<'v>(pub(super) &'v Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(key, _)| {
                    let place = FIRST.iter().position(|first| first == key);
                    place.unwrap_or(FIRST.len())
                });
                serializer.collect_map(members.into_iter().map(|(key, value)| (key, Self(value))))
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Ordered)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.0.serialize(serializer)
            }
        }
    }
}
