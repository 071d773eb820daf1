//! Whether a server answers, told when it changes and not each time.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
};

#[derive(Debug)]
pub(crate) struct Availability {
    server: &'static str,
    up: AtomicBool,
}

impl Availability {
    pub(crate) fn new(server: &'static str) -> Self {
        Self {
            server,
            up: AtomicBool::new(true),
        }
    }

    pub(crate) fn up(&self) {
        metrics::gauge!("server_up", "server" => self.server).set(1);
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!(server = self.server, "answers again");
        }
    }

    pub(crate) fn down(&self, reason: impl Display) {
        metrics::gauge!("server_up", "server" => self.server).set(0);
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::warn!(server = self.server, %reason, "does not answer");
        }
    }
}
