//! The three forms of a due time on the wire.

use std::borrow::Cow;

use chrono::{NaiveDate, NaiveDateTime};
use poem_openapi::{
    Object, Union,
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use taskhub::due;

use crate::timestamp::Timestamp;

/// When something starts or is due, in exactly one of three forms.
#[derive(Union)]
#[oai(one_of = true)]
pub(crate) enum When {
    Date(WhenDate),
    Local(WhenLocal),
    At(WhenAt),
}

/// A day, whatever the time.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenDate {
    date: NaiveDate,
}

/// A wall-clock time wherever the person is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenLocal {
    local: LocalTime,
}

/// An instant, and the zone that it was meant in.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenAt {
    at: Timestamp,
    /// An IANA name, such as `Europe/Vienna`.
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: String,
}

impl From<due::When> for When {
    fn from(when: due::When) -> Self {
        match when {
            due::When::Date { date } => Self::Date(WhenDate { date }),
            due::When::Local { local } => Self::Local(WhenLocal {
                local: LocalTime(local),
            }),
            due::When::At { at, time_zone } => Self::At(WhenAt {
                at: at.into(),
                time_zone,
            }),
        }
    }
}

impl From<When> for due::When {
    fn from(when: When) -> Self {
        match when {
            When::Date(WhenDate { date }) => Self::Date { date },
            When::Local(WhenLocal { local }) => Self::Local { local: local.0 },
            When::At(WhenAt { at, time_zone }) => Self::At {
                at: at.0,
                time_zone,
            },
        }
    }
}

/// A date and a time without a zone, written as RFC 3339 does but for the offset. OpenAPI has no
/// format for it, so a pattern says what it looks like.
struct LocalTime(NaiveDateTime);

/// Up to microseconds, which is what is stored.
const LOCAL_TIME: &str =
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$";

impl Type for LocalTime {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_local-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(LOCAL_TIME.to_owned()),
            example: Some("2026-12-01T09:00:00".into()),
            ..MetaSchema::new("string")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for LocalTime {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let text = value
            .as_str()
            .ok_or_else(|| ParseError::custom("no text"))?;
        Ok(Self(text.parse()?))
    }
}

impl ToJSON for LocalTime {
    fn to_json(&self) -> Option<Value> {
        serde_json::to_value(self.0).ok()
    }
}
