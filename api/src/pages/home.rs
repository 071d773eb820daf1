//! `GET /`: what answers here, for people as a page and for programs as JSON.

use http::{HeaderMap, StatusCode, header};
use poem::Response;
use serde_json::json;
use url::Url;

use super::{Pages, escaped};
use crate::admission;

/// The page or the JSON, whichever the client would rather have.
pub(super) fn page(pages: &Pages, headers: &HeaderMap) -> Response {
    let mut response = if prefers_html(headers) {
        html(pages)
    } else {
        facts(pages)
    };
    let accept = header::HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, accept);
    response
}

fn status(pages: &Pages) -> &'static str {
    if pages.draining.has_begun() {
        "draining"
    } else {
        "serving"
    }
}

fn facts(pages: &Pages) -> Response {
    let at = |path: &str| format!("{}{path}", pages.public_url);
    let facts = json!({
        "name": "TaskHub",
        "version": env!("CARGO_PKG_VERSION"),
        "status": status(pages),
        "documentation": at("/docs"),
        "openapi": at("/openapi.json"),
        "limits": at("/v1/meta/limits"),
        "health": at("/health/ready"),
        "app": pages.client_url.as_ref().map(Url::as_str),
    });
    Response::builder()
        .content_type("application/json")
        .body(facts.to_string())
}

fn html(pages: &Pages) -> Response {
    let app = pages.client_url.as_ref().map_or_else(
        || "<p>People use it through an app or a program of their choice.</p>".to_owned(),
        |url| {
            let url = escaped(url.as_str());
            format!("<p class=\"lead\"><a href=\"{url}\">Open the app</a></p>")
        },
    );
    let body = format!(
        "<p>This is the address of a TaskHub service: tasks with due dates, labels and priorities, for \
         people and for the programs they write.</p>\n{app}\n\
         <h2>For developers</h2>\n<ul>\n\
         <li><a href=\"/docs\">Documentation of the API</a>, also as <a href=\"/docs/swagger\">Swagger UI</a> \
         and <a href=\"/docs/redoc\">Redoc</a></li>\n\
         <li>OpenAPI documents: <a href=\"/openapi.json\">3.0</a>, <a href=\"/openapi-3.1.json\">3.1</a></li>\n\
         <li><a href=\"/problems\">What errors mean</a></li>\n\
         <li><a href=\"/v1/meta/limits\">Limits of this service</a></li>\n</ul>\n\
         <h2>Status</h2>\n<p>The service is {status}, release {version}. \
         <a href=\"/health/ready\">Health of its parts</a>.</p>",
        status = match status(pages) {
            "serving" => "up",
            _ => "about to stop",
        },
        version = env!("CARGO_PKG_VERSION"),
    );
    super::page(StatusCode::OK, "TaskHub", &body)
}

/// Whether `Accept` ranks `text/html` above `application/json`, as browsers do (RFC 9110, 12.5.1).
fn prefers_html(headers: &HeaderMap) -> bool {
    let quality = |wanted: [&str; 3]| {
        let ranges = || admission::members(headers, header::ACCEPT).map(range);
        // The most specific range that fits decides.
        let fitting = wanted
            .iter()
            .find_map(|name| ranges().find(|(range, _)| range == name));
        fitting.map_or(0.0, |(_, quality)| quality)
    };
    quality(["text/html", "text/*", "*/*"]) > quality(["application/json", "application/*", "*/*"])
}

/// A media range and its quality, 1 where it names none.
fn range(member: &str) -> (String, f32) {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok());
    (name, quality.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_get_json() {
        let chrome = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, is_html) in [
            (chrome, true),
            ("text/html", true),
            ("TEXT/HTML; q=0.5", true),
            ("application/json;q=0.4, text/html;q=0.5", true),
            ("text/*", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("text/html;q=0", false),
            ("text/html;q=0.3, */*;q=0.5", false),
            ("image/png", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, http::HeaderValue::from_static(accept))]);
            assert_eq!(prefers_html(&headers), is_html, "{accept}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }
}
