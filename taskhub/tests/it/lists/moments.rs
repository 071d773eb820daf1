//! When tasks are due and in which order, found in another way than the application does.

use chrono::{
    DateTime, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;
use taskhub::due::{Clock, Stretch, When};
use uuid::Uuid;

/// Their clocks have gone forward and back by an hour and by other times, at midnight and over it,
/// and over a whole day; some never change.
pub(super) const ZONES: [Tz; 15] = [
    Tz::UTC,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__Havana,
    Tz::America__St_Johns,
    Tz::Atlantic__Azores,
    Tz::Africa__Casablanca,
    Tz::Africa__Monrovia,
    Tz::Asia__Kathmandu,
    Tz::Asia__Kolkata,
    Tz::Australia__Lord_Howe,
    Tz::Europe__Vienna,
    Tz::Pacific__Apia,
    Tz::Pacific__Chatham,
    Tz::Pacific__Kwajalein,
];

/// Numbers that are the same in every run (`SplitMix64`).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below((to - from).cast_unsigned())).unwrap()
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// When a wall-clock time is: the earlier of two; where there is none, as if the clock had not yet
/// gone forward.
pub(super) fn moment(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    if let Some(time) = zone.from_local_datetime(&local).earliest() {
        return time.to_utc();
    }
    let before = (1..).find_map(|minutes| {
        let time = zone.from_local_datetime(&(local - TimeDelta::minutes(minutes)));
        time.latest()
    });
    let offset = before.unwrap().offset().fix().local_minus_utc();
    (local - TimeDelta::seconds(offset.into())).and_utc()
}

pub(super) fn due(zone: Tz, when: &When) -> DateTime<Utc> {
    match when {
        When::Date { date } => moment(zone, date.and_time(NaiveTime::MIN)),
        When::Local { local } => moment(zone, *local),
        When::At { at, .. } => *at,
    }
}

/// About when the clocks of a zone changed, at most twelve hours later.
pub(super) fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let year = |year| {
        NaiveDate::from_ymd_opt(year, 1, 1)
            .unwrap()
            .and_time(NaiveTime::MIN)
            .and_utc()
    };
    let offset = |time: DateTime<Utc>| zone.offset_from_utc_datetime(&time.naive_utc()).fix();
    let mut time = year(1965);
    let mut found = Vec::new();
    while time < year(2035) {
        let next = time + TimeDelta::hours(12);
        if offset(time) != offset(next) {
            found.push(next);
        }
        time = next;
    }
    // A clock that never changes is asked about some time.
    found.push(year(2026));
    found
}

/// Times around a change on a grid, so that several are the same.
pub(super) fn near(dice: &mut Dice, change: DateTime<Utc>) -> DateTime<Utc> {
    let hours = dice.one_of(&[6, 16, 40]);
    let grid = dice.one_of(&[15, 30, 60, 360]);
    let minutes = dice.between(-hours * 60 / grid, hours * 60 / grid) * grid;
    let hour = change.timestamp().div_euclid(3600) * 3600;
    DateTime::from_timestamp(hour + minutes * 60, 0).unwrap()
}

pub(super) fn any_due(dice: &mut Dice, zone: Tz, change: DateTime<Utc>) -> Option<When> {
    let at = near(dice, change);
    // What the clock would show had it not changed, so that what it skips is met as well.
    let offset = near(dice, change).with_timezone(&zone).offset().fix();
    let local = at.naive_utc() + TimeDelta::seconds(offset.local_minus_utc().into());
    match dice.below(8) {
        0 => None,
        1 | 2 => Some(When::Date { date: local.date() }),
        3..=5 => Some(When::Local { local }),
        _ => Some(When::At {
            at,
            time_zone: "UTC".to_owned(),
        }),
    }
}

/// The ids in the order of the list.
pub(super) fn expected(zone: Tz, all: &[(Uuid, Option<When>)], descending: bool) -> Vec<Uuid> {
    let mut keys: Vec<_> = all
        .iter()
        .map(|(id, when)| {
            (
                when.is_none(),
                when.as_ref().map(|when| due(zone, when)),
                *id,
            )
        })
        .collect();
    keys.sort_by(|one, other| {
        let by_moment = (one.1, one.2).cmp(&(other.1, other.2));
        one.0.cmp(&other.0).then(if descending {
            by_moment.reverse()
        } else {
            by_moment
        })
    });
    keys.into_iter().map(|(_, _, id)| id).collect()
}

#[test]
fn the_clock_agrees_with_the_zone_wherever_it_changes() {
    let mut dice = Dice(1);
    for zone in ZONES {
        let clock = Clock::new(zone);
        for change in changes(zone) {
            let at = near(&mut dice, change) + TimeDelta::microseconds(dice.between(-1, 2));
            let before = clock.before(at);
            let since = clock.since(at);
            for _ in 0..20 {
                let local = near(&mut dice, change).naive_utc()
                    + TimeDelta::minutes(dice.between(-12 * 60, 12 * 60))
                    + TimeDelta::microseconds(dice.between(-1, 2));
                let moment = moment(zone, local);
                assert_eq!(clock.moment(local), moment, "{zone} {local}");
                let within = |stretches: &[Stretch]| {
                    stretches.iter().any(|stretch| {
                        stretch.from.is_none_or(|from| from <= local)
                            && stretch.to.is_none_or(|to| local < to)
                    })
                };
                assert_eq!(within(&before), moment < at, "{zone} {local} before {at}");
                assert_eq!(within(&since), moment >= at, "{zone} {local} since {at}");
            }
            let day = clock.day(at);
            assert!(due(zone, &When::Date { date: day }) <= at, "{zone} {at}");
            let next = day + chrono::Days::new(1);
            assert!(due(zone, &When::Date { date: next }) > at, "{zone} {at}");
        }
    }
}
