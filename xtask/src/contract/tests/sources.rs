//! The programs. These few numbers are no settings, so their sources are read as text.

use super::*;

/// Of the time that a worker has for its end, the last part; before it, jobs are handed back.
const WORKER_CLOSING_POOLS: u32 = 1;

/// A constant, where it stands, and how the line begins that ends with its seconds.
const CONSTANTS: &[(&str, &str, u32)] = &[
    (
        "taskhub/src/database.rs",
        "(\"statement_timeout\", \"",
        STATEMENT_TIMEOUT,
    ),
    (
        "api/src/server.rs",
        "idle: Duration::from_secs(",
        KEEP_ALIVE,
    ),
    (
        "api/src/serve.rs",
        "const FLUSH: Duration = Duration::from_secs(",
        CLOSING,
    ),
    (
        "worker/src/lib.rs",
        "const FAREWELL: Duration = Duration::from_secs(",
        CLOSING - WORKER_CLOSING_POOLS,
    ),
    (
        "worker/src/main.rs",
        "const CLOSE_LIMIT: Duration = Duration::from_secs(",
        WORKER_CLOSING_POOLS,
    ),
    (
        "worker/src/main.rs",
        "const CONTROL_CONNECTIONS: u32 = ",
        WORKER_CONTROL_CONNECTIONS,
    ),
];

#[test]
fn the_programs_wait_as_long_as_the_contract_says() {
    for (path, before, number) in CONSTANTS {
        let old = format!("{before}{number}");
        let new = format!("{before}{}", number + 1);
        assert_agrees(&file(path), &[(&old, &new)], |text| {
            let mut comparison = Comparison::new();
            comparison.same(path, number_after(text, before), Some(*number));
            comparison.found()
        });
    }
}

#[test]
fn both_programs_answer_at_the_health_path() {
    for path in ["api/src/main.rs", "worker/src/endpoint.rs"] {
        assert!(
            file(path).contains(HEALTH_PATH),
            "{path} does not know {HEALTH_PATH}"
        );
    }
}

/// The subcommands that containers are started with exist; how they behave is tested with the programs.
#[test]
fn the_programs_have_the_commands_of_the_contract() {
    let api = file("api/src/main.rs");
    for command in ["Serve,", "Migrate,", "Healthcheck,"] {
        assert!(api.contains(command), "taskhub-api lacks {command}");
    }
    assert!(file("worker/src/main.rs").contains("Healthcheck,"));
}

fn number_after(text: &str, before: &str) -> Option<u32> {
    let (_, rest) = text.split_once(before)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
