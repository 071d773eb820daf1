//! The page that a problem's `type` leads to.

use std::fmt::Write as _;

use poem::Response;

use super::{answer, assets};
use crate::problem::{Example, KINDS};

const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All kinds of problems.
pub(super) fn index() -> Response {
    let mut rows = String::new();
    for kind in KINDS {
        let (status, code, title) = (kind.status.as_u16(), kind.code, text(kind.title));
        let link = format!("<a href=\"/problems/{code}\"><code>{code}</code></a>");
        let _ = writeln!(
            rows,
            "<tr><td>{status}</td><td>{link}</td><td>{title}</td></tr>"
        );
    }
    let table =
        format!("<table>\n<tr><th>Status</th><th>Code</th><th>Meaning</th></tr>\n{rows}</table>");
    render("Problems", &table)
}

/// One kind of problem: its cause, what to do, and an example.
pub(super) fn page(code: &str) -> Option<Response> {
    let kind = KINDS.iter().find(|kind| kind.code == code)?;
    let mut body = format!(
        "<p><code>{code}</code> · HTTP {}</p>\n\
         <h2>Cause</h2>\n<p>{}</p>\n\
         <h2>What to do</h2>\n<p>{}</p>\n",
        kind.status.as_u16(),
        text(kind.cause),
        text(kind.remedy),
    );
    if let Some(example) = Example::of(kind) {
        let answer = format!("{:#}", example.answer(kind, "$API"));
        let _ = writeln!(
            body,
            "<h2>Example</h2>\n<pre>{}</pre>\n<p>is answered with HTTP {} and</p>\n<pre>{}</pre>",
            escaped(example.request),
            kind.status,
            escaped(&answer),
        );
    }
    body += "<p><a href=\"/problems\">All problems</a></p>";
    Some(render(kind.title, &body))
}

fn render(title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · TaskHub</title>\n<link rel=\"stylesheet\" href=\"{style}\">\n\
         <h1>{title}</h1>\n{body}\n",
        title = text(title),
        style = assets::STYLE.path(),
    );
    answer(html.into(), "text/html; charset=utf-8", POLICY, "no-cache")
}

/// Text in HTML; what stands in backticks is code.
fn text(plain: &str) -> String {
    let escaped = escaped(plain);
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(index, part)| {
            if index % 2 == 0 {
                part.to_owned()
            } else {
                format!("<code>{part}</code>")
            }
        })
        .collect()
}

fn escaped(plain: &str) -> String {
    plain
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(text("a <b> & `c`"), "a &lt;b&gt; &amp; <code>c</code>");
    }

    #[test]
    fn every_kind_has_a_page() {
        for kind in KINDS {
            assert!(page(kind.code).is_some(), "{}", kind.code);
        }
        assert!(page("nonsense").is_none());
    }
}
