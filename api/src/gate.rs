//! What every operation may rely on: the request has been held against the contract before the
//! operation sees it. In this order: route and method (404, 405), token and scope (401, 403), rate
//! limit (429), media types (406, 415), parameters (400), body (400, 413, 422), conditions (400, 428).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, endpoint::BoxEndpoint};
use serde_json::Value;
use sqlx::PgPool;
use taskhub::{
    idempotency,
    scopes::Scope,
    sessions::{self, Caller as Identity},
    tokens,
};

use crate::{
    admission::{self, text},
    context::Context,
    contract::{Contract, Found, Operation},
    limits::{Fallback, Limits, Policy, Verdict, group},
    operators::Operators,
    problem::{self, Problem},
};

/// Holds requests against the contract and passes those that keep it on to the operations.
pub struct Gate {
    pub contract: Arc<Contract>,
    pub operations: BoxEndpoint<'static, Response>,
    pub db: PgPool,
    pub keys: Arc<tokens::Keys>,
    pub limits: Arc<Limits>,
    pub operators: Operators,
    /// How long answers are kept under their `Idempotency-Key`.
    pub idempotency: Duration,
    /// Whether a change without `If-Match` is refused.
    pub require_if_match: bool,
}

/// What the edge knows of a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub request_id: String,
    pub address: IpAddr,
}

/// What the gate has to say about a request.
pub struct Answer {
    pub result: poem::Result<Response>,
    /// The id of the operation; the edge counts by it.
    pub operation: Option<String>,
    /// Where the client stands; announced on failures too.
    pub verdict: Option<Verdict>,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self {
            result: Err(problem.into()),
            operation: None,
            verdict: None,
        }
    }
}

impl Gate {
    /// Answers an operation of the contract; `Err` gives back a request whose path is none of its.
    pub async fn call(&self, request: Request, arrival: &Arrival) -> Result<Answer, Request> {
        match self.contract.find(request.method(), request.uri().path()) {
            Found::Nothing => Err(request),
            Found::OtherMethods(allow) if request.method() == Method::OPTIONS => Ok(Answer {
                result: Ok(Response::builder()
                    .status(StatusCode::NO_CONTENT)
                    .header(header::ALLOW, allow)
                    .finish()),
                operation: None,
                verdict: None,
            }),
            Found::OtherMethods(allow) => {
                let problem =
                    Problem::new(&problem::METHOD_NOT_ALLOWED, "this path has other methods");
                Ok(problem.header(header::ALLOW, &allow).into())
            }
            Found::Operation(operation, path) => {
                tracing::Span::current().record("operation", operation.id.as_str());
                let mut answer = match self.identify(&operation, request.headers()).await {
                    Ok(identity) => {
                        self.limited(&operation, &path, request, identity, arrival)
                            .await
                    }
                    Err(problem) => problem.into(),
                };
                answer.operation = Some(operation.id.clone());
                Ok(answer)
            }
        }
    }

    async fn limited(
        &self,
        operation: &Operation,
        path: &BTreeMap<String, String>,
        mut request: Request,
        identity: Option<Identity>,
        arrival: &Arrival,
    ) -> Answer {
        let verdict = self
            .limit(operation, identity.as_ref(), arrival.address)
            .await;
        let result = match verdict {
            Some(verdict) if !verdict.taken.allowed => Err(Problem::from(verdict).into()),
            Some(_) | None => {
                match self
                    .admit(operation, path, &mut request, identity.as_ref(), arrival)
                    .await
                {
                    Ok(context) => {
                        request.extensions_mut().insert(Arc::new(context));
                        if let Some(identity) = identity {
                            request.extensions_mut().insert(Arc::new(identity));
                        }
                        self.operations.call(request).await
                    }
                    Err(problem) => Err(problem.into()),
                }
            }
        };
        Answer {
            result,
            operation: None,
            verdict,
        }
    }

