//! Pages for people at the service's own address: where they are, and a new password for a forgotten one.
//! Nothing on them comes from another origin, and all of them work without JavaScript.

mod home;
mod reset_password;
mod well_known;

use std::sync::Arc;

use http::{StatusCode, header};
use poem::{Response, Route, endpoint::make_sync, get};
use url::Url;

use crate::{docs::assets, health::Draining, passwords};

/// What the pages know.
pub struct Pages {
    /// Without a slash at the end.
    pub public_url: String,
    /// The app that people use.
    pub client_url: Option<Url>,
    /// Where vulnerabilities are reported.
    pub security_contact: Option<String>,
    pub draining: Draining,
    pub passwords: passwords::Api,
}

/// What a page may do: load this origin's script, style and pictures, and send its form here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// `/`, `/reset-password`, `/favicon.ico`, `/robots.txt` and `/.well-known/security.txt`, open to everyone.
pub fn routes(route: Route, pages: Pages) -> Route {
    let pages = Arc::new(pages);
    let (home, contact) = (pages.clone(), pages.clone());
    route
        .at(
            "/",
            get(make_sync(move |request| {
                home::page(&home, request.headers())
            })),
        )
        .at("/reset-password", reset_password::Form(pages.clone()))
        .at(
            "/reset-password/done",
            get(make_sync(move |_| reset_password::done(&pages))),
        )
        .at("/favicon.ico", get(make_sync(|_| well_known::icon())))
        .at("/robots.txt", get(make_sync(|_| well_known::robots())))
        .at(
            "/.well-known/security.txt",
            get(make_sync(move |_| well_known::security(&contact))),
        )
}

/// A whole page. `body` is HTML; `title` is text.
fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · TaskHub</title>\n\
         <link rel=\"stylesheet\" href=\"{style}\">\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         {body}\n</main>\n</body>\n</html>\n",
        title = escaped(title),
        style = assets::PEOPLE_STYLE.path(),
    );
    Response::builder()
        .status(status)
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .body(html)
}

/// Text, safe in HTML and in its quoted attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_an_element_or_an_attribute() {
        assert_eq!(
            escaped("\"><script>alert('x & y')</script>"),
            "&quot;&gt;&lt;script&gt;alert(&#39;x &amp; y&#39;)&lt;/script&gt;"
        );
    }
}
