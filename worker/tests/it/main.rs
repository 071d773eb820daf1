//! The worker as a process, with real servers around it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod control;
mod crashes;
mod delivery;
mod logs;
mod mail;
mod measures;
mod outages;
mod pauses;
mod proxy;
mod rates;
mod retries;
mod rotation;
mod site;
mod smoke;
mod smtp;
mod starting;
mod stopping;
