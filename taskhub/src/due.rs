//! When something starts or is due.

mod clock;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use self::clock::{Clock, Stretch};
use crate::Violation;

/// One of three things that people mean by a date; as JSON `{"date"}`, `{"local"}` or
/// `{"at", "time_zone"}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum When {
    /// A day, whatever the time.
    Date { date: NaiveDate },
    /// A wall-clock time wherever the person is.
    Local { local: NaiveDateTime },
    /// An instant, and the IANA name of the zone that it was meant in.
    At {
        at: DateTime<Utc>,
        time_zone: String,
    },
}

/// The columns that hold a [`When`]; all are null where there is none.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) date: Option<NaiveDate>,
    pub(crate) local: Option<NaiveDateTime>,
    pub(crate) at: Option<DateTime<Utc>>,
    pub(crate) time_zone: Option<String>,
}

impl When {
    /// Adds what is wrong with it: a year of other than four digits, an unknown zone.
    pub(crate) fn check(&self, pointer: &str, violations: &mut Vec<Violation>) {
        let mut broken = |field: &str, code, detail: &str| {
            violations.push(Violation {
                pointer: format!("{pointer}/{field}"),
                code,
                detail: detail.to_owned(),
            });
        };
        let (field, year) = match self {
            Self::Date { date } => ("date", date.year()),
            Self::Local { local } => ("local", local.year()),
            Self::At { at, .. } => ("at", at.year()),
        };
        if !(1..=9999).contains(&year) {
            broken(field, "out-of-range", "must be in the years 0001 to 9999");
        }
        if let Self::At { time_zone, .. } = self
            && time_zone.parse::<Tz>().is_err()
        {
            broken(
                "time_zone",
                "unknown-time-zone",
                "must be the name of an IANA time zone, such as Europe/Vienna",
            );
        }
    }
}

impl From<Option<When>> for Columns {
    fn from(when: Option<When>) -> Self {
        let mut columns = Self::default();
        match when {
            None => {}
            Some(When::Date { date }) => columns.date = Some(date),
            Some(When::Local { local }) => columns.local = Some(local),
            Some(When::At { at, time_zone }) => {
                columns.at = Some(at);
                columns.time_zone = Some(time_zone);
            }
        }
        columns
    }
}

impl From<Columns> for Option<When> {
    fn from(columns: Columns) -> Self {
        let Columns {
            date,
            local,
            at,
            time_zone,
        } = columns;
        date.map(|date| When::Date { date })
            .or(local.map(|local| When::Local { local }))
            .or(at
                .zip(time_zone)
                .map(|(at, time_zone)| When::At { at, time_zone }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn it_has_exactly_one_of_three_forms() {
        for form in [
            json!({"date": "2026-12-01"}),
            json!({"local": "2026-12-01T09:00:00"}),
            json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Vienna"}),
        ] {
            let when: When = from_value(form.clone()).unwrap();
            assert_eq!(json!(when), form);
        }
        for other in [
            json!({}),
            json!({"date": "2026-12-01", "local": "2026-12-01T09:00:00"}),
            json!({"at": "2026-12-01T08:00:00Z"}),
            json!({"time_zone": "Europe/Vienna"}),
            json!({"local": "2026-12-01T09:00:00Z"}),
        ] {
            assert!(from_value::<When>(other.clone()).is_err(), "{other}");
        }
    }

    #[test]
    fn zones_and_years_are_checked() {
        let mut violations = Vec::new();
        let when: When =
            from_value(json!({"at": "+12026-12-01T08:00:00Z", "time_zone": "Europe/Wien"}))
                .unwrap();
        when.check("/due", &mut violations);
        let found: Vec<_> = violations
            .iter()
            .map(|violation| (violation.pointer.as_str(), violation.code))
            .collect();
        assert_eq!(
            found,
            [
                ("/due/at", "out-of-range"),
                ("/due/time_zone", "unknown-time-zone")
            ]
        );
    }
}
