//! Times as they travel.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef},
    types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type},
};
use serde_json::Value;

/// An instant, written as RFC 3339 asks, always in UTC and always with `Z`. The framework's own type
/// would write `+00:00`, which not every client reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timestamp(pub DateTime<Utc>);

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant)
    }
}

impl Type for Timestamp {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_date-time".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "date-time")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for Timestamp {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let value = value.unwrap_or_default();
        let text = value
            .as_str()
            .ok_or_else(|| ParseError::expected_type(value.clone()))?;
        Ok(Self(DateTime::parse_from_rfc3339(text)?.to_utc()))
    }
}

impl ParseFromParameter for Timestamp {
    fn parse_from_parameter(value: &str) -> ParseResult<Self> {
        let time = DateTime::parse_from_rfc3339(value)?;
        // Whatever is compared with it has microseconds: rounded up, it divides them as it would itself.
        let micros = time.timestamp_subsec_nanos().div_ceil(1000);
        let time = DateTime::from_timestamp(time.timestamp(), 0)
            .map(|second| second + TimeDelta::microseconds(micros.into()));
        time.map(Self).ok_or_else(|| ParseError::custom("no time"))
    }
}

impl ToJSON for Timestamp {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_with_z_however_it_came() {
        let written = |text: &str| {
            Timestamp::parse_from_json(Some(text.into()))
                .unwrap()
                .to_json()
        };
        assert_eq!(
            written("2026-12-01T09:00:00+01:00"),
            Some("2026-12-01T08:00:00Z".into())
        );
        assert_eq!(
            written("2026-12-01T08:00:00.25Z"),
            Some("2026-12-01T08:00:00.250Z".into())
        );
    }

    #[test]
    fn a_parameter_is_rounded_up_to_what_is_stored() {
        for (text, time) in [
            (
                "2026-12-01T08:00:00.000000001Z",
                "2026-12-01T08:00:00.000001Z",
            ),
            ("2026-12-01T08:00:00.123456Z", "2026-12-01T08:00:00.123456Z"),
            ("9999-12-31T23:59:59.999999999Z", "+10000-01-01T00:00:00Z"),
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
        ] {
            let read = Timestamp::parse_from_parameter(text).unwrap();
            assert_eq!(read, Timestamp(time.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in [
            Value::Null,
            7.into(),
            "2026-12-01".into(),
            "2026-12-01T08:00:00".into(),
        ] {
            assert!(Timestamp::parse_from_json(Some(value)).is_err());
        }
    }
}
