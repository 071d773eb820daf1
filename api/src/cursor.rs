//! Where a page of a list ends, as an opaque word that fits its own list only.
//!
//! It says after which item the next page begins, sealed together with whose list it is, its filters
//! and its order. It does not expire.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::Uri;
use serde::{Serialize, de::DeserializeOwned};
use taskhub::{Error, Result, tokens::Keys};
use url::form_urlencoded;
use uuid::Uuid;

/// What a cursor looks like inside: the form's number, the seal, the position as JSON.
const FORM: u8 = 1;
const SEAL: std::ops::Range<usize> = 1..33;

/// These choose a part of a list; all other parameters make it another one.
const ABOUT_THE_PAGE: [&str; 3] = ["cursor", "include_total", "limit"];

/// The list that a request is about.
#[derive(Debug)]
pub(crate) struct List {
    path: String,
    parameters: Vec<(String, String)>,
    /// What makes it this list and no other.
    identity: String,
}

impl List {
    pub(crate) fn new(user_id: Uuid, uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        let parameters: Vec<(String, String)> =
            form_urlencoded::parse(query).into_owned().collect();
        let mut kept: Vec<_> = parameters
            .iter()
            .filter(|(name, _)| !ABOUT_THE_PAGE.contains(&name.as_str()))
            .collect();
        kept.sort();
        let filters = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(kept)
            .finish();
        Self {
            identity: format!("{user_id} {}?{filters} ", uri.path()),
            path: uri.path().to_owned(),
            parameters,
        }
    }

    /// The list of what fits a filter that stands in a body.
    pub(crate) fn about(user_id: Uuid, uri: &Uri, filter: &impl Serialize) -> Self {
        let list = Self::new(user_id, uri);
        Self {
            identity: format!("{}{} ", list.identity, serde_json::json!(filter)),
            ..list
        }
    }

    /// The cursor of what comes after `position`.
    pub(crate) fn cursor(&self, keys: &Keys, position: &impl Serialize) -> String {
        let position = serde_json::json!(position).to_string();
        let mut bytes = vec![FORM];
        bytes.extend(keys.seal("cursor", &self.message(position.as_bytes())));
        bytes.extend(position.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where a cursor of this list points.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] for one of another list, and for what is none.
    pub(crate) fn position<P: DeserializeOwned>(&self, keys: &Keys, cursor: &str) -> Result<P> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
        let (Some(&FORM), Some(seal), Some(position)) =
            (bytes.first(), bytes.get(SEAL), bytes.get(SEAL.end..))
        else {
            return Err(Error::InvalidCursor);
        };
        if !keys.has_sealed("cursor", &self.message(position), seal) {
            return Err(Error::InvalidCursor);
        }
        serde_json::from_slice(position).map_err(|_| Error::InvalidCursor)
    }

    /// The `Link` to the next page (RFC 8288).
    pub(crate) fn link(&self, cursor: &str) -> String {
        let others = self.parameters.iter().filter(|(name, _)| name != "cursor");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("cursor", cursor)
            .finish();
        format!("<{}?{query}>; rel=\"next\"", self.path)
    }

    fn message(&self, position: &[u8]) -> Vec<u8> {
        [self.identity.as_bytes(), position].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use taskhub::{tasks::Position, tokens::Lifetimes};

    use super::*;

    fn keys(current: &str, previous: Option<&str>) -> Keys {
        let lifetimes = Lifetimes {
            access_token: Duration::from_secs(1),
            refresh_token: Duration::from_secs(1),
            refresh_retry: Duration::from_secs(1),
        };
        let previous = previous.map(|previous| previous.repeat(32).into());
        Keys::new(&current.repeat(32).into(), previous.as_ref(), lifetimes).unwrap()
    }

    fn list(user: u128, uri: &str) -> List {
        List::new(Uuid::from_u128(user), &uri.parse().unwrap())
    }

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let keys = keys("a", None);
        let position = Position {
            key: "2026-12-01 08:00:00+00".to_owned(),
            id: Uuid::from_u128(7),
        };
        let cursor = list(1, "/v1/tasks?label=a&status=todo").cursor(&keys, &position);

        for same in [
            "/v1/tasks?label=a&status=todo",
            "/v1/tasks?status=todo&limit=9&label=a&cursor=x&include_total=true",
        ] {
            assert_eq!(
                list(1, same).position::<Position>(&keys, &cursor).unwrap(),
                position
            );
        }
        for other in [
            list(2, "/v1/tasks?label=a&status=todo"),
            list(1, "/v1/tasks"),
            list(1, "/v1/tasks?label=a&status=todo&sort=title"),
            list(1, "/v1/projects?label=a&status=todo"),
        ] {
            assert!(matches!(
                other.position::<Position>(&keys, &cursor),
                Err(Error::InvalidCursor)
            ));
        }
    }

    #[test]
    fn no_cursor_can_be_made_up() {
        let (keys, list) = (keys("a", None), list(1, "/v1/tasks"));
        let position = Position {
            key: "x".to_owned(),
            id: Uuid::nil(),
        };
        let cursor = list.cursor(&keys, &position);
        for index in 0..cursor.len() {
            let mut other = cursor.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(list.position::<Position>(&keys, &other).is_err(), "{other}");
        }
        for other in ["", "A", "????", &"A".repeat(44)] {
            assert!(list.position::<Position>(&keys, other).is_err());
        }
    }

    #[test]
    fn a_cursor_outlives_a_change_of_the_secret() {
        let list = list(1, "/v1/tasks");
        let position = Position {
            key: "x".to_owned(),
            id: Uuid::nil(),
        };
        let cursor = list.cursor(&keys("a", None), &position);
        assert!(
            list.position::<Position>(&keys("b", Some("a")), &cursor)
                .is_ok()
        );
        assert!(
            list.position::<Position>(&keys("b", None), &cursor)
                .is_err()
        );
    }

    #[test]
    fn the_link_asks_for_the_same_list() {
        let list = list(1, "/v1/tasks?label=a+%26&limit=2&cursor=old");
        assert_eq!(
            list.link("new"),
            "</v1/tasks?label=a+%26&limit=2&cursor=new>; rel=\"next\""
        );
    }
}
