//! The role that the services sign in with: it reads and writes rows and changes no table.

use std::str::FromStr;

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, PgConnection, postgres::PgConnectOptions};
use url::Url;

/// As often as PostgreSQL does it: whoever has the verifier must do it for each guess.
const ITERATIONS: u32 = 4096;

/// Makes the role that `url` names, or gives it the password that stands there, and lets it read and
/// write the rows of every table there is and will be. Of migrations it can only read the record.
///
/// # Errors
/// Where `url` names no role with a password, or the owner of the tables; where that owner may not
/// make roles; where the database fails. No message repeats the URL.
pub(super) async fn grant(db: &mut PgConnection, url: &SecretString) -> anyhow::Result<()> {
    let (role, password) = credentials(url)?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    let known = sqlx::query!(
        r#"
        select current_user::text as "owner!", quote_ident($1) as "name!", quote_literal($2) as "verifier!",
            exists (select from pg_roles where rolname = $1) as "exists!"
        "#,
        role,
        verifier(password.expose_secret(), &salt),
    )
    .fetch_one(&mut *db)
    .await?;
    ensure!(
        known.owner != role,
        "SERVICE_DATABASE_URL and DATABASE_URL sign in as the same role, {role}"
    );
    let verb = if known.exists { "alter" } else { "create" };
    let (name, verifier) = (known.name, known.verifier);
    // All of it or, where it fails, nothing. Names and texts are quoted by the server.
    let statements = format!(
        "
        {verb} role {name} login password {verifier};
        grant usage on schema public to {name};
        grant select, insert, update, delete on all tables in schema public to {name};
        grant usage, select on all sequences in schema public to {name};
        revoke insert, update, delete on _sqlx_migrations from {name};
        alter default privileges in schema public grant select, insert, update, delete on tables to {name};
        alter default privileges in schema public grant usage, select on sequences to {name};
        "
    );
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(db)
        .await
        .with_context(|| format!("the role {role} of the services"))?;
    Ok(())
}

fn credentials(url: &SecretString) -> anyhow::Result<(String, SecretString)> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .map_err(|_| anyhow::anyhow!("SERVICE_DATABASE_URL is not a PostgreSQL URL"))?;
    let password = Url::parse(url.expose_secret())
        .ok()
        .and_then(|url| url.password().map(decoded))
        .context("SERVICE_DATABASE_URL has no password")?;
    Ok((options.get_username().to_owned(), password))
}

fn decoded(password: &str) -> SecretString {
    percent_encoding::percent_decode_str(password)
        .decode_utf8_lossy()
        .into_owned()
        .into()
}

/// What PostgreSQL keeps of a password (RFC 5802, section 3). It is made here, because servers log
/// statements and a statement with the password itself would tell it.
fn verifier(password: &str, salt: &[u8; 16]) -> String {
    let salted = salted(password, salt);
    let stored_key = Sha256::digest(authenticate(&salted, &[b"Client Key"]));
    let server_key = authenticate(&salted, &[b"Server Key"]);
    let [salt, stored_key, server_key] =
        [&salt[..], &stored_key, &server_key].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored_key}:{server_key}")
}

/// PBKDF2 with one block, which RFC 5802 calls `Hi`.
fn salted(password: &str, salt: &[u8]) -> [u8; 32] {
    let mut last = authenticate(password.as_bytes(), &[salt, &1_u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..ITERATIONS {
        last = authenticate(password.as_bytes(), &[&last]);
        for (sum, byte) in sum.iter_mut().zip(last) {
            *sum ^= byte;
        }
    }
    sum
}

fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length");
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, section 3, checked with this verifier's keys as a server does.
    #[test]
    fn the_verifier_accepts_the_published_exchange() {
        let salt = BASE64_STANDARD
            .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
            .expect("base64");
        let verifier = verifier("pencil", &salt.try_into().expect("16 bytes"));
        let (_, keys) = verifier.rsplit_once('$').expect("keys");
        let (stored_key, server_key) = keys.split_once(':').expect("two keys");
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let decode = |text| BASE64_STANDARD.decode(text).expect("base64");

        let signature = authenticate(&decode(stored_key), &[message]);
        let proof = decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(
            BASE64_STANDARD.encode(Sha256::digest(client_key)),
            stored_key
        );
        assert_eq!(
            BASE64_STANDARD.encode(authenticate(&decode(server_key), &[message])),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }

    #[test]
    fn the_password_is_taken_from_the_url_as_it_was_meant() {
        let url = SecretString::from("postgres://ser%40vice:p%2Fw%25@db/tasks");
        let (role, password) = credentials(&url).expect("credentials");
        assert_eq!(role, "ser@vice");
        assert_eq!(password.expose_secret(), "p/w%");
    }

    #[test]
    fn a_url_without_a_password_is_refused_without_being_shown() {
        let url = SecretString::from("postgres://service@db/tasks");
        let error = credentials(&url).expect_err("no password").to_string();
        assert_eq!(error, "SERVICE_DATABASE_URL has no password");
    }
}
