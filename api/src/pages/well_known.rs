//! What browsers, crawlers and researchers ask every site for.

use chrono::{Days, NaiveTime, Utc};
use http::header;
use poem::Response;

use super::Pages;
use crate::problem::{self, Problem};

const ICON: &[u8] = include_bytes!("favicon.ico");

/// For how long a researcher may rely on the file (RFC 9116, 2.5.5: less than a year).
const VALID: Days = Days::new(90);

pub(super) fn icon() -> Response {
    Response::builder()
        .content_type("image/x-icon")
        .header(header::CACHE_CONTROL, "public, max-age=86400")
        .body(ICON)
}

/// An API and the pages about it are nothing to be found by a search engine.
pub(super) fn robots() -> Response {
    text("User-agent: *\nDisallow: /\n".to_owned())
}

/// Whom to tell of a vulnerability (RFC 9116).
pub(super) fn security(pages: &Pages) -> poem::Result<Response> {
    let Some(contact) = &pages.security_contact else {
        let detail = "this instance names no contact (SECURITY_CONTACT)";
        return Err(Problem::new(&problem::NO_SUCH_ROUTE, detail).into());
    };
    // The end of a day, so that the file changes once a day.
    let expires = (Utc::now().date_naive() + VALID).and_time(NaiveTime::MIN);
    Ok(text(format!(
        "Contact: {contact}\nExpires: {expires}Z\nPreferred-Languages: en\n\
         Canonical: {url}/.well-known/security.txt\n",
        expires = expires.format("%Y-%m-%dT%H:%M:%S"),
        url = pages.public_url,
    )))
}

fn text(body: String) -> Response {
    Response::builder()
        .content_type("text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "public, max-age=3600")
        .body(body)
}
