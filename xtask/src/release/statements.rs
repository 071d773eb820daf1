//! SQL as far as rules need it: one statement after the other, without comments and without what stands in quotes.

/// In lower case, with one space between words; a literal is `''`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Statement {
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// The statements of a file. The parts of an SQL-standard function body count as statements of their own.
pub(super) fn split(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut rest = text;
    let mut line = 1;
    let mut current = Statement {
        line,
        text: String::new(),
    };
    while let Some(first) = rest.chars().next() {
        let length = token(rest);
        let (token, after) = rest.split_at(length);
        if first == ';' {
            statements.push(current.clone());
            current.text.clear();
        } else if token.starts_with("--") || token.starts_with("/*") || first.is_whitespace() {
            if !current.text.is_empty() && !current.text.ends_with(' ') {
                current.text.push(' ');
            }
        } else {
            if current.text.is_empty() {
                current.line = line;
            }
            if first == '\'' || (first == '$' && length > 1) {
                current.text.push_str("''");
            } else {
                current.text.push_str(&token.to_lowercase());
            }
        }
        line += token.matches('\n').count();
        rest = after;
    }
    statements.push(current);
    for statement in &mut statements {
        statement.text = statement.text.trim_end().to_owned();
    }
    statements.retain(|statement| !statement.text.is_empty());
    statements
}

/// How many bytes the next comment, literal, quoted name or single character has. What is not closed goes to the
/// end: such a file is refused by whoever parses it.
fn token(text: &str) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    if text.starts_with("--") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return comment(text);
    }
    match text.as_bytes()[0] {
        quote @ (b'\'' | b'"') => {
            let end = text[1..].find(char::from(quote));
            end.map_or(text.len(), |end| end + 2)
        }
        b'$' => dollar(text).unwrap_or(first),
        _ => first,
    }
}

/// Comments of this kind lie in one another.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// `$body$…$body$`; `None` where the sign means something else.
fn dollar(text: &str) -> Option<usize> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[..end];
    let is_tag = tag[1..end - 1]
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_');
    if !is_tag {
        return None;
    }
    let close = text[end..].find(tag)?;
    Some(end + close + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let statements = split(text).into_iter();
        statements.map(|statement| statement.text).collect()
    }

    #[test]
    fn what_only_looks_like_a_statement_is_none() {
        assert_eq!(
            texts(
                "-- drop table a;\nSELECT 'it''s; drop', \"A;\" /* ; /* ; */ ; */ from b;\n\n\
                 create function f() language plpgsql as $x$ begin delete from c; end $x$;"
            ),
            [
                "select '''', \"a;\" from b",
                "create function f() language plpgsql as ''"
            ]
        );
        assert_eq!(texts("select $1, a$b from c"), ["select $1, a$b from c"]);
        assert_eq!(texts("  -- nothing\n"), Vec::<String>::new());
    }

    #[test]
    fn a_statement_knows_its_line() {
        let lines: Vec<usize> = split("-- one\nselect\n 1;\n/*\n*/ select 2;\nselect 3")
            .iter()
            .map(|statement| statement.line)
            .collect();
        assert_eq!(lines, [2, 5, 6]);
    }
}
