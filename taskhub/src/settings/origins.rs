//! The origins that `CORS_ORIGINS` lists.

use url::Url;

/// Reads origins that are separated by commas (RFC 6454, 6.2), of whatever scheme. They are compared with
/// the header `Origin` as text, so each must stand exactly as a browser sends it.
///
/// # Errors
/// What is wrong with the first one that is none, by its place in the list.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let entries = text.split(',').map(str::trim).enumerate();
    entries
        .map(|(index, entry)| match fault(entry) {
            None => Ok(entry.to_owned()),
            Some(fault) => Err(format!("has as entry {} {fault}", index + 1)),
        })
        .collect()
}

/// Why a browser never sends `entry` as an origin, or why that must not be allowed.
fn fault(entry: &str) -> Option<&'static str> {
    const EXAMPLES: &str =
        "no origin such as https://app.example.com, http://localhost:5173 or capacitor://localhost";
    if entry.contains('*') {
        return Some("a pattern; list each origin by itself, because only exact ones are compared");
    }
    if entry == "null" {
        return Some(
            "null, which any page can send from a sandboxed frame; serve the page from an origin of its own",
        );
    }
    let Ok(url) = Url::parse(entry) else {
        return Some(EXAMPLES);
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Some(EXAMPLES);
    };
    let path = url.path();
    if url.query().is_some() || url.fragment().is_some() || !matches!(path, "" | "/") {
        return Some("an address with something behind the host and the port");
    }
    if entry.ends_with('/') {
        return Some("an origin with a slash at the end, which browsers do not send");
    }
    let port = url.port().map(|port| format!(":{port}"));
    let sent = format!("{}://{host}{}", url.scheme(), port.unwrap_or_default());
    (sent != entry).then_some(
        "an origin that browsers send otherwise: in lower case, without the default port and without a user",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_may_have_any_scheme() {
        for origin in [
            "https://app.example.com",
            "http://localhost:5173",
            "http://[::1]:8080",
            "http://127.0.0.1",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "http://tauri.localhost",
            "app://obsidian.md",
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
            "moz-extension://0b2c7a51-ce92-4e8f-9f0b-2c8a51ce92ae",
            "vscode-webview://1a2b3c",
            "custom+scheme.1://host:8443",
        ] {
            assert_eq!(parse(origin), Ok(vec![origin.to_owned()]));
        }
        let two = parse("https://a.example , capacitor://localhost").expect("two origins");
        assert_eq!(two, ["https://a.example", "capacitor://localhost"]);
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_the_reason() {
        for (entry, reason) in [
            ("*", "a pattern"),
            ("https://*.example.com", "a pattern"),
            ("https://*", "a pattern"),
            ("null", "sandboxed frame"),
            ("https://app.example.com/", "a slash at the end"),
            ("capacitor://localhost/", "a slash at the end"),
            ("https://app.example.com/app", "something behind"),
            ("https://app.example.com?a", "something behind"),
            ("https://app.example.com#a", "something behind"),
            ("https://app.example.com:443", "default port"),
            ("http://app.example.com:80", "default port"),
            ("https://App.example.com", "lower case"),
            ("HTTPS://app.example.com", "lower case"),
            ("Capacitor://localhost", "lower case"),
            ("https://me@app.example.com", "without a user"),
            ("https://bücher.example", "otherwise"),
            ("app.example.com", "no origin"),
            ("localhost:5173", "no origin"),
            ("file:///app", "no origin"),
            ("https://", "no origin"),
            ("", "no origin"),
            ("https://a.example,", "entry 2 no origin"),
            ("https://a b.example", "no origin"),
        ] {
            let detail = parse(entry).expect_err(entry);
            assert!(detail.contains(reason), "{entry}: {detail}");
        }
    }
}
