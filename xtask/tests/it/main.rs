//! The workspace's rules, and `xtask` as a process.

mod launcher;
mod render_verb;
mod support;
mod test_verb;
mod workspace;
