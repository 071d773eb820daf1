//! Chance that comes out the same for the same seed.

use std::time::Duration;

/// The generator `SplitMix64` (Steele, Lea and Flood 2014).
pub(super) struct Random(u64);

impl Random {
    /// A sequence of its own for each `purpose`, so that how often one is asked does not change another.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut root = Self(seed ^ purpose.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(root.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not zero.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }

    pub(super) fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub(super) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let part = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        least + (most - least).mul_f64(part)
    }

    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// In the form of a version 4 UUID.
    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence_and_each_purpose_its_own() {
        let sequence = |seed, purpose| {
            let mut random = Random::new(seed, purpose);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(sequence(7, 1), sequence(7, 1));
        assert_ne!(sequence(7, 1), sequence(8, 1));
        assert_ne!(sequence(7, 1), sequence(7, 2));
    }

    #[test]
    fn every_choice_is_made_and_none_outside() {
        let mut random = Random::new(1, 1);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[random.below(5)] = true;
            let second = Duration::from_secs(1);
            let between = random.between(second, 2 * second);
            assert!((second..=2 * second).contains(&between));
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn a_uuid_has_the_marks_of_its_version() {
        let uuid = Random::new(1, 1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }
}
