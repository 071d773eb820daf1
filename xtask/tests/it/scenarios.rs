//! Sequences that no emulator makes by itself: each row of the triage of stacks, and each failure of the twelve steps
//! that `deploy_verb` does not have. The real program runs, AWS's answers are changed on the way.

mod changes;
mod checkouts;
mod keeping;
mod locks;
mod signals;
mod stuck;
