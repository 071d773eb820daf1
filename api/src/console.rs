//! The page from which operators watch and steer jobs. It holds no data and no secret: whoever opens it
//! signs in, and every request it makes is one of the API's.

use poem::{Response, Route, endpoint::make_sync, get};

use crate::docs::{self, assets};

/// What it may do beyond every page.
const POLICY: &str = "style-src 'self'; img-src data:";

/// `GET /admin/jobs`, open to everyone.
pub fn routes(route: Route) -> Route {
    route.at("/admin/jobs", get(make_sync(|_| page())))
}

fn page() -> Response {
    let html = include_str!("console/page.html")
        .replace("{script}", &assets::CONSOLE.path())
        .replace("{style}", &assets::CONSOLE_STYLE.path());
    docs::html(html, POLICY)
}
