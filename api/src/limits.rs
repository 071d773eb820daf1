//! Rate limits: token buckets in Redis, shared by all processes, refilled steadily.
//!
//! Without Redis, people who are signed in pass, and what a stranger can call falls back to buckets
//! of this process, so that passwords cannot be guessed faster while Redis is away.

mod local;

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use redis::{Script, aio::ConnectionManager};
use taskhub::{
    settings::{RateLimit, RateLimits},
    users::RESET_LIFE,
};

use local::Buckets;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    Read,
    Write,
    LoginAddress,
    LoginAccount,
    Register,
    PasswordReset,
    /// Letters about a forgotten password, per mailbox.
    ResetLetter,
}

/// What happens while Redis does not answer.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    Pass,
    ThisProcess,
}

/// What became of one request, and by which rule.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub policy: Policy,
    pub rate: RateLimit,
    pub taken: Taken,
}

/// The state of one bucket after a request took from it, or could not.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub allowed: bool,
    /// How many requests are allowed at once from now on.
    pub remaining: u32,
    /// After this, one more is allowed. With none remaining, this is when the next request passes.
    pub next: Duration,
}

impl Verdict {
    /// The member of `RateLimit` for this policy (draft-ietf-httpapi-ratelimit-headers-11, section 4).
    pub fn state(&self) -> String {
        let (name, remaining) = (self.policy.name(), self.taken.remaining);
        format!("\"{name}\";r={remaining};t={}", self.taken.next_seconds())
    }
}

impl Taken {
    /// Whole seconds, rounded up: whoever waits that long is not too early.
    pub fn next_seconds(&self) -> u64 {
        self.next.as_secs_f64().ceil() as u64
    }
}

impl Policy {
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::LoginAddress,
        Self::LoginAccount,
        Self::Register,
        Self::PasswordReset,
        Self::ResetLetter,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::LoginAddress => "login-address",
            Self::LoginAccount => "login-account",
            Self::Register => "register",
            Self::PasswordReset => "password-reset",
            Self::ResetLetter => "reset-letter",
        }
    }
}

/// The longest that a request waits for Redis.
const PATIENCE: Duration = Duration::from_millis(100);

/// After a failure Redis is left alone for this long, so that a hanging one costs little.
const PAUSE_MILLIS: u64 = 1000;

/// Whoever is refused by this has a code younger than six minutes in the mailbox, and codes are good for
/// thirty: nobody can keep an owner from a new password by using the limit up.
const RESET_LETTERS: RateLimit = RateLimit {
    requests: 5,
    period: RESET_LIFE,
};

/// How long an address counts as known to an account after signing in from it.
const KNOWN_SECONDS: u64 = 30 * 24 * 3600;

/// By how much a bucket may fall short of a whole token: sums of fractions are not exact, and a client that
/// waited as long as it was told to must pass.
const TOLERANCE: f64 = 1e-6;

/// Takes one token. `KEYS[1]` the bucket; `ARGV` quota, window in milliseconds and tolerance. Gives whether
/// it was taken, whole tokens left, and milliseconds until there is one more.
const TAKE: &str = r"
local quota, window, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1] or quota), tonumber(bucket[2] or now)
tokens = math.min(quota, tokens + math.max(0, now - at) * quota / window)
local taken = 0
if tokens >= 1 - tolerance then taken = 1; tokens = math.max(0, tokens - 1) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[1], window)
local whole = math.floor(tokens + tolerance)
return {taken, whole, math.ceil((whole + 1 - tokens) * window / quota)}";

/// The buckets of one deployment.
pub struct Limits {
    redis: ConnectionManager,
    rates: RateLimits,
    /// Before every key, so that tests do not meet.
    prefix: String,
    take: Script,
    /// Of this process, for while Redis is away.
    local: Buckets,
    started: Instant,
    /// Milliseconds after `started` before which Redis is not asked.
    paused_until: AtomicU64,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits")
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

impl Limits {
    pub fn new(redis: ConnectionManager, rates: RateLimits, prefix: impl Into<String>) -> Self {
        Self {
            redis,
            rates,
            prefix: prefix.into(),
            take: Script::new(TAKE),
            local: Buckets::default(),
            started: Instant::now(),
            paused_until: AtomicU64::new(0),
        }
    }

    /// The limit of a policy; `None` where there is none.
    pub fn rate(&self, policy: Policy) -> Option<RateLimit> {
        match policy {
            Policy::Read => self.rates.read,
            Policy::Write => self.rates.write,
            Policy::LoginAddress => self.rates.login_address,
            Policy::LoginAccount => self.rates.login_account,
            Policy::Register => self.rates.register,
            Policy::PasswordReset => self.rates.password_reset,
            Policy::ResetLetter => Some(RESET_LETTERS),
        }
    }

