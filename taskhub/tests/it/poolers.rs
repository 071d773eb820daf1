//! Poolers between a program and PostgreSQL.

use secrecy::{ExposeSecret as _, SecretString};
use taskhub::{
    database::{self, Schema},
    testing::Database,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// What becomes of the settings that a client sends at the start.
#[derive(Clone, Copy)]
enum Settings {
    /// As `PgBouncer` does by itself.
    Refused,
    /// As `PgBouncer` does with `ignore_startup_parameters = options`.
    Dropped,
}

/// A way to `database` that treats the settings like that, and leads on to PostgreSQL itself.
async fn pooler(database: &Database, settings: Settings) -> SecretString {
    let mut url = Url::parse(database.url.expose_secret()).unwrap();
    let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port()))
        .unwrap();
    url.query_pairs_mut().append_pair("sslmode", "disable");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, server.clone(), settings));
        }
    });
    String::from(url).into()
}

/// PostgreSQL's protocol, version 3.0, section 55.7: a start is a length, a version, and names with values.
async fn serve(mut client: TcpStream, server: String, settings: Settings) -> std::io::Result<()> {
    let length = client.read_u32().await?;
    let mut start = vec![0; length as usize - 4];
    client.read_exact(&mut start).await?;
    if matches!(settings, Settings::Refused) {
        let fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: options\0\0";
        client.write_u8(b'E').await?;
        client.write_u32(fields.len() as u32 + 4).await?;
        return client.write_all(fields).await;
    }
    let (version, pairs) = start.split_at(4);
    let texts: Vec<&[u8]> = pairs.split(|byte| *byte == 0).collect();
    let mut kept = version.to_vec();
    for pair in texts.chunks(2) {
        if let [name, value] = pair
            && !name.is_empty()
            && *name != b"options"
        {
            kept.extend([*name, &[0], *value, &[0]].concat());
        }
    }
    kept.push(0);
    let mut server = TcpStream::connect(server).await?;
    server.write_u32(kept.len() as u32 + 4).await?;
    server.write_all(&kept).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

#[tokio::test]
async fn a_pooler_is_told_from_a_postgresql_that_is_away() {
    let database = Database::create().await;
    for settings in [Settings::Refused, Settings::Dropped] {
        let url = pooler(&database, settings).await;
        let options = database::connect_options(&url, "test").unwrap();
        let schema = database::look(&options).await.unwrap();
        assert_eq!(schema, Schema::Pooled);
        let refusal = schema.check().unwrap_err().to_string();
        assert!(refusal.contains("pooler"), "{refusal}");
    }
    let direct = database::connect_options(&database.url, "test").unwrap();
    assert_eq!(database::look(&direct).await.unwrap(), Schema::Current);
    let nobody = SecretString::from("postgres://postgres@127.0.0.1:9/postgres");
    let nobody = database::connect_options(&nobody, "test").unwrap();
    assert!(database::look(&nobody).await.is_err());
}
