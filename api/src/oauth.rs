//! The same by the letters of OAuth 2.0, for clients and documentation pages that speak it.

use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    payload::{Form, Json},
};
use serde::Deserialize;
use taskhub::{
    Violation, scopes,
    sessions::{self, Excess},
};

use crate::{
    auth::{self, Tokens},
    context::Context,
    problem::{self, Kind, Problem},
    tags::Tags,
};

/// What is exchanged for tokens.
#[derive(Deserialize, Enum)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
enum GrantType {
    Password,
    RefreshToken,
}

/// A token request (RFC 6749, sections 4.3 and 6). Which other fields are needed depends on `grant_type`.
#[derive(Deserialize, Object)]
#[oai(deny_unknown_fields)]
struct TokenRequest {
    grant_type: GrantType,
    /// For `password`.
    #[oai(validator(max_length = 50))]
    username: Option<String>,
    /// For `password`.
    password: Option<String>,
    /// For `refresh_token`.
    #[oai(validator(max_length = 4096))]
    refresh_token: Option<String>,
    /// For `password`: what the tokens shall allow, as names with spaces between. Where it is left out or
    /// empty, everything but `admin`. `admin` is left out for everybody but operators; the answer's
    /// `scope` tells what remains. A refresh never changes it.
    #[oai(validator(max_length = 500))]
    scope: Option<String>,
    /// Read by nobody; clients need no registration.
    client_id: Option<String>,
    /// As `client_id`.
    client_secret: Option<String>,
}

/// A token to be given up (RFC 7009, section 2.1).
#[derive(Deserialize, Object)]
#[oai(deny_unknown_fields)]
struct Revocation {
    /// An access or a refresh token.
    #[oai(validator(max_length = 4096))]
    token: String,
    /// Not needed; the two kinds are told apart by themselves.
    token_type_hint: Option<String>,
    /// Read by nobody; clients need no registration.
    client_id: Option<String>,
    /// As `client_id`.
    client_secret: Option<String>,
}

#[derive(ApiResponse)]
enum Revoked {
    /// The token is of no use now, if it ever was.
    #[oai(status = 200)]
    Done,
}

/// Tokens by form.
pub struct Api {
    pub auth: auth::Api,
}

#[OpenApi(prefix_path = "/v1/oauth", tag = "Tags::Authentication")]
impl Api {
    /// Get tokens by form
    ///
    /// `grant_type=password` is `POST /v1/auth/login`, `grant_type=refresh_token` is
    /// `POST /v1/auth/refresh`. Failures carry OAuth's code in the member `error` (RFC 6749, section
    /// 5.2). Needs no token.
    #[oai(path = "/token", method = "post", operation_id = "issue_tokens")]
    async fn token(
        &self,
        context: Context,
        form: Form<TokenRequest>,
    ) -> Result<Json<Tokens>, Problem> {
        let Form(request) = form;
        let result = match request.grant_type {
            GrantType::Password => {
                let (Some(username), Some(password)) = (request.username, request.password) else {
                    return Err(incomplete("username and password are needed"));
                };
                // RFC 6749, 3.2: a parameter without a value counts as left out.
                let scope = request.scope.as_deref();
                let scope = scope.filter(|scope| !scope.trim().is_empty());
                self.auth
                    .sign_in(&context, username, password.into(), scope, Excess::LeftOut)
                    .await
            }
            GrantType::RefreshToken => {
                let Some(token) = request.refresh_token else {
                    return Err(incomplete("refresh_token is needed"));
                };
                self.auth.exchange(&token.into()).await
            }
        };
        result.map_err(in_oauth_terms)
    }

    /// Give a token up
    ///
    /// Ends the session that an access or a refresh token belongs to. The answer is the same for a
    /// token that means nothing (RFC 7009). Needs no other token.
    #[oai(path = "/revoke", method = "post", operation_id = "revoke_token")]
    async fn revoke(&self, form: Form<Revocation>) -> Result<Revoked, Problem> {
        sessions::revoke(&self.auth.db, &self.auth.keys, &form.0.token.into()).await?;
        Ok(Revoked::Done)
    }
}

fn incomplete(detail: &str) -> Problem {
    Problem::new(&problem::INCOMPLETE_TOKEN_REQUEST, detail).member("error", "invalid_request")
}

/// A form that breaks rules of the document, in the terms of RFC 6749, section 5.2, where it has some.
pub(crate) fn broken_form(violations: Vec<Violation>) -> Problem {
    let missing = violations
        .iter()
        .find(|violation| violation.code == "required");
    if let Some(missing) = missing {
        let field = missing.pointer.trim_start_matches('/');
        return incomplete(&format!("{field} is needed"));
    }
    if violations
        .iter()
        .any(|violation| violation.pointer == "/grant_type")
    {
        return Problem::new(
            &problem::UNSUPPORTED_GRANT,
            "grant_type is password or refresh_token",
        )
        .member("error", "unsupported_grant_type");
    }
    if violations
        .iter()
        .any(|violation| violation.pointer == "/scope")
    {
        return Problem::new(&problem::INVALID_SCOPE, scopes::known())
            .member("error", "invalid_scope");
    }
    Problem::violations(violations).member("error", "invalid_request")
}

/// What RFC 6749, section 5.2, has a code and the status 400 for.
fn in_oauth_terms(problem: Problem) -> Problem {
    const REFUSED: [&Kind; 4] = [
        &problem::INVALID_LOGIN,
        &problem::INVALID_TOKEN,
        &problem::TOKEN_EXPIRED,
        &problem::TOKEN_REVOKED,
    ];
    if REFUSED.contains(&problem.kind) {
        Problem::new(&problem::INVALID_GRANT, problem.detail).member("error", "invalid_grant")
    } else if problem.kind == &problem::VALIDATION_FAILED {
        // The scope is all that is left to be wrong here.
        Problem::new(&problem::INVALID_SCOPE, problem.detail).member("error", "invalid_scope")
    } else {
        problem
    }
}
