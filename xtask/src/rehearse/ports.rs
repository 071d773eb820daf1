//! Ports for what is started and ended many times.

use std::net::{Ipv4Addr, TcpListener};

/// Below those that systems hand out: the load's own connections take none of them away.
const FIRST: u16 = 10_000;
const BLOCK: u16 = 250;
const BLOCKS: u16 = 40;

/// A block of ports that no other rehearsal uses: the first port of it is held as long as this lives. Without
/// that, a task that never listens could be taken for another rehearsal's that does.
pub(crate) struct Ports {
    guard: TcpListener,
    first: u16,
    used: u16,
}

impl Ports {
    pub(crate) fn take() -> anyhow::Result<Self> {
        let blocks = (0..BLOCKS).map(|block| FIRST + block * BLOCK);
        let free = blocks.into_iter().find_map(|first| {
            let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
            Some((guard, first))
        });
        let Some((guard, first)) = free else {
            anyhow::bail!("no block of ports is free from {FIRST} on");
        };
        Ok(Self {
            guard,
            first,
            used: 0,
        })
    }

    /// One that is free now. Those that were used come again as late as possible.
    pub(crate) fn next(&mut self) -> anyhow::Result<u16> {
        for _ in 1..BLOCK {
            self.used = self.used % (BLOCK - 1) + 1;
            let port = self.first + self.used;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        let guard = self.guard.local_addr()?;
        anyhow::bail!("no port is free in the block that begins with {guard}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rehearsals_share_no_port() {
        let mut one = Ports::take().expect("a block");
        let mut other = Ports::take().expect("another block");
        for _ in 0..20 {
            let (mine, theirs) = (one.next().expect("a port"), other.next().expect("a port"));
            assert_eq!((mine - FIRST) / BLOCK, (one.first - FIRST) / BLOCK);
            assert_ne!((mine - FIRST) / BLOCK, (theirs - FIRST) / BLOCK);
        }
    }
}
