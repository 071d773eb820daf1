//! Answers without a body for whoever has it already.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::Response;
use sha2::{Digest as _, Sha256};

/// Gives a list an `ETag` of what it says. It is weak, because the compressed form has other bytes.
pub(super) async fn tag(response: &mut Response) {
    if response.status() != StatusCode::OK {
        return;
    }
    let body = response.take_body().into_bytes().await.unwrap_or_default();
    let digest = Sha256::digest(&body);
    let half: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{half}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.set_body(body);
}

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
    let known = request.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|tags| tags.to_str().ok())
        .flat_map(|tags| tags.split(','))
        .map(str::trim);
    let same = |tag: &str| tag == "*" || opaque(tag) == opaque(current);
    if known.any(same) {
        response.set_status(StatusCode::NOT_MODIFIED);
        response.take_body();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
}

/// What counts in a weak comparison. Some proxies add the coding to a tag when they compress.
fn opaque(tag: &str) -> &str {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let bare = tag.strip_suffix('"').unwrap_or(tag);
    bare.strip_suffix("-gzip").unwrap_or(bare)
}
