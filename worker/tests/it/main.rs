//! The worker as a process, with real servers around it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod arguments;
mod crashes;
mod delivery;
mod enqueueing;
mod leases;
mod mail;
mod outages;
mod retries;
mod site;
mod smtp;
mod starting;
mod stopping;
