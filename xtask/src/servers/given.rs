//! Servers that somebody else runs.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use url::Url;

use super::redis;
use crate::{environment, progress};

const TIMEOUT: Duration = Duration::from_secs(2);

/// What a Redis or Valkey calls itself, as far as it tells without a password.
pub(crate) fn name(given: &Given) -> redis::Name {
    let said = Url::parse(&given.url).ok().and_then(|url| {
        let mut stream = connect(&url, 6379)?;
        stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
        let mut said = Vec::new();
        // What came before the time was up will do.
        let _ = stream.take(10_000).read_to_end(&mut said);
        Some(said)
    });
    let is_valkey = |said: Vec<u8>| String::from_utf8_lossy(&said).contains("server_name:valkey");
    if said.is_some_and(is_valkey) {
        redis::Name::Valkey
    } else {
        redis::Name::Redis
    }
}

/// The URL of a server that answers.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) url: String,
}

impl Given {
    /// The PostgreSQL that a variable names, if it names one and that answers.
    pub(crate) fn postgres(variable: &str) -> Option<Self> {
        given(variable, 5432, postgres_answers)
    }

    /// The Redis that a variable names, if it names one and that answers.
    pub(crate) fn redis(variable: &str) -> Option<Self> {
        given(variable, 6379, redis_answers)
    }
}

fn given(variable: &str, default_port: u16, answers: fn(TcpStream, &Url) -> bool) -> Option<Given> {
    let value = environment::variable(variable)?;
    let reached = Url::parse(&value)
        .ok()
        .and_then(|url| Some((connect(&url, default_port)?, url)))
        .is_some_and(|(stream, url)| answers(stream, &url));
    if !reached {
        progress::say(format_args!(
            "{variable} is set, but nothing answers there: a private server is used."
        ));
        return None;
    }
    Some(Given { url: value })
}

pub(crate) fn connect(url: &Url, default_port: u16) -> Option<TcpStream> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port().unwrap_or(default_port);
    (host, port).to_socket_addrs().ok()?.find_map(|address| {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        Some(stream)
    })
}

/// PostgreSQL says with one letter whether it would speak TLS, before any login
/// (PostgreSQL manual, "Message Flow", "SSL Session Encryption").
fn postgres_answers(mut stream: TcpStream, _: &Url) -> bool {
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let mut answer = [0];
    stream.write_all(&SSL_REQUEST).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && matches!(answer[0], b'S' | b'N')
}

/// A Redis that wants a password or TLS counts as there.
pub(crate) fn redis_answers(mut stream: TcpStream, url: &Url) -> bool {
    if url.scheme() == "rediss" {
        return true;
    }
    let mut answer = [0; 5];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && matches!(&answer, b"+PONG" | b"-NOAU")
}
