//! Spans of time as people type them.

use std::time::Duration;

/// `90s`, `15m`, `2h`, `3d`.
///
/// # Errors
/// In words, for the command line.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let form = || "it should be a number with s, m, h or d behind it, such as 15m".to_owned();
    let at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .ok_or_else(form)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| form())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(form()),
    };
    let whole = number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= LONGEST)
        .ok_or("it is longer than a year")?;
    Ok(Duration::from_secs(whole))
}

/// Longer ones are typing errors.
const LONGEST: u64 = 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_its_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in [
            "",
            "15",
            "m",
            "1.5h",
            "-2h",
            "2 h",
            "2w",
            "400d",
            "99999999999999999999d",
            "999999999999999999d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
