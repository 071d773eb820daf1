//! Answers in fewer bytes for clients that take gzip (RFC 9110, 12.5.3).
//!
//! Only lists and the public pages are compressed. Whoever can have their own text repeated beside a secret, and
//! sees how long the compressed answer is, learns the secret bit by bit (BREACH); so no answer that may hold a token
//! comes here.

use std::{collections::HashMap, io::Write as _};

use flate2::{Compression as Level, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Bytes;
use poem::{Body, Response};
use tokio::sync::Mutex;

use crate::problem::{self, Problem};

/// Below this the headers weigh more than what is saved.
const WORTHWHILE: usize = 1024;

/// A list of 200 tasks becomes a twelfth within half a millisecond; more effort saves next to nothing.
const LISTS: Level = Level::new(3);

/// More than this keeps a thread busy for a while.
const LARGE: usize = 256 * 1024;

/// More pages than there are.
const KEPT: usize = 256;

/// The pages never change while the process runs: each is compressed when it is first asked for, and kept by its
/// `ETag`.
#[derive(Debug, Default)]
pub struct Compression {
    pages: Mutex<HashMap<Vec<u8>, Bytes>>,
}

/// Which forms a client takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Accepted {
    gzip: bool,
    identity: bool,
    prefers_gzip: bool,
}

impl Compression {
    /// Compresses the answer to a GET of a page.
    ///
    /// # Errors
    /// `not-acceptable` where the client takes no form of it.
    pub(super) async fn page(
        &self,
        method: &Method,
        request: &HeaderMap,
        response: &mut Response,
    ) -> Result<(), Problem> {
        let known = response
            .headers()
            .get(header::ETAG)
            .map(|tag| tag.as_bytes().to_vec());
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let (Some(tag), true) = (known, reads) else {
            return Ok(());
        };
        if !begin(request, response)? {
            return Ok(());
        }
        let mut pages = self.pages.lock().await;
        let kept = pages.get(&tag).cloned();
        let compressed = match kept {
            Some(kept) => Some(kept),
            None => body(response, request, Level::best()).await,
        };
        if let Some(compressed) = compressed {
            if pages.len() < KEPT {
                pages.insert(tag, compressed.clone());
            }
            finish(response, compressed);
        }
        Ok(())
    }
}

/// Compresses a list.
///
/// # Errors
/// `not-acceptable` where the client takes no form of it.
pub(super) async fn list(request: &HeaderMap, response: &mut Response) -> Result<(), Problem> {
    if begin(request, response)?
        && let Some(compressed) = body(response, request, LISTS).await
    {
        finish(response, compressed);
    }
    Ok(())
}

/// Says that the answer depends on what the client takes, and tells whether to compress it.
fn begin(request: &HeaderMap, response: &mut Response) -> Result<bool, Problem> {
    if !matches!(response.status(), StatusCode::OK | StatusCode::NOT_MODIFIED) {
        return Ok(false);
    }
    let vary = HeaderValue::from_static("Accept-Encoding");
    response.headers_mut().append(header::VARY, vary);
    let accepted = Accepted::of(request);
    if !accepted.gzip && !accepted.identity {
        return Err(Problem::new(
            &problem::NOT_ACCEPTABLE,
            "only gzip and identity can be answered",
        ));
    }
    Ok(accepted.prefers_gzip && response.status() == StatusCode::OK)
}

/// The body in its compressed form; `None`, and the body stays, where that is not worthwhile.
async fn body(response: &mut Response, request: &HeaderMap, level: Level) -> Option<Bytes> {
    let plain = response.take_body().into_bytes().await.unwrap_or_default();
    response.set_body(plain.clone());
    if plain.len() < WORTHWHILE && Accepted::of(request).identity {
        return None;
    }
    if plain.len() < LARGE {
        return gzip(&plain, level);
    }
    let work = tokio::task::spawn_blocking(move || gzip(&plain, level));
    work.await.ok().flatten()
}

fn gzip(plain: &[u8], level: Level) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), level);
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn finish(response: &mut Response, compressed: Bytes) {
    response.set_body(Body::from(compressed));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    // A strong tag would promise the same bytes in every form.
    let strong = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let weak = strong
        .filter(|tag| tag.starts_with('"'))
        .and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

impl Accepted {
    fn of(request: &HeaderMap) -> Self {
        let lines = request.get_all(header::ACCEPT_ENCODING).iter();
        let members = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        let (mut gzip, mut identity, mut others) = (None, None, None);
        for (coding, quality) in members.filter_map(coding) {
            match coding.as_str() {
                "gzip" | "x-gzip" => gzip = Some(quality),
                "identity" => identity = Some(quality),
                "*" => others = Some(quality),
                _ => {}
            }
        }
        let gzip = gzip.or(others).unwrap_or(0.0);
        let unwanted = others.is_some_and(|quality| quality <= 0.0);
        Self {
            gzip: gzip > 0.0,
            identity: identity.map_or(!unwanted, |quality| quality > 0.0),
            prefers_gzip: gzip > 0.0 && gzip >= identity.unwrap_or(0.0),
        }
    }
}

/// `gzip;q=0.5`. A weight that cannot be read is none.
fn coding(member: &str) -> Option<(String, f32)> {
    let mut parts = member.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    Some((name.to_ascii_lowercase(), weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_takes_and_prefers() {
        for (sent, gzip, identity, prefers_gzip) in [
            (None, false, true, false),
            (Some(""), false, true, false),
            (Some("gzip"), true, true, true),
            (Some("GZIP ; q=0.5"), true, true, true),
            (Some("x-gzip"), true, true, true),
            (Some("br, zstd, deflate"), false, true, false),
            (Some("br;q=1.0, gzip;q=0.8, *;q=0.1"), true, true, true),
            (Some("*"), true, true, true),
            (Some("gzip;q=0, *"), false, true, false),
            (Some("gzip;q=0.5, identity;q=1"), true, true, false),
            (Some("gzip;q=0"), false, true, false),
            (Some("identity;q=0"), false, false, false),
            (Some("gzip, identity;q=0"), true, false, true),
            (Some("*;q=0"), false, false, false),
            (Some("gzip;q=much"), false, true, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(sent));
            }
            let expected = Accepted {
                gzip,
                identity,
                prefers_gzip,
            };
            assert_eq!(Accepted::of(&headers), expected, "{sent:?}");
        }
    }
}
