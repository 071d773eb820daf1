//! What may stand in an account. Each gives the rule that is broken, if one is.

use std::ops::RangeInclusive;

use chrono_tz::Tz;
use email_address::{EmailAddress, Options};

use crate::Violation;

/// RFC 5321, 4.5.3.1.3, less the angle brackets of a path.
pub const EMAIL_BYTES: usize = 254;

pub const USERNAME_CHARACTERS: RangeInclusive<usize> = 3..=50;

pub(super) fn username(username: &str) -> Option<Violation> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    let valid = USERNAME_CHARACTERS.contains(&username.len()) && username.bytes().all(allowed);
    (!valid).then(|| Violation {
        pointer: "/username".to_owned(),
        code: "invalid-username",
        detail: "must be 3 to 50 of the characters a-z, 0-9, `_`, `.` and `-`".to_owned(),
    })
}

/// Whether mail can be addressed to it (RFC 5321); that somebody reads it there is another question.
pub(super) fn email(email: &str) -> Option<Violation> {
    let options = Options::default()
        .without_display_text()
        .without_domain_literal();
    let valid = email.len() <= EMAIL_BYTES
        // A quoted local part may hold almost anything, for the sake of nobody.
        && !email.contains(|character: char| character == '"' || character.is_control() || character.is_whitespace())
        && EmailAddress::parse_with_options(email, options).is_ok();
    (!valid).then(|| Violation {
        pointer: "/email".to_owned(),
        code: "invalid-email",
        detail: format!("must be an e-mail address of at most {EMAIL_BYTES} bytes"),
    })
}

pub(super) fn time_zone(name: &str) -> Option<Violation> {
    name.parse::<Tz>().is_err().then(|| Violation {
        pointer: "/time_zone".to_owned(),
        code: "unknown-time-zone",
        detail: "must be the name of an IANA time zone, such as Europe/Vienna".to_owned(),
    })
}
