//! The three forms of a due time on the wire.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};
use poem_openapi::{
    Object, Union,
    registry::{MetaSchema, MetaSchemaRef},
    types::{MaybeUndefined, ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use taskhub::due;

use super::wire::given;

/// When something starts or is due, in exactly one of three forms.
#[derive(Union)]
#[oai(one_of = true)]
pub(crate) enum When {
    Date(WhenDate),
    Local(WhenLocal),
    At(WhenAt),
}

/// A day, whatever the time. It is due when it begins where the person is, and overdue when it is over.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenDate {
    date: NaiveDate,
}

/// A wall-clock time wherever the person is. If the clocks show it twice, it is the earlier; if they skip it, it is
/// later by as much as they skip, usually one hour.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenLocal {
    local: LocalTime,
}

/// An instant, and the zone that it was meant in.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenAt {
    at: Instant,
    /// An IANA name, such as `Europe/Vienna`.
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: String,
}

/// What to change of a due time or a start (RFC 7396). A member that is left out stays, and `null` removes it. What
/// remains must be `date` alone, `local` alone, or `at` with `time_zone`. If you send one of these in full, it
/// replaces another one that was there.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(crate) struct WhenChanges {
    /// A day.
    date: MaybeUndefined<NaiveDate>,
    /// A wall-clock time.
    local: MaybeUndefined<LocalTime>,
    /// An instant.
    at: MaybeUndefined<Instant>,
    /// An IANA name, such as `Europe/Vienna`, for `at`.
    #[oai(validator(min_length = 1, max_length = 64))]
    time_zone: MaybeUndefined<String>,
}

impl From<WhenChanges> for due::WhenChanges {
    fn from(changes: WhenChanges) -> Self {
        let WhenChanges {
            date,
            local,
            at,
            time_zone,
        } = changes;
        Self {
            date: given(date),
            local: given(local).map(|local| local.map(|local| local.0)),
            at: given(at).map(|at| at.map(|at| at.0)),
            time_zone: given(time_zone),
        }
    }
}

impl From<due::When> for When {
    fn from(when: due::When) -> Self {
        match when {
            due::When::Date { date } => Self::Date(WhenDate { date }),
            due::When::Local { local } => Self::Local(WhenLocal {
                local: LocalTime(local),
            }),
            due::When::At { at, time_zone } => Self::At(WhenAt {
                at: Instant(at),
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

/// A date and a time without a zone, written as RFC 3339 does but for the offset.
struct LocalTime(NaiveDateTime);

/// Up to microseconds, which is what is stored.
pub(crate) const LOCAL_TIME: &str =
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$";

/// Its format in the registry of OpenAPI, which JSON Schema does not have. A pattern cannot tell how many days a
/// month has.
pub(crate) const LOCAL_TIME_FORMAT: &str = "date-time-local";

/// Whether a text is such a time of a day that exists.
pub(crate) fn is_local_time(text: &str) -> bool {
    text.parse::<NaiveDateTime>().is_ok()
}

/// As a timestamp, but for what could not be stored: more digits than six, and leap seconds.
struct Instant(DateTime<Utc>);

/// RFC 3339 up to microseconds.
pub(crate) const INSTANT: &str = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$";

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
            ..MetaSchema::new_with_format("string", LOCAL_TIME_FORMAT)
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

impl Type for Instant {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_instant".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(INSTANT.to_owned()),
            example: Some("2026-12-01T08:00:00Z".into()),
            ..MetaSchema::new_with_format("string", "date-time")
        }))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Instant {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let text = value
            .as_str()
            .ok_or_else(|| ParseError::custom("no text"))?;
        Ok(Self(DateTime::parse_from_rfc3339(text)?.to_utc()))
    }
}

impl ToJSON for Instant {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}
