//! Positions: fractions in base 36, written without the leading `0.` and compared as text, so that there is
//! room between any two of them.

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE: usize = DIGITS.len();

/// A short position after `low` and before `high`; `None` where nothing fits between them, because they are equal or
/// differ by zeros at the end alone. The empty `low` stands for the beginning, no `high` for the end.
pub(super) fn between(low: &str, high: Option<&str>) -> Option<String> {
    let (low, mut high) = (low.as_bytes(), high.map(str::as_bytes));
    if high.is_some_and(|high| high <= low) {
        return None;
    }
    let mut position = String::new();
    for index in 0.. {
        let below = low.get(index).map_or(0, |byte| value(*byte));
        let above = match high {
            Some(high) => value(*high.get(index)?),
            None => BASE,
        };
        if above > below + 1 {
            push(&mut position, usize::midpoint(below, above));
            return Some(position);
        }
        // The next digits have to be more than those of `low`, and may be anything where this one is less.
        push(&mut position, below);
        if above > below {
            high = None;
        }
    }
    None
}

/// `count` positions in ascending order between the two, as short as halving makes them; `None` where there is no room.
pub(super) fn spread(low: &str, high: Option<&str>, count: usize) -> Option<Vec<String>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let middle = between(low, high)?;
    let mut positions = spread(low, Some(&middle), count / 2)?;
    let after = spread(&middle, high, count - count / 2 - 1)?;
    positions.push(middle);
    positions.extend(after);
    Some(positions)
}

/// What is no digit counts as the nearest one that is.
fn value(byte: u8) -> usize {
    DIGITS.partition_point(|digit| *digit < byte).min(BASE - 1)
}

fn push(position: &mut String, digit: usize) {
    position.push(char::from(DIGITS[digit]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    #[test]
    fn the_shortest_digit_in_the_middle_is_taken() {
        for (low, high, expected) in [
            ("", None, "i"),
            ("00000005i", Some("00000006i"), "00000005r"),
            ("00000005i", Some("00000005j"), "00000005ii"),
            ("", Some("00000001i"), "00000000i"),
            ("zz", None, "zzi"),
            ("a", Some("a01"), "a00i"),
        ] {
            assert_eq!(
                between(low, high).as_deref(),
                Some(expected),
                "{low} {high:?}"
            );
        }
    }

    #[test]
    fn nothing_fits_between_equals() {
        for (low, high) in [("a", "a"), ("", ""), ("a", "a00"), ("b", "a")] {
            assert_eq!(between(low, Some(high)), None, "{low} {high}");
        }
    }

    proptest! {
        #[test]
        fn what_is_between_is_between(mut ends in prop::collection::vec("[0-9a-z]{0,6}[1-9a-z]", 2)) {
            ends.sort();
            if ends[0] == ends[1] {
                return Ok(());
            }
            let middle = between(&ends[0], Some(&ends[1])).expect("room");
            assert!(ends[0] < middle && middle < ends[1], "{} {middle} {}", ends[0], ends[1]);
            assert!(!middle.ends_with('0'), "there must be room below it");
            let last = between(&ends[1], None).expect("room");
            assert!(ends[1] < last);
        }

        #[test]
        fn many_are_spread_in_order_and_short(count in 0_usize..300) {
            let positions = spread("00000003i", Some("00000004i"), count).expect("room");
            assert_eq!(positions.len(), count);
            assert!(positions.is_sorted_by(|one, next| one < next));
            assert!(positions.iter().all(|position| position.len() <= 12));
        }
    }
}
