//! Answers without a body for whoever has it already.

use http::{HeaderMap, Method, StatusCode, header};
use poem::Response;

use crate::admission;

/// Answers 304 where the client holds the present version (RFC 9110, 13.1.2).
pub(super) fn not_modified(method: &Method, request: &HeaderMap, response: &mut Response) {
    if !matches!(*method, Method::GET | Method::HEAD) || response.status() != StatusCode::OK {
        return;
    }
    let Some(current) = response
        .headers()
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
    else {
        return;
    };
    let Some(known) = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
    else {
        return;
    };
    let same = |tag: &str| {
        let tag = tag.trim();
        tag == "*"
            || tag.trim_start_matches("W/") == current
            || (admission::version(tag).is_some()
                && admission::version(tag) == admission::version(current))
    };
    if known.split(',').any(same) {
        response.set_status(StatusCode::NOT_MODIFIED);
        response.take_body();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
}
