//! Findings as people and programs read them.

use std::io::Write;

use serde_json::json;

use super::Finding;
use crate::progress::say;

/// One JSON object on standard output, or lines for people.
///
/// # Errors
/// Where standard output cannot be written.
pub(super) fn show(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(std::io::stdout(), "{}", json!({"findings": findings}))?;
    }
    for finding in findings {
        say(line(finding));
        if let Some(fix) = &finding.fix {
            say(format_args!("  {:12}   → {fix}", ""));
        }
    }
    Ok(())
}

fn line(finding: &Finding) -> String {
    let mark = match (&finding.fix, finding.is_optional) {
        (None, _) => '✓',
        (Some(_), true) => '-',
        (Some(_), false) => '✗',
    };
    format!("{mark} {:12} {}", finding.what, finding.found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_tells_whether_something_must_be_done() {
        let finding = |fix: Option<&str>, is_optional| Finding {
            what: "git",
            found: "git version 2".to_owned(),
            fix: fix.map(str::to_owned),
            is_optional,
            is_access: false,
        };
        assert_eq!(line(&finding(None, false)), "✓ git          git version 2");
        assert!(line(&finding(Some("install it"), false)).starts_with('✗'));
        assert!(line(&finding(Some("install it"), true)).starts_with('-'));
    }
}
