//! The scripts and styles of the pages.
//!
//! poem-openapi carries the three user interfaces within pages of its own, which paste the document
//! into a script. Their scripts are taken out of such a page when they are first asked for. Its exact
//! version is pinned, and a test holds each of them to what this relies on.

use std::sync::LazyLock;

use hyper::body::Bytes;
use poem_openapi::OpenApiService;

use super::fingerprint;

/// A file of the pages.
pub(crate) struct Asset {
    stem: &'static str,
    extension: &'static str,
    pub(super) content_type: &'static str,
    file: LazyLock<File>,
}

struct File {
    /// With the fingerprint of the content.
    name: String,
    body: Bytes,
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

macro_rules! asset {
    ($name:ident = $stem:literal . $extension:literal, $content_type:ident, $body:expr) => {
        pub(crate) static $name: Asset = Asset {
            stem: $stem,
            extension: $extension,
            content_type: $content_type,
            file: LazyLock::new(|| File::new($stem, $extension, ($body).into())),
        };
    };
}

asset!(SCALAR = "scalar"."js", JAVASCRIPT, script(&service().scalar_html()));
asset!(SWAGGER = "swagger"."js", JAVASCRIPT, script(&service().swagger_ui_html()));
asset!(SWAGGER_STYLE = "swagger"."css", CSS, style(&service().swagger_ui_html()));
asset!(REDOC = "redoc"."js", JAVASCRIPT, script(&service().redoc_html()));
asset!(START = "start"."js", JAVASCRIPT, include_str!("start.js"));
asset!(STYLE = "page"."css", CSS, include_str!("page.css"));
asset!(PEOPLE_STYLE = "people"."css", CSS, include_str!("../pages/people.css"));
asset!(RESET_PASSWORD = "reset"."js", JAVASCRIPT, include_str!("../pages/reset_password.js"));
asset!(CONSOLE = "console"."js", JAVASCRIPT, include_str!("../console/script.js"));
asset!(CONSOLE_STYLE = "console"."css", CSS, include_str!("../console/style.css"));

/// The asset whose file has this name.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    let all = [
        &SCALAR,
        &SWAGGER,
        &SWAGGER_STYLE,
        &REDOC,
        &START,
        &STYLE,
        &PEOPLE_STYLE,
        &RESET_PASSWORD,
        &CONSOLE,
        &CONSOLE_STYLE,
    ];
    let mut alike = all.into_iter().filter(|asset| {
        name.strip_prefix(asset.stem)
            .is_some_and(|rest| rest.ends_with(asset.extension))
    });
    alike.find(|asset| asset.file.name == name)
}

impl Asset {
    pub(crate) fn path(&self) -> String {
        format!("/docs/assets/{}", self.file.name)
    }

    pub(super) fn body(&self) -> Bytes {
        self.file.body.clone()
    }
}

impl File {
    fn new(stem: &str, extension: &str, body: Bytes) -> Self {
        let name = format!("{stem}-{}.{extension}", fingerprint(&body));
        Self { name, body }
    }
}

fn service() -> OpenApiService<(), ()> {
    OpenApiService::new((), "", "")
}

fn script(page: &str) -> String {
    element(page, "<script charset=\"UTF-8\">", "</script>\n")
}

fn style(page: &str) -> String {
    element(page, "<style charset=\"UTF-8\">", "</style>\n")
}

fn element(page: &str, start: &str, end: &str) -> String {
    let rest = page.split_once(start).map_or("", |(_, rest)| rest);
    rest.split_once(end)
        .map_or("", |(element, _)| element)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_taken_out_whole() {
        for (asset, size, start) in [
            (&SCALAR, 3_154_068, "@scalar/api-reference@1.28.15"),
            (&SWAGGER, 1_452_753, "swagger-ui-bundle.js.LICENSE.txt"),
            (&REDOC, 1_035_920, "redoc.standalone.js.LICENSE.txt"),
        ] {
            let body = asset.body();
            assert!(
                body.len() >= size,
                "{} has {} bytes",
                asset.stem,
                body.len()
            );
            let head = String::from_utf8_lossy(&body[..1000]).into_owned();
            assert!(head.contains(start), "{head}");
        }
        assert!(SWAGGER_STYLE.body().starts_with(b".swagger-ui{"));
        assert_eq!(SWAGGER_STYLE.body().len(), 152_071);
    }

    #[test]
    fn a_file_is_found_by_its_full_name_only() {
        let name = STYLE.file.name.as_str();
        assert!(find(name).is_some());
        assert!(find("page.css").is_none());
        assert!(find(&name.replace("css", "js")).is_none());
    }
}
