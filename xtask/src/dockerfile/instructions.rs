//! A Dockerfile as a list of instructions.
//! <https://docs.docker.com/reference/dockerfile/>

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    /// In capitals.
    pub(super) name: String,
    /// Options such as `--from=build`, which stand before the arguments.
    pub(super) options: Vec<String>,
    /// What follows, with continued lines joined.
    pub(super) rest: String,
}

impl Instruction {
    /// The value of `--NAME=VALUE`.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        options.find_map(|option| {
            option
                .strip_prefix("--")?
                .strip_prefix(name)?
                .strip_prefix('=')
        })
    }

    fn parse(line: usize, text: &str) -> Option<Self> {
        let (name, mut rest) = text.trim().split_once(char::is_whitespace)?;
        let mut options = Vec::new();
        while rest.trim_start().starts_with("--") {
            let (option, others) = rest.trim_start().split_once(char::is_whitespace)?;
            options.push(option.to_owned());
            rest = others;
        }
        Some(Self {
            line,
            name: name.to_uppercase(),
            options,
            rest: rest.trim().to_owned(),
        })
    }
}

/// Comments are left out, also those between continued lines. Heredocs are not known.
pub(super) fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let mut found = Vec::new();
    let mut begun = 0;
    let mut text = String::new();
    for (at, line) in dockerfile.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        if text.is_empty() {
            begun = at + 1;
        }
        if let Some(continued) = line.trim_end().strip_suffix('\\') {
            text.push_str(continued);
            text.push(' ');
            continue;
        }
        text.push_str(line);
        found.extend(Instruction::parse(begun, &text));
        text.clear();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_continued_lines_belong_to_their_instruction() {
        let text = "# a\nFROM x AS y\n\nrun --mount=type=cache,target=/a \\\n    # b\n    one \\\n    && two\n";
        let found = instructions(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].rest, "x AS y");
        assert_eq!((found[1].line, found[1].name.as_str()), (4, "RUN"));
        assert_eq!(found[1].option("mount"), Some("type=cache,target=/a"));
        let words: Vec<&str> = found[1].rest.split_whitespace().collect();
        assert_eq!(words, ["one", "&&", "two"]);
    }
}
