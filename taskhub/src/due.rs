//! When something starts or is due.

mod changes;
mod clock;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, Timelike as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use self::{
    changes::WhenChanges,
    clock::{Clock, Stretch},
};
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

fn check_date(date: NaiveDate, pointer: &str, violations: &mut Vec<Violation>) {
    check_year(date, &format!("{pointer}/date"), violations);
}

fn check_local(local: NaiveDateTime, pointer: &str, violations: &mut Vec<Violation>) {
    let pointer = format!("{pointer}/local");
    check_year(local.date(), &pointer, violations);
    check_fraction(local.nanosecond(), &pointer, violations);
}

fn check_at(at: DateTime<Utc>, pointer: &str, violations: &mut Vec<Violation>) {
    let pointer = format!("{pointer}/at");
    check_year(at.date_naive(), &pointer, violations);
    check_fraction(at.nanosecond(), &pointer, violations);
}

/// Of an instant it is the year in UTC, wherever its offset would put it.
fn check_year(date: NaiveDate, pointer: &str, violations: &mut Vec<Violation>) {
    if !(1..=9999).contains(&date.year()) {
        violations.push(Violation {
            pointer: pointer.to_owned(),
            code: "out-of-range",
            detail: "must be in the years 0001 to 9999".to_owned(),
        });
    }
}

/// PostgreSQL would round what is smaller than a microsecond, and make a leap second the next one.
fn check_fraction(nanosecond: u32, pointer: &str, violations: &mut Vec<Violation>) {
    if !nanosecond.is_multiple_of(1000) || nanosecond >= 1_000_000_000 {
        violations.push(Violation {
            pointer: pointer.to_owned(),
            code: "too-precise",
            detail: "must have at most six digits after the second, and no leap second".to_owned(),
        });
    }
}

fn check_zone(name: &str, pointer: &str, violations: &mut Vec<Violation>) {
    if name.parse::<Tz>().is_err() {
        violations.push(Violation {
            pointer: format!("{pointer}/time_zone"),
            code: "unknown-time-zone",
            detail: "must be the name of an IANA time zone, such as Europe/Vienna".to_owned(),
        });
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
    fn what_would_be_rounded_is_refused() {
        for (form, codes) in [
            (
                json!({"at": "9999-12-31T23:59:59.999999Z", "time_zone": "UTC"}),
                &[][..],
            ),
            (
                json!({"at": "9999-12-31T23:59:59.999999999Z", "time_zone": "UTC"}),
                &["too-precise"],
            ),
            (
                json!({"at": "2026-12-01T08:00:60Z", "time_zone": "UTC"}),
                &["too-precise"],
            ),
            (
                json!({"local": "2026-12-01T08:00:00.0000001"}),
                &["too-precise"],
            ),
            (
                json!({"at": "0001-01-01T00:00:00+14:00", "time_zone": "UTC"}),
                &["out-of-range"],
            ),
            (
                json!({"at": "9999-12-31T23:59:59-00:01", "time_zone": "UTC"}),
                &["out-of-range"],
            ),
        ] {
            let mut violations = Vec::new();
            let when: When = from_value(form.clone()).unwrap();
            WhenChanges::from(when).check("/due", &mut violations);
            let found: Vec<_> = violations.iter().map(|violation| violation.code).collect();
            assert_eq!(found, codes, "{form}");
        }
    }

    #[test]
    fn zones_and_years_are_checked() {
        let mut violations = Vec::new();
        let when: When =
            from_value(json!({"at": "+12026-12-01T08:00:00Z", "time_zone": "Europe/Wien"}))
                .unwrap();
        WhenChanges::from(when).check("/due", &mut violations);
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
