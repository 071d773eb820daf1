//! Ports for what is started and ended many times.

use std::net::{Ipv4Addr, TcpListener};

/// Below those that systems hand out: the load's own connections take none of them away.
const FIRST: u32 = 10_000;
const COUNT: u32 = 10_000;

pub(super) struct Ports(u32);

impl Ports {
    /// Two rehearsals at the same time begin in different places.
    pub(super) fn new() -> Self {
        Self(std::process::id().wrapping_mul(97))
    }

    /// One that is free now.
    pub(super) fn next(&mut self) -> anyhow::Result<u16> {
        for _ in 0..COUNT {
            self.0 = self.0.wrapping_add(1);
            let port = u16::try_from(FIRST + self.0 % COUNT)?;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(port);
            }
        }
        anyhow::bail!("no port is free between {FIRST} and {}", FIRST + COUNT)
    }
}
