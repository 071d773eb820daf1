//! A new password for a forgotten one, for people who have no app that does it: the letter leads here.
//!
//! The letter's link carries the code in its fragment, which browsers send to nobody. The page's script puts
//! it into the form; without JavaScript the person copies it from the letter.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use secrecy::{ExposeSecret, SecretString};
use taskhub::{Error, Violation, passwords};

use super::{Pages, escaped};
use crate::{
    admission,
    docs::assets,
    gate::Arrival,
    problem::{self, Problem},
};

/// The largest form, in bytes.
const MAX_FORM: usize = 16 * 1024;

/// `GET` shows the form, `POST` sets the password.
pub(super) struct Form(pub(super) Arc<Pages>);

/// What the person filled in.
#[derive(Default)]
struct Filled {
    code: SecretString,
    new_password: SecretString,
    again: SecretString,
}

impl Endpoint for Form {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        match *request.method() {
            Method::GET => Ok(form(StatusCode::OK, "", &[])),
            Method::POST => {
                let arrival = request.extensions().get::<Arrival>().cloned();
                let arrival = arrival
                    .ok_or_else(|| poem::Error::from_status(StatusCode::INTERNAL_SERVER_ERROR))?;
                let filled = read(&mut request).await?;
                Ok(self.set(&arrival, filled).await)
            }
            _ => Err(
                Problem::new(&problem::METHOD_NOT_ALLOWED, "this path has other methods")
                    .header(header::ALLOW, "GET, HEAD, POST")
                    .into(),
            ),
        }
    }
}

impl Form {
    async fn set(&self, arrival: &Arrival, filled: Filled) -> Response {
        let code = filled.code.expose_secret().to_owned();
        if filled.new_password.expose_secret() != filled.again.expose_secret() {
            let again = fault("/again", "The two passwords are not the same.");
            return form(StatusCode::UNPROCESSABLE_ENTITY, &code, &[again]);
        }
        let passwords = &self.0.passwords;
        if let Err(verdict) = passwords.limits.password_reset(arrival.address).await {
            return self.failed(verdict.into(), arrival);
        }
        match passwords
            .exchange(None, &filled.code, &filled.new_password)
            .await
        {
            Ok(_) => Response::builder()
                .status(StatusCode::SEE_OTHER)
                .header(header::LOCATION, "/reset-password/done")
                .finish(),
            Err(Error::Invalid(violations)) => {
                let faults: Vec<_> = violations.iter().map(explained).collect();
                form(StatusCode::UNPROCESSABLE_ENTITY, &code, &faults)
            }
            Err(error) => self.failed(error.into(), arrival),
        }
    }

    /// The page for what the person cannot correct; the status and `Retry-After` stay the problem's.
    fn failed(&self, problem: Problem, arrival: &Arrival) -> Response {
        let (title, advice) = match problem.kind.status {
            StatusCode::TOO_MANY_REQUESTS => (
                "Too many attempts",
                "Too many codes were tried from your network. Wait a few minutes, go back and try again.",
            ),
            StatusCode::SERVICE_UNAVAILABLE => (
                "Try again soon",
                "The service is busy. Your password has not changed. Wait a moment, go back and try again.",
            ),
            _ => (
                "Something went wrong",
                "Your password has not changed. Go back and try again later.",
            ),
        };
        let id = escaped(&arrival.request_id);
        let body = format!(
            "<p role=\"alert\">{advice}</p>\n<p class=\"note\">When you report this, name the request {id}.</p>"
        );
        let mut response =
            problem.into_response(&self.0.public_url, &arrival.request_id, "/reset-password");
        let page = super::page(response.status(), title, &body);
        let (parts, body) = page.into_parts();
        response.headers_mut().extend(parts.headers);
        response.set_body(body);
        response
    }
}

/// What is wrong with a field, for people.
struct Fault {
    field: &'static str,
    text: String,
}

fn fault(field: &'static str, text: &str) -> Fault {
    Fault {
        field,
        text: text.to_owned(),
    }
}

fn explained(violation: &Violation) -> Fault {
    if violation.pointer == "/code" {
        return fault(
            "/code",
            "The code is wrong, was used already, or is older than 30 minutes. Ask for a new one where you sign in.",
        );
    }
    Fault {
        field: "/new_password",
        text: format!("The password {}.", violation.detail),
    }
}

async fn read(request: &mut Request) -> Result<Filled, Problem> {
    let content_type = admission::text(request.headers(), header::CONTENT_TYPE).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let detail = "send application/x-www-form-urlencoded";
        return Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let bytes = request.take_body().into_bytes_limit(MAX_FORM).await;
    let bytes =
        bytes.map_err(|_| Problem::new(&problem::PAYLOAD_TOO_LARGE, "the form is too large"))?;
    let mut filled = Filled::default();
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        let field = match &*name {
            // Copied from a letter, often with a space or a line's end.
            "code" => {
                filled.code = value.trim().into();
                continue;
            }
            "new_password" => &mut filled.new_password,
            "again" => &mut filled.again,
            _ => continue,
        };
        *field = value.into_owned().into();
    }
    Ok(filled)
}

/// The form, with what was wrong the last time.
fn form(status: StatusCode, code: &str, faults: &[Fault]) -> Response {
    let alert = match faults {
        [] => String::new(),
        faults => {
            let line = |fault: &Fault| format!("<p>{}</p>", escaped(&fault.text));
            let lines: Vec<_> = faults.iter().map(line).collect();
            format!("<div role=\"alert\" id=\"faults\">{}</div>", lines.concat())
        }
    };
    let wrong = |field: &str| match faults.iter().any(|fault| fault.field == field) {
        true => " aria-invalid=\"true\" aria-errormessage=\"faults\"",
        false => "",
    };
    let body = include_str!("reset_password.html")
        .replace("{script}", &assets::RESET_PASSWORD.path())
        .replace("{least}", &passwords::MIN_LENGTH.to_string())
        .replace("{code_state}", wrong("/code"))
        .replace("{password_state}", wrong("/new_password"))
        .replace("{again_state}", wrong("/again"))
        .replace("{alert}", &alert)
        .replace("{code}", &escaped(code));
    super::page(status, "Choose a new password", &body)
}

/// After it worked.
pub(super) fn done(pages: &Pages) -> Response {
    let next = match &pages.client_url {
        Some(url) => {
            let url = escaped(url.as_str());
            format!("<p><a href=\"{url}\">Sign in with the new password</a>.</p>")
        }
        None => "<p>Sign in with the new password.</p>".to_owned(),
    };
    let body = format!(
        "<p role=\"status\">Your password has changed, and you are signed out everywhere.</p>\n{next}"
    );
    super::page(StatusCode::OK, "Your password has changed", &body)
}
