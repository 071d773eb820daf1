//! Ports that belong to a checkout, so that saved connections and bookmarks keep working and two
//! checkouts run side by side.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use crate::{checkout::Checkout, progress, signals::Signals};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) api: u16,
    pub(super) api_metrics: u16,
    pub(super) worker_metrics: u16,
    pub(super) postgres: u16,
    pub(super) redis: u16,
}

const FIRST: u16 = 20_000;
/// Ports 20000 to 39999 in blocks: below those that systems hand out.
const BLOCK: u16 = 8;
const BLOCKS: u16 = 20_000 / BLOCK;

/// A run that was killed needs a moment to let go of its ports.
const PATIENCE: Duration = Duration::from_secs(3);

impl Ports {
    /// The checkout's own block, or the next where a stranger sits on one of its ports.
    pub(super) fn choose(
        checkout: &Checkout,
        api: Option<u16>,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        if let Some(port) = api {
            anyhow::ensure!(
                becomes_free(port, signals)?,
                "port {port} is taken by another program"
            );
        }
        for attempt in 0..5 {
            let mut ports = Self::of(checkout.hash(), attempt);
            ports.api = api.unwrap_or(ports.api);
            match ports.taken(signals)? {
                None => return Ok(ports),
                Some(port) => progress::say(format_args!(
                    "Port {port} is taken by another program: moving on by {BLOCK}."
                )),
            }
        }
        anyhow::bail!("no free ports; name one for the API with --port")
    }

    fn of(hash: u64, attempt: u16) -> Self {
        let blocks = u64::from(BLOCKS);
        let block =
            u16::try_from((hash % blocks + u64::from(attempt)) % blocks).unwrap_or_default();
        let first = FIRST + block * BLOCK;
        Self {
            api: first,
            api_metrics: first + 1,
            worker_metrics: first + 2,
            postgres: first + 3,
            redis: first + 4,
        }
    }

    fn taken(&self, signals: &Signals) -> anyhow::Result<Option<u16>> {
        let all = [
            self.api,
            self.api_metrics,
            self.worker_metrics,
            self.postgres,
            self.redis,
        ];
        for port in all {
            if !becomes_free(port, signals)? {
                return Ok(Some(port));
            }
        }
        Ok(None)
    }
}

fn becomes_free(port: u16, signals: &Signals) -> anyhow::Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        signals.wait(Duration::from_millis(100))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkout::hash;

    #[test]
    fn a_checkout_keeps_its_ports_and_another_has_others() {
        let here = Ports::of(hash(b"/home/dev/taskhub/target"), 0);
        assert_eq!(here, Ports::of(hash(b"/home/dev/taskhub/target"), 0));
        assert_ne!(here, Ports::of(hash(b"/home/dev/other/target"), 0));
    }

    #[test]
    fn every_block_lies_within_the_range() {
        for hash in 0..u64::from(BLOCKS) {
            for attempt in 0..5 {
                let ports = Ports::of(hash, attempt);
                assert!(ports.api >= 20_000 && ports.redis <= 39_999, "{ports:?}");
            }
        }
        assert_eq!(Ports::of(u64::from(BLOCKS) - 1, 1).api, 20_000);
    }
}
