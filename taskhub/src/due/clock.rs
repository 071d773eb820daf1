//! A reader's clock: the moment of each wall-clock time and day in their time zone.

use chrono::{
    DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _,
    Timelike as _, Utc,
};
use chrono_tz::Tz;

use super::When;

/// The clocks of a zone change at most once within this time: no change in the IANA database is
/// nearer to the next one.
const STEP: TimeDelta = TimeDelta::hours(8);

/// No zone is as far from UTC as this, and no change moves a clock further.
const REACH: TimeDelta = TimeDelta::days(2);

/// Decides when something is due for a reader. Filter, order and day of a list all ask it, so they
/// agree.
///
/// A wall-clock time that comes twice, because the clocks go back, is the earlier of the two. One that
/// the clocks skip is as much later as they skip, usually an hour (RFC 5545, 3.3.5). A day is due when
/// it begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    zone: Tz,
}

/// The wall-clock times from `from` on and before `to`; `None` has no end on that side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub from: Option<NaiveDateTime>,
    pub to: Option<NaiveDateTime>,
}

/// A stretch whose moments are its wall-clock times minus `offset`.
struct Piece {
    stretch: Stretch,
    offset: TimeDelta,
}

impl Clock {
    pub const fn new(zone: Tz) -> Self {
        Self { zone }
    }

    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// The moment at which something is due.
    pub fn due(&self, when: &When) -> DateTime<Utc> {
        match when {
            When::Date { date } => self.beginning(*date),
            When::Local { local } => self.moment(*local),
            When::At { at, .. } => *at,
        }
    }

    /// The moment of a wall-clock time.
    pub fn moment(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let pieces = self.pieces(local);
        let piece = pieces
            .iter()
            .find(|piece| piece.stretch.to.is_none_or(|to| local < to));
        let offset = piece.map_or(TimeDelta::zero(), |piece| piece.offset);
        (local - offset).and_utc()
    }

    /// The moment at which a day begins.
    pub fn beginning(&self, day: NaiveDate) -> DateTime<Utc> {
        self.moment(day.and_time(NaiveTime::MIN))
    }

    /// The day at a moment: the last one that has begun.
    pub fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        let shown = at.with_timezone(&self.zone).date_naive();
        // Where the clocks go back over midnight, they show the day before once more.
        let next = shown + Days::new(1);
        if self.beginning(next) <= at {
            next
        } else {
            shown
        }
    }

    /// The wall-clock times whose moment is before `at`, in order. Within a stretch, the order of the
    /// wall-clock times is that of their moments, at least near `at`.
    pub fn before(&self, at: DateTime<Utc>) -> Vec<Stretch> {
        let mut pieces = self.pieces(at.naive_utc());
        for piece in &mut pieces {
            let end = at.naive_utc() + piece.offset;
            piece.stretch.to = Some(piece.stretch.to.map_or(end, |to| to.min(end)));
        }
        joined(pieces)
    }

    /// The wall-clock times whose moment is `at` or later, in order, as [`Clock::before`].
    pub fn since(&self, at: DateTime<Utc>) -> Vec<Stretch> {
        let mut pieces = self.pieces(at.naive_utc());
        for piece in &mut pieces {
            let beginning = at.naive_utc() + piece.offset;
            let from = piece.stretch.from;
            piece.stretch.from = Some(from.map_or(beginning, |from| from.max(beginning)));
        }
        joined(pieces)
    }

    /// All wall-clock times, cut where the clocks change near `around`. Where they go forward, the
    /// piece before goes on through the times that they skip; where they go back, through the times
    /// that come again.
    fn pieces(&self, around: NaiveDateTime) -> Vec<Piece> {
        // Clocks change at whole seconds.
        let end = around + REACH;
        let mut time = around - REACH - TimeDelta::nanoseconds(around.nanosecond().into());
        let mut offset = self.offset(time);
        let mut from = None;
        let mut pieces = Vec::new();
        while time < end {
            let next = time + STEP;
            let later = self.offset(next);
            if later != offset {
                let change = self.change(time, next);
                let to = Some(change + offset.max(later));
                pieces.push(Piece {
                    stretch: Stretch { from, to },
                    offset,
                });
                (from, offset) = (to, later);
            }
            time = next;
        }
        pieces.push(Piece {
            stretch: Stretch { from, to: None },
            offset,
        });
        pieces
    }

    /// The first second, in UTC, whose offset is no longer that of `low`, as is that of `high`.
    fn change(&self, mut low: NaiveDateTime, mut high: NaiveDateTime) -> NaiveDateTime {
        let before = self.offset(low);
        while high - low > TimeDelta::seconds(1) {
            let middle = low + TimeDelta::seconds((high - low).num_seconds() / 2);
            if self.offset(middle) == before {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// How far the clock is ahead of UTC, at a time in UTC.
    fn offset(&self, time: NaiveDateTime) -> TimeDelta {
        let offset = self.zone.offset_from_utc_datetime(&time).fix();
        TimeDelta::seconds(offset.local_minus_utc().into())
    }
}

/// The stretches of pieces that are not empty. Two are one where the clocks go back between them, but
/// not where they go forward, since the moments begin again there.
fn joined(pieces: Vec<Piece>) -> Vec<Stretch> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in pieces {
        let Stretch { from, to } = piece.stretch;
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            continue;
        }
        match joined.last_mut() {
            Some(last) if last.stretch.to == from && piece.offset < last.offset => {
                last.stretch.to = to;
                last.offset = piece.offset;
            }
            Some(_) | None => joined.push(piece),
        }
    }
    joined.into_iter().map(|piece| piece.stretch).collect()
}
