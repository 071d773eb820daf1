//! `.dockerignore`.
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use anyhow::Context;
use regex::Regex;

/// What stays out of a build context. The last pattern that matches a file or a folder above it decides.
pub(super) struct Ignore(Vec<Pattern>);

struct Pattern {
    matches: Regex,
    /// As it was written, without `!`.
    text: String,
    /// It brings back what an earlier one leaves out.
    is_exception: bool,
}

impl Ignore {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self(
            lines.map(Pattern::parse).collect::<anyhow::Result<_>>()?,
        ))
    }

    /// Whether a path, relative to the context and with `/`, stays out.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let mut left_out = false;
        for pattern in &self.0 {
            if pattern.matches_or_above(path) {
                left_out = !pattern.is_exception;
            }
        }
        left_out
    }

    /// Whether something below a folder may stay in, though the folder itself does not.
    pub(super) fn may_keep_below(&self, folder: &str) -> bool {
        self.0.iter().any(|pattern| {
            let below = pattern.text.strip_prefix(folder);
            let below = below.is_some_and(|rest| rest.starts_with('/'));
            pattern.is_exception && (below || pattern.text.starts_with('*'))
        })
    }
}

impl Pattern {
    fn parse(line: &str) -> anyhow::Result<Self> {
        let text = line.strip_prefix('!').unwrap_or(line);
        let text = text.trim().trim_start_matches('/').trim_end_matches('/');
        let regex = format!("^{}$", translated(text));
        Ok(Self {
            matches: Regex::new(&regex).with_context(|| format!(".dockerignore: {line:?}"))?,
            text: text.to_owned(),
            is_exception: line.starts_with('!'),
        })
    }

    fn matches_or_above(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at);
        ends.chain([path.len()])
            .any(|end| self.matches.is_match(&path[..end]))
    }
}

/// `**` stands for any number of folders, `*` and `?` for characters within one name.
fn translated(pattern: &str) -> String {
    let mut regex = String::new();
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        if let Some(others) = rest.strip_prefix("**/") {
            regex.push_str("(.*/)?");
            rest = others;
        } else if let Some(others) = rest.strip_prefix("**") {
            regex.push_str(".*");
            rest = others;
        } else {
            match next {
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                '[' | ']' => regex.push(next),
                other => regex.push_str(&regex::escape(&other.to_string())),
            }
            rest = &rest[next.len_utf8()..];
        }
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let ignore = Ignore::parse("# all\n*\n!api\n!x/Cargo.toml\n**/tests\n!**/tests/keep.rs\n");
        let ignore = ignore.expect("patterns");
        for (path, left_out) in [
            ("README.md", true),
            ("api", false),
            ("api/src/main.rs", false),
            ("apis/src/main.rs", true),
            ("x/Cargo.toml", false),
            ("x/src/main.rs", true),
            ("api/tests/it/main.rs", true),
            ("api/src/tests.rs", false),
            ("api/tests/keep.rs", false),
        ] {
            assert_eq!(ignore.leaves_out(path), left_out, "{path}");
        }
        assert!(ignore.may_keep_below("x"));
        let ignore = Ignore::parse("*\n!x/Cargo.toml\n").expect("patterns");
        assert!(ignore.may_keep_below("x") && !ignore.may_keep_below("target"));
    }

    #[test]
    fn a_star_stays_within_one_name() {
        let ignore = Ignore::parse("a/*.rs\n?.md\n").expect("patterns");
        assert!(ignore.leaves_out("a/b.rs") && ignore.leaves_out("a.md"));
        assert!(!ignore.leaves_out("a/b/c.rs") && !ignore.leaves_out("ab.md"));
    }
}
