//! The workspace's rules, and `xtask` as a process.

mod launcher;
mod support;
mod test_verb;
mod workspace;
