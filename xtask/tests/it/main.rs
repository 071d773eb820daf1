//! The workspace's rules, and `xtask` as a process.

mod chaos;
mod client_types;
mod completions_verb;
mod containers;
mod daily_verbs;
mod deploy_verb;
mod emulator;
mod image_verb;
mod jobs_verb;
mod launcher;
mod leftovers;
mod lint_verb;
mod page;
mod rehearse_verb;
mod release_verb;
mod render_verb;
mod repository;
mod rules;
mod scenarios;
mod stacks;
mod stands;
mod support;
mod test_verb;
mod workspace;
