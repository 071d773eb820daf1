//! The document and the pages that show it: Scalar, Swagger UI and Redoc, and a page for each kind of
//! problem. Everything comes from this process; no page may load or send anything elsewhere.

pub(crate) mod assets;
mod problems;

use hyper::body::Bytes;
use poem::{Endpoint, Request, Response, Route, endpoint::make_sync, get};
use sha2::{Digest as _, Sha256};

use crate::{
    document::Document,
    problem::{self, Problem},
};
use assets::Asset;

/// `GET` of `/openapi.json`, `/openapi-3.1.json`, `/docs…` and `/problems…`, open to everyone.
pub fn routes(document: &Document) -> Route {
    Route::new()
        .at("/openapi.json", get(json(document.v30_json.clone())))
        .at("/openapi-3.1.json", get(json(document.v31_json.clone())))
        .at("/docs", get(make_sync(|_| page(&SCALAR))))
        .at("/docs/swagger", get(make_sync(|_| page(&SWAGGER))))
        .at("/docs/redoc", get(make_sync(|_| page(&REDOC))))
        .at(
            "/docs/assets/:name",
            get(make_sync(|request| asset(&request))),
        )
        .at("/problems", get(make_sync(|_| problems::index())))
        .at(
            "/problems/:code",
            get(make_sync(|request| problem(&request))),
        )
}

/// One of the three ways to read the document.
struct Page {
    html: &'static str,
    script: &'static Asset,
    /// What this page may do beyond [`POLICY`], as that user interface needs it.
    policy: &'static str,
}

const SCALAR: Page = Page {
    html: include_str!("docs/scalar.html"),
    script: &assets::SCALAR,
    policy: "style-src 'self' 'unsafe-inline'; img-src data:; font-src data:",
};
const SWAGGER: Page = Page {
    html: include_str!("docs/swagger.html"),
    script: &assets::SWAGGER,
    policy: "style-src 'self'; img-src data:",
};
const REDOC: Page = Page {
    html: include_str!("docs/redoc.html"),
    script: &assets::REDOC,
    // The two styles it writes itself: an empty one that it fills by script, and one for its menu.
    policy: "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' \
        'sha256-sDI9pUw6Z98NC0sorERcD03vlQ8zZwyaBSQ06jerL4M='; img-src data:; worker-src blob:",
};

/// What every page may do: run this origin's scripts and call this origin.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

fn page(page: &Page) -> Response {
    let html = page.html.replace("{script}", &page.script.path());
    let html = html.replace("{start}", &assets::START.path());
    let html = html.replace("{style}", &assets::STYLE.path());
    let html = html.replace("{swagger_style}", &assets::SWAGGER_STYLE.path());
    self::html(html, page.policy)
}

/// A page that `policy` allows more than [`POLICY`].
pub(crate) fn html(html: String, policy: &str) -> Response {
    let policy = format!("{POLICY}; {policy}");
    answer(html.into(), "text/html; charset=utf-8", &policy, "no-cache")
}

/// The document changes with a release, so it may be kept but is asked for again.
fn json(body: Bytes) -> impl Endpoint<Output = Response> {
    let tag = entity_tag(&body);
    make_sync(move |_| {
        Response::builder()
            .content_type("application/json")
            .header("Cache-Control", "no-cache")
            .header("ETag", &tag)
            .body(body.clone())
    })
}

/// The name of an asset changes with its content, so it never needs to be asked for again.
fn asset(request: &Request) -> poem::Result<Response> {
    let name = request.raw_path_param("name").unwrap_or_default();
    let asset = assets::find(name).ok_or_else(|| nothing("no such asset"))?;
    let forever = "public, max-age=31536000, immutable";
    Ok(answer(
        asset.body(),
        asset.content_type,
        "default-src 'none'",
        forever,
    ))
}

fn problem(request: &Request) -> poem::Result<Response> {
    let code = request.raw_path_param("code").unwrap_or_default();
    problems::page(code).ok_or_else(|| nothing("no kind of problem has this code"))
}

fn nothing(detail: &str) -> poem::Error {
    Problem::new(&problem::NO_SUCH_ROUTE, detail).into()
}

fn answer(body: Bytes, content_type: &str, policy: &str, caching: &str) -> Response {
    Response::builder()
        .content_type(content_type)
        .header("Cache-Control", caching)
        .header("Content-Security-Policy", policy)
        .header("ETag", entity_tag(&body))
        .body(body)
}

fn entity_tag(body: &[u8]) -> String {
    format!("\"{}\"", fingerprint(body))
}

/// The first 64 bits of the SHA-256, in hexadecimal.
fn fingerprint(body: &[u8]) -> String {
    Sha256::digest(body)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
