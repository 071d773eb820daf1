//! `cargo xtask`, with the verbs that speak to AWS.

use std::process::ExitCode;

fn main() -> ExitCode {
    xtask::main()
}
