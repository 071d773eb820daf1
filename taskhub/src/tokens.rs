//! The two tokens of a session: the access token that requests carry (a JWT as in RFC 9068, under the
//! rules of RFC 8725), and the refresh token that is exchanged for the next pair (RFC 9700, 4.14).

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Error, Result, scopes::Scopes};

mod hs256;

const ISSUER: &str = "taskhub";
const AUDIENCE: &str = "taskhub-api";

/// RFC 9068, 2.1: no other kind of token is taken for an access token.
const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// Tells a refresh token from everything else, for people and for secret scanners.
const REFRESH_TOKEN_PREFIX: &str = "thr_";

/// How far the clocks of two servers may be apart, in seconds.
const LEEWAY: u64 = 5;

/// In bytes. Our own are below 600.
pub const MAX_TOKEN_LENGTH: usize = 4096;

/// In bytes: as long as the hash (RFC 7518, 3.2).
const MIN_SECRET_LENGTH: usize = 32;

/// How long what is issued stays valid.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    pub access_token: Duration,
    /// Counted anew at each refresh.
    pub refresh_token: Duration,
    /// For how long after its exchange a refresh token gives the same successor again, as long as nobody
    /// has used that.
    pub refresh_retry: Duration,
}

/// What an access token says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Claims {
    /// The username.
    pub sub: String,
    /// Seconds since 1970, as `iat`.
    pub exp: i64,
    pub iat: i64,
    pub jti: Uuid,
    /// The session, without which the token is worth nothing.
    pub sid: Uuid,
    pub iss: String,
    pub aud: String,
    pub scope: String,
}

/// The keys that sign and the lifetimes of what they sign.
pub struct Keys {
    ring: RwLock<Arc<Ring>>,
    pub lifetimes: Lifetimes,
}

/// The keys of one moment.
struct Ring {
    current: Key,
    /// Signs nothing, and is accepted: the key before, or the one to come.
    other: Option<Key>,
}

struct Key {
    /// Names the key in a token's header without telling anything about it.
    id: String,
    secret: SecretString,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl Keys {
    /// Tokens are signed with `current`; those of `other` are accepted too.
    ///
    /// # Errors
    /// Where a secret is shorter than 32 bytes.
    pub fn new(
        current: &SecretString,
        other: Option<&SecretString>,
        lifetimes: Lifetimes,
    ) -> anyhow::Result<Self> {
        hs256::install();
        Ok(Self {
            ring: RwLock::new(Arc::new(Ring::new(current, other)?)),
            lifetimes,
        })
    }

    /// Signs and accepts with these from now on, and tells whether they are others than before.
    ///
    /// # Errors
    /// As [`Keys::new`]; then the former keys stay.
    pub fn replace(
        &self,
        current: &SecretString,
        other: Option<&SecretString>,
    ) -> anyhow::Result<bool> {
        let new = Ring::new(current, other)?;
        if new.ids().eq(self.ring().ids()) {
            return Ok(false);
        }
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(true)
    }

    fn ring(&self) -> Arc<Ring> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.clone()
    }

    /// An access token of `session` for the user called `username`.
    ///
    /// # Errors
    /// [`Error::Internal`] where signing fails.
    pub fn access_token(
        &self,
        username: &str,
        session: Uuid,
        scopes: &Scopes,
    ) -> Result<SecretString> {
        let now = Utc::now();
        let claims = Claims {
            sub: username.to_owned(),
            exp: (now + self.lifetimes.access_token).timestamp(),
            iat: now.timestamp(),
            jti: Uuid::now_v7(),
            sid: session,
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            scope: scopes.to_string(),
        };
        let ring = self.ring();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(ACCESS_TOKEN_TYPE.to_owned());
        header.kid = Some(ring.current.id.clone());
        let token = jsonwebtoken::encode(&header, &claims, &ring.current.encoding)
            .context("an access token cannot be signed")?;
        Ok(token.into())
    }

