//! The worker as it ships, under a name of its own: what is built with the feature `probe` or
//! `unfenced` must never stand where tests and developers look for `taskhub-worker`.

#[path = "../src/main.rs"]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
