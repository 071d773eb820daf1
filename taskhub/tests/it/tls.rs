//! PostgreSQL is believed to be who it says only with a certificate of a trusted authority.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;
use sqlx::{Connection, PgConnection, Row};
use taskhub::{database, testing::Postgres};
use tempfile::NamedTempFile;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that shows a certificate for `name` by `authority`.
async fn server(authority: &Authority, name: &str) -> Postgres {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Postgres::start_with_certificate(&certificate.pem(), &key.serialize_pem()).await
}

fn bundle(authority: &Authority) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(&file, authority.pem()).unwrap();
    file
}

/// Connects as the programs do in production, trusting what `bundle` holds.
async fn connect(postgres: &Postgres, bundle: &NamedTempFile) -> sqlx::Result<PgConnection> {
    let mut url = postgres.url();
    url.query_pairs_mut()
        .append_pair("sslmode", "verify-full")
        .append_pair("sslrootcert", bundle.path().to_str().unwrap());
    let url = SecretString::from(String::from(url));
    PgConnection::connect_with(&database::connect_options(&url, "test").unwrap()).await
}

#[tokio::test]
async fn a_server_with_a_certificate_of_a_trusted_authority_is_spoken_to_in_secret() {
    let authority = authority();
    let postgres = server(&authority, "127.0.0.1").await;

    let mut db = connect(&postgres, &bundle(&authority)).await.unwrap();

    let tls = sqlx::query("select ssl from pg_stat_ssl where pid = pg_backend_pid()");
    assert!(tls.fetch_one(&mut db).await.unwrap().get::<bool, _>(0));
}

#[tokio::test]
async fn a_server_with_a_certificate_of_a_stranger_is_not_spoken_to() {
    let postgres = server(&authority(), "127.0.0.1").await;

    let refused = connect(&postgres, &bundle(&authority())).await.unwrap_err();

    assert!(refused.to_string().contains("BadSignature"), "{refused}");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_name_is_not_spoken_to() {
    let authority = authority();
    let postgres = server(&authority, "another.example.com").await;

    let refused = connect(&postgres, &bundle(&authority)).await.unwrap_err();

    assert!(
        refused.to_string().contains("not valid for name"),
        "{refused}"
    );
}
