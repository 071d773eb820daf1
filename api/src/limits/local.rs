//! Token buckets of this process alone, in bounded memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use taskhub::settings::RateLimit;

use super::{TOLERANCE, Taken};

/// How many buckets are kept at most.
const MAX: usize = 100_000;

#[derive(Default)]
pub(super) struct Buckets(Mutex<HashMap<String, Bucket>>);

struct Bucket {
    tokens: f64,
    at: Instant,
    /// From then on it is as good as new.
    full_at: Instant,
}

impl Buckets {
    /// Takes one token from the bucket of `key`, which refills steadily at `rate`.
    pub(super) fn take(&self, key: String, rate: RateLimit, now: Instant) -> Taken {
        let quota = f64::from(rate.requests);
        let per_token = rate.period.div_f64(quota);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX && !buckets.contains_key(&key) {
            make_room(&mut buckets, now);
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: quota,
            at: now,
            full_at: now,
        });
        let passed = now.saturating_duration_since(bucket.at);
        bucket.tokens = (bucket.tokens + passed.div_duration_f64(per_token)).min(quota);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0 - TOLERANCE;
        if allowed {
            bucket.tokens = (bucket.tokens - 1.0).max(0.0);
        }
        bucket.full_at = now + per_token.mul_f64(quota - bucket.tokens);
        let whole = (bucket.tokens + TOLERANCE).floor();
        Taken {
            allowed,
            remaining: whole as u32,
            next: per_token.mul_f64((whole + 1.0 - bucket.tokens).max(0.0)),
        }
    }

    pub(super) fn forget(&self, key: &str) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.remove(key);
    }
}

/// Drops what says nothing any more; where nothing does, whichever comes first.
fn make_room(buckets: &mut HashMap<String, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| bucket.full_at > now);
    if buckets.len() >= MAX
        && let Some(any) = buckets.keys().next().cloned()
    {
        buckets.remove(&any);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const THREE_A_MINUTE: RateLimit = RateLimit {
        requests: 3,
        period: Duration::from_secs(60),
    };

    fn take(buckets: &Buckets, key: &str, now: Instant) -> Taken {
        buckets.take(key.to_owned(), THREE_A_MINUTE, now)
    }

    #[test]
    fn the_quota_is_there_at_once_and_comes_back_steadily() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for left in [2, 1, 0] {
            let taken = take(&buckets, "ada", start);
            assert!(taken.allowed);
            assert_eq!(taken.remaining, left);
        }
        let refused = take(&buckets, "ada", start);
        assert!(!refused.allowed);
        assert_eq!(refused.next.as_secs_f64().round(), 20.0);
        assert!(!take(&buckets, "ada", start + Duration::from_secs(19)).allowed);
        assert!(take(&buckets, "ada", start + Duration::from_secs(21)).allowed);
        assert!(!take(&buckets, "ada", start + Duration::from_secs(22)).allowed);
    }

    #[test]
    fn everybody_has_a_bucket_of_their_own_until_it_is_forgotten() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for _ in 0..4 {
            take(&buckets, "ada", start);
        }
        assert!(take(&buckets, "bob", start).allowed);
        assert!(!take(&buckets, "ada", start).allowed);
        buckets.forget("ada");
        assert!(take(&buckets, "ada", start).allowed);
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_go_first() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for index in 0..MAX {
            take(&buckets, &index.to_string(), start);
        }
        let later = start + Duration::from_secs(15);
        for _ in 0..3 {
            take(&buckets, "0", later);
        }
        take(&buckets, "one too many", later);
        let count = || buckets.0.lock().unwrap().len();
        assert_eq!(count(), MAX, "one made room, although none was full");
        let full = start + Duration::from_secs(40);
        take(&buckets, "another", full);
        assert!(count() <= 3, "{} are kept", count());
    }

    proptest::proptest! {
        #[test]
        fn whoever_waits_until_the_next_passes_and_a_little_less_does_not(
            requests in 1_u32..10_000,
            period in 1_u64..100_000,
            pauses in proptest::collection::vec(0_u64..3_000, 0..20),
        ) {
            let rate = RateLimit { requests, period: Duration::from_secs(period) };
            let (buckets, mut now) = (Buckets::default(), Instant::now());
            let take = |now| buckets.take("ada".to_owned(), rate, now);
            let mut last = take(now);
            for pause in pauses {
                now += Duration::from_millis(pause);
                last = take(now);
            }
            for _ in 0..last.remaining {
                last = take(now);
                proptest::prop_assert!(last.allowed);
            }
            // Nearer to it than this, the tolerance lets it pass.
            let missing = last.next.as_secs_f64() * f64::from(requests) / period as f64;
            proptest::prop_assume!(missing > 1e-3);
            proptest::prop_assert!(!take(now).allowed);
            proptest::prop_assert!(!take(now + last.next.mul_f64(0.99)).allowed);
            proptest::prop_assert!(take(now + last.next).allowed);
        }
    }

    #[test]
    fn a_clock_that_stands_still_gives_nothing() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        take(&buckets, "ada", start + Duration::from_secs(5));
        assert_eq!(take(&buckets, "ada", start).remaining, 1);
    }
}