    /// Who calls, where the operation wants to know.
    async fn identify(
        &self,
        operation: &Operation,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>, Problem> {
        let Some(required) = &operation.scopes else {
            return Ok(None);
        };
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else {
            return Err(Problem::new(
                &problem::MISSING_CREDENTIALS,
                "send one Authorization header",
            ));
        };
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            Problem::new(
                &problem::MISSING_CREDENTIALS,
                "the Authorization header is no Bearer token",
            )
        })?;
        let claims = self.keys.verify(token)?;
        let identity = sessions::identify(&self.db, &claims).await?;
        tracing::Span::current().record("user_id", tracing::field::display(identity.user_id));
        if required.iter().all(|scope| self.allows(&identity, *scope)) {
            return Ok(Some(identity));
        }
        Err(Problem::new(
            &problem::INSUFFICIENT_SCOPE,
            "this token was issued for less",
        )
        .member(
            "required_scopes",
            required
                .iter()
                .map(|scope| scope.name())
                .collect::<Vec<_>>(),
        ))
    }

    /// Whether the token has the right, and its bearer still may have it.
    fn allows(&self, identity: &Identity, scope: Scope) -> bool {
        identity.scopes.allow(scope)
            && (scope != Scope::Admin || self.operators.include(&identity.username))
    }

    async fn limit(
        &self,
        operation: &Operation,
        identity: Option<&Identity>,
        address: IpAddr,
    ) -> Option<Verdict> {
        // Health checks come from machines that must never be turned away.
        if operation.template.starts_with("/health") {
            return None;
        }
        let policy = if operation.method == Method::GET {
            Policy::Read
        } else {
            Policy::Write
        };
        match identity {
            Some(identity) => {
                self.limits
                    .take(policy, &identity.user_id.to_string(), Fallback::Pass)
                    .await
            }
            None => {
                self.limits
                    .take(policy, &group(address), Fallback::ThisProcess)
                    .await
            }
        }
    }

    /// Checks all that the contract says about the request.
    async fn admit(
        &self,
        operation: &Operation,
        path: &BTreeMap<String, String>,
        request: &mut Request,
        identity: Option<&Identity>,
        arrival: &Arrival,
    ) -> Result<Context, Problem> {
        admission::acceptable(request.headers())?;
        admission::parameters(operation, path, request.uri().query().unwrap_or_default())?;
        let body = match &operation.body {
            Some(rule) => admission::body(rule, request).await?,
            None => {
                admission::no_body(request).await?;
                Value::Null
            }
        };
        let versions = admission::versions(request.headers())?;
        if self.require_if_match
            && operation.conditional
            && !request.headers().contains_key(header::IF_MATCH)
        {
            return Err(Problem::new(
                &problem::PRECONDITION_REQUIRED,
                "send the ETag you last saw",
            ));
        }
        Ok(Context {
            request_id: arrival.request_id.clone(),
            address: arrival.address,
            user_agent: text(request.headers(), header::USER_AGENT)
                .map(|agent| agent.chars().take(300).collect()),
            idempotency: self.idempotency_key(operation, request, identity, &body)?,
            versions,
        })
    }

    fn idempotency_key(
        &self,
        operation: &Operation,
        request: &Request,
        identity: Option<&Identity>,
        body: &Value,
    ) -> Result<Option<idempotency::Key>, Problem> {
        let Some(key) = admission::idempotency_key(request.headers())? else {
            return Ok(None);
        };
        let principal = match identity {
            Some(identity) => format!("user:{}", identity.user_id),
            None => format!("name:{}", body["username"].as_str().unwrap_or_default()),
        };
        let if_match = text(request.headers(), header::IF_MATCH).unwrap_or_default();
        let mut canonical = Vec::new();
        for part in [
            request.uri().path(),
            request.uri().query().unwrap_or_default(),
            if_match,
        ] {
            canonical.extend_from_slice(part.as_bytes());
            canonical.push(0);
        }
        // A JSON object's members are sorted here, so their order does not matter.
        canonical.extend_from_slice(body.to_string().as_bytes());
        Ok(Some(idempotency::Key {
            principal,
            operation: operation.name(),
            key,
            fingerprints: self.keys.seals("request", &canonical),
            keep: self.idempotency,
        }))
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl From<Verdict> for Problem {
    fn from(verdict: Verdict) -> Self {
        let (quota, window) = (verdict.rate.requests, verdict.rate.period.as_secs());
        let mut problem = Self::new(
            &problem::RATE_LIMITED,
            format!("at most {quota} requests in {window} s"),
        )
        .member("policy", verdict.policy.name())
        .retry_after(verdict.taken.next);
        problem.limit = Some(Box::new(verdict));
        problem
    }
}