    /// What a genuine access token says. Whether its session still lives is for
    /// [`sessions::identify`](crate::sessions::identify) to tell.
    ///
    /// # Errors
    /// [`Error::ExpiredToken`] for a genuine one whose time is over, [`Error::InvalidToken`] for anything else.
    pub fn verify(&self, token: &str) -> Result<Claims> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(Error::InvalidToken);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidToken)?;
        let ours = header.alg == Algorithm::HS256
            && header.typ.as_deref() == Some(ACCESS_TOKEN_TYPE)
            // RFC 7515, 4.1.11: what must be understood and is not makes the token invalid.
            && header.crit.is_none();
        let ring = self.ring();
        let key = ring
            .all()
            .find(|key| header.kid.as_deref() == Some(&key.id));
        let Some(key) = key.filter(|_| ours) else {
            return Err(Error::InvalidToken);
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation())
            .map_err(|error| {
                if matches!(error.kind(), ErrorKind::ExpiredSignature) {
                    Error::ExpiredToken
                } else {
                    Error::InvalidToken
                }
            })?
            .claims;
        // Nothing of ours lives longer, so this one was not made by our rules.
        let latest = Utc::now()
            .timestamp()
            .saturating_add_unsigned(self.lifetimes.access_token.as_secs() + LEEWAY);
        if claims.exp > latest {
            return Err(Error::InvalidToken);
        }
        Ok(claims)
    }

    /// The refresh token that follows the one whose hash is `parent`, by each of our keys, newest first.
    ///
    /// It is derived and not drawn, so that a process that does not read [`RefreshToken::seal`] can give
    /// it again too.
    pub(crate) fn following(
        &self,
        session: Uuid,
        generation: i32,
        parent: &[u8],
    ) -> Vec<RefreshToken> {
        let message = [&session.as_bytes()[..], &generation.to_be_bytes(), parent].concat();
        let token = |key: &Key| {
            RefreshToken::from_bytes(&key.seal("refresh token", &message).finalize().into_bytes())
        };
        self.ring().all().map(token).collect()
    }

    /// A mark on `message` that nobody else can make. Each `purpose` has marks of its own.
    pub fn seal(&self, purpose: &str, message: &[u8]) -> [u8; 32] {
        let mark = self.ring().current.seal(purpose, message);
        mark.finalize().into_bytes().into()
    }

    /// The marks on `message` by each of our keys, that of [`Keys::seal`] first.
    pub fn seals(&self, purpose: &str, message: &[u8]) -> Vec<[u8; 32]> {
        let mark = |key: &Key| key.seal(purpose, message).finalize().into_bytes().into();
        self.ring().all().map(mark).collect()
    }

    /// Whether `seal` is such a mark, by any of our keys.
    pub fn has_sealed(&self, purpose: &str, message: &[u8], seal: &[u8]) -> bool {
        self.ring()
            .all()
            .any(|key| key.seal(purpose, message).verify_slice(seal).is_ok())
    }
}

impl Ring {
    fn new(current: &SecretString, other: Option<&SecretString>) -> anyhow::Result<Self> {
        Ok(Self {
            current: Key::new(current).context("JWT_SECRET")?,
            other: other
                .map(Key::new)
                .transpose()
                .context("JWT_SECRET_PREVIOUS")?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.other)
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.all().map(|key| key.id.as_str())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ring().ids()).finish()
    }
}

impl Key {
    fn new(secret: &SecretString) -> anyhow::Result<Self> {
        let bytes = secret.expose_secret().as_bytes();
        ensure!(
            bytes.len() >= MIN_SECRET_LENGTH,
            "must have at least {MIN_SECRET_LENGTH} bytes"
        );
        let digest = Sha256::new()
            .chain_update(b"taskhub key id\0")
            .chain_update(bytes)
            .finalize();
        Ok(Self {
            id: BASE64_URL_SAFE_NO_PAD.encode(&digest[..9]),
            secret: secret.clone(),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
        })
    }

    /// The purpose keeps it apart from what the same key signs as a JWT, and from other seals.
    fn seal(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(self.secret.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        for part in ["taskhub ", purpose, "\0"] {
            mac.update(part.as_bytes());
        }
        mac.update(message);
        mac
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
    validation
}

/// 256 bits that stand for a session until they are used.
pub(crate) struct RefreshToken(SecretString);

impl RefreshToken {
    /// A first one.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("the system has no random numbers")?;
        Ok(Self::from_bytes(&bytes))
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self(
            format!(
                "{REFRESH_TOKEN_PREFIX}{}",
                BASE64_URL_SAFE_NO_PAD.encode(bytes)
            )
            .into(),
        )
    }

    /// A token as a client sent it.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] where it cannot be one of ours.
    pub(crate) fn parse(token: &SecretString) -> Result<Self> {
        let encoded = token.expose_secret().strip_prefix(REFRESH_TOKEN_PREFIX);
        encoded
            .filter(|encoded| encoded.len() == 43)
            .and_then(|encoded| BASE64_URL_SAFE_NO_PAD.decode(encoded).ok())
            .map(|bytes| Self::from_bytes(&bytes))
            .ok_or(Error::InvalidToken)
    }

    /// Encrypts `successor` so that only a client with this token can have it again. A token has one
    /// successor, so its pad is used once.
    pub(crate) fn seal(&self, successor: &Self) -> [u8; 32] {
        self.pad(&successor.bytes())
    }

    /// The successor that was sealed with this token.
    pub(crate) fn unseal(&self, sealed: &[u8]) -> Self {
        Self::from_bytes(&self.pad(sealed))
    }

    /// `text` under a one-time pad that only this token gives.
    fn pad(&self, text: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(b"taskhub refresh token successor\0");
        let mut pad: [u8; 32] = mac.finalize().into_bytes().into();
        for (byte, other) in pad.iter_mut().zip(text) {
            *byte ^= other;
        }
        pad
    }

    fn bytes(&self) -> Vec<u8> {
        let encoded = self.0.expose_secret().strip_prefix(REFRESH_TOKEN_PREFIX);
        encoded
            .and_then(|encoded| BASE64_URL_SAFE_NO_PAD.decode(encoded).ok())
            .expect("it was made of bytes")
    }

    /// SHA-256, as it is stored: a token of 256 random bits needs nothing slower.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }
}

#[cfg(test)]
mod tests;
