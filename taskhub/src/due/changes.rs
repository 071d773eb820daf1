//! A merge patch of a due time.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use super::{Columns, When};
use crate::Violation;

/// What to change of a [`When`] (RFC 7396): `None` leaves a member as it is, `Some(None)` removes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WhenChanges {
    pub date: Option<Option<NaiveDate>>,
    pub local: Option<Option<NaiveDateTime>>,
    pub at: Option<Option<DateTime<Utc>>>,
    pub time_zone: Option<Option<String>>,
}

impl From<When> for WhenChanges {
    /// To this, whatever it was before.
    fn from(when: When) -> Self {
        let Columns {
            date,
            local,
            at,
            time_zone,
        } = Some(when).into();
        Self {
            date: Some(date),
            local: Some(local),
            at: Some(at),
            time_zone: Some(time_zone),
        }
    }
}

impl WhenChanges {
    /// What becomes of `before`. A whole form takes the place of another one, whose members need not be
    /// removed: a client that sets a due time does not have to know the form that it had.
    ///
    /// # Errors
    /// What keeps the result from being one of the forms.
    pub(crate) fn apply(&self, before: Option<When>, pointer: &str) -> Result<When, Violation> {
        let Columns {
            date,
            local,
            at,
            time_zone,
        } = before.into();
        let merged = Columns {
            date: self.date.unwrap_or(date),
            local: self.local.unwrap_or(local),
            at: self.at.unwrap_or(at),
            time_zone: self.time_zone.clone().unwrap_or(time_zone),
        };
        merged
            .form()
            .or_else(|| self.alone().form())
            .ok_or_else(|| merged.missing(pointer))
    }

    /// Adds what is wrong with the members themselves.
    pub(crate) fn check(&self, pointer: &str, violations: &mut Vec<Violation>) {
        let Columns {
            date,
            local,
            at,
            time_zone,
        } = self.alone();
        date.into_iter()
            .for_each(|date| super::check_date(date, pointer, violations));
        local
            .into_iter()
            .for_each(|local| super::check_local(local, pointer, violations));
        at.into_iter()
            .for_each(|at| super::check_at(at, pointer, violations));
        let zone = time_zone.as_deref();
        zone.into_iter()
            .for_each(|zone| super::check_zone(zone, pointer, violations));
    }

    fn alone(&self) -> Columns {
        Columns {
            date: self.date.flatten(),
            local: self.local.flatten(),
            at: self.at.flatten(),
            time_zone: self.time_zone.clone().flatten(),
        }
    }
}

impl Columns {
    fn form(&self) -> Option<When> {
        match (self.date, self.local, self.at, &self.time_zone) {
            (Some(date), None, None, None) => Some(When::Date { date }),
            (None, Some(local), None, None) => Some(When::Local { local }),
            (None, None, Some(at), Some(time_zone)) => Some(When::At {
                at,
                time_zone: time_zone.clone(),
            }),
            _ => None,
        }
    }

    /// Why this is none of the forms.
    fn missing(&self, pointer: &str) -> Violation {
        let violation = |field: &str, code, detail: String| Violation {
            pointer: format!("{pointer}{field}"),
            code,
            detail,
        };
        let members = [
            (self.date.is_some(), "date"),
            (self.local.is_some(), "local"),
            (self.at.is_some(), "at"),
            (self.time_zone.is_some(), "time_zone"),
        ];
        let there: Vec<_> = members
            .into_iter()
            .filter_map(|(there, name)| there.then_some(name))
            .collect();
        match there[..] {
            [] => violation(
                "",
                "no-such-form",
                "nothing is left of it; send null to remove it".to_owned(),
            ),
            ["at"] => violation(
                "/time_zone",
                "required",
                "must be given beside at".to_owned(),
            ),
            ["time_zone"] => violation(
                "/at",
                "required",
                "must be given beside time_zone".to_owned(),
            ),
            _ => {
                let there = there.join(", ");
                let detail = format!(
                    "it would have {there} at once; it has either date, or local, or at and time_zone"
                );
                violation("", "ambiguous", detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn changes(patch: &Value) -> WhenChanges {
        fn member<T: serde::de::DeserializeOwned>(patch: &Value, name: &str) -> Option<Option<T>> {
            patch
                .get(name)
                .map(|value| from_value(value.clone()).unwrap())
        }
        WhenChanges {
            date: member(patch, "date"),
            local: member(patch, "local"),
            at: member(patch, "at"),
            time_zone: member(patch, "time_zone"),
        }
    }

    #[test]
    fn null_removes_a_member_and_what_remains_is_one_of_the_forms() {
        let day = json!({"date": "2026-12-02"});
        let clock = json!({"local": "2026-12-02T09:00:00"});
        let here = json!({"at": "2026-12-01T08:00:00Z", "time_zone": "America/New_York"});
        let there = json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Vienna"});
        let zone = json!({"time_zone": "Europe/Vienna"});
        let to_day = json!({"at": null, "time_zone": null, "date": "2026-12-02"});
        let removed =
            json!({"local": null, "at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Vienna"});
        for (before, patch, after) in [
            (&here, &to_day, Ok(&day)),
            (&here, &zone, Ok(&there)),
            (&clock, &removed, Ok(&there)),
            (&here, &json!({}), Ok(&here)),
            (&here, &json!({"date": null}), Ok(&here)),
            (&Value::Null, &to_day, Ok(&day)),
            // A whole form, whatever there was.
            (&here, &day, Ok(&day)),
            (&here, &clock, Ok(&clock)),
            (&day, &there, Ok(&there)),
            (&clock, &json!({"date": "2026-12-02", "at": null}), Ok(&day)),
            // What is none of the forms.
            (&Value::Null, &json!({}), Err("/due")),
            (&here, &json!({"at": null, "time_zone": null}), Err("/due")),
            (&here, &json!({"at": null}), Err("/due/at")),
            (&here, &json!({"time_zone": null}), Err("/due/time_zone")),
            (&Value::Null, &zone, Err("/due/at")),
            (&day, &zone, Err("/due")),
            (&day, &json!({"at": "2026-12-01T08:00:00Z"}), Err("/due")),
            (
                &day,
                &json!({"date": "2026-12-02", "local": "2026-12-02T09:00:00"}),
                Err("/due"),
            ),
        ] {
            let applied = changes(patch).apply(from_value(before.clone()).unwrap(), "/due");
            let found = applied
                .map(|when| json!(when))
                .map_err(|violation| violation.pointer);
            assert_eq!(
                found.as_ref().map_err(String::as_str),
                after,
                "{patch} on {before}"
            );
        }
    }
}