    /// Takes one request of `who` from the bucket of `policy`; `None` where that limit is off.
    pub async fn take(&self, policy: Policy, who: &str, fallback: Fallback) -> Option<Verdict> {
        let rate = self.rate(policy)?;
        let key = format!("{}limit:{}:{who}", self.prefix, policy.name());
        let window = u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX);
        let answer = self.ask(async |mut redis| {
            let mut call = self.take.key(&key);
            call.arg(rate.requests).arg(window).arg(TOLERANCE);
            call.invoke_async::<(u8, u32, u64)>(&mut redis).await
        });
        let taken = match (answer.await, fallback) {
            (Some((taken, left, next)), _) => Taken {
                allowed: taken == 1,
                remaining: left,
                next: Duration::from_millis(next),
            },
            (None, Fallback::Pass) => Taken {
                allowed: true,
                remaining: rate.requests,
                next: Duration::ZERO,
            },
            (None, Fallback::ThisProcess) => self.local.take(key, rate, Instant::now()),
        };
        Some(Verdict {
            policy,
            rate,
            taken,
        })
    }

    /// Counts an attempt to sign in, before any password is looked at. An address from which the
    /// account signed in lately has a bucket of its own, so a stranger's guesses never lock its
    /// owner out.
    ///
    /// # Errors
    /// The verdict that refuses.
    pub async fn login(&self, account: &str, address: IpAddr) -> Result<(), Verdict> {
        refuse(
            self.take(Policy::LoginAddress, &group(address), Fallback::ThisProcess)
                .await,
        )?;
        let who = self.login_bucket(account, address).await;
        refuse(
            self.take(Policy::LoginAccount, &who, Fallback::ThisProcess)
                .await,
        )
    }

    /// A right password empties the account's count and makes the address known.
    pub async fn login_succeeded(&self, account: &str, address: IpAddr) {
        let who = self.login_bucket(account, address).await;
        let bucket = format!("{}limit:{}:{who}", self.prefix, Policy::LoginAccount.name());
        self.local.forget(&bucket);
        self.ask(async |mut redis| {
            redis::pipe()
                .del(bucket)
                .set_ex(self.known(account, address), 1, KNOWN_SECONDS)
                .query_async::<()>(&mut redis)
                .await
        })
        .await;
    }

    /// Counts a registration.
    ///
    /// # Errors
    /// The verdict that refuses.
    pub async fn registration(&self, address: IpAddr) -> Result<(), Verdict> {
        refuse(
            self.take(Policy::Register, &group(address), Fallback::ThisProcess)
                .await,
        )
    }

    /// Counts a forgotten password.
    ///
    /// # Errors
    /// The verdict that refuses.
    pub async fn password_reset(&self, address: IpAddr) -> Result<(), Verdict> {
        refuse(
            self.take(
                Policy::PasswordReset,
                &group(address),
                Fallback::ThisProcess,
            )
            .await,
        )
    }

    /// Whether another letter about a forgotten password may go to `email`. To be asked for every
    /// address, whether it has an account or not.
    pub async fn reset_letter(&self, email: &str) -> bool {
        let mailbox = email.to_lowercase();
        let verdict = self.take(Policy::ResetLetter, &mailbox, Fallback::ThisProcess);
        refuse(verdict.await).is_ok()
    }

    async fn login_bucket(&self, account: &str, address: IpAddr) -> String {
        let known = self.known(account, address);
        let known = self
            .ask(async |mut redis| {
                redis::cmd("EXISTS")
                    .arg(known)
                    .query_async::<bool>(&mut redis)
                    .await
            })
            .await;
        match known {
            Some(true) => format!("{account}@{}", group(address)),
            Some(false) | None => account.to_owned(),
        }
    }

    fn known(&self, account: &str, address: IpAddr) -> String {
        format!("{}login:known:{account}@{}", self.prefix, group(address))
    }

    /// Asks Redis, unless it failed a moment ago.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(ConnectionManager) -> redis::RedisResult<T>,
    ) -> Option<T> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now < self.paused_until.load(Ordering::Relaxed) {
            return None;
        }
        match tokio::time::timeout(PATIENCE, question(self.redis.clone())).await {
            Ok(Ok(answer)) => Some(answer),
            failure => {
                self.paused_until
                    .store(now + PAUSE_MILLIS, Ordering::Relaxed);
                metrics::counter!("rate_limit_redis_failures_total").increment(1);
                let reason = match failure {
                    Ok(Err(error)) => error.to_string(),
                    Ok(Ok(_)) | Err(_) => "it did not answer in time".to_owned(),
                };
                tracing::warn!(reason, "rate limits fall back: Redis failed");
                None
            }
        }
    }
}

fn refuse(verdict: Option<Verdict>) -> Result<(), Verdict> {
    match verdict {
        Some(verdict) if !verdict.taken.allowed => Err(verdict),
        Some(_) | None => Ok(()),
    }
}

/// Who an address is: itself, or its /64 where one customer has a whole network (IPv6).
pub fn group(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_with_a_whole_network_is_one() {
        let group = |address: &str| group(address.parse().unwrap());
        assert_eq!(group("192.0.2.7"), "192.0.2.7");
        assert_eq!(group("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:2:ffff::9"));
        assert_ne!(group("2001:db8:1:2::1"), group("2001:db8:1:3::1"));
    }
}
