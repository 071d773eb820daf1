//! A server that fails the way AWS does on a bad day.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

#[derive(Clone, Copy)]
pub(crate) enum Fault {
    Denied,
    Throttled,
    /// That many requests; the later ones are passed on.
    ThrottledTimes(usize),
    /// Requests are read and never answered.
    Silent,
}

pub(crate) struct Front {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Front {
    pub(crate) fn alone(fault: Fault) -> Self {
        Self::before(0, fault)
    }

    /// Before the server at `port` of loopback.
    pub(crate) fn before(port: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let front = Self {
            address: listener.local_addr().expect("an address"),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&front.requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.expect("a connection");
                let requests = Arc::clone(&requests);
                thread::spawn(move || serve(connection, port, fault, &requests));
            }
        });
        front
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// An address of loopback where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

fn serve(
    mut connection: TcpStream,
    port: u16,
    fault: Fault,
    requests: &AtomicUsize,
) -> io::Result<()> {
    let request = message(&connection)?;
    let number = requests.fetch_add(1, Ordering::SeqCst) + 1;
    let answer = match fault {
        Fault::Denied => refusal("AccessDeniedException", "the role may not do that"),
        Fault::Throttled => refusal("ThrottlingException", "Rate exceeded"),
        Fault::ThrottledTimes(times) if number <= times => {
            refusal("ThrottlingException", "Rate exceeded")
        }
        Fault::ThrottledTimes(_) => {
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
            server.write_all(&request)?;
            message(&server)?
        }
        // Until the client goes away.
        Fault::Silent => return connection.read(&mut [0]).map(drop),
    };
    connection.write_all(&answer)
}

/// Head and body of one request or answer that tells its length.
fn message(connection: &TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(connection);
    let mut message = Vec::new();
    let mut length = 0;
    loop {
        let start = message.len();
        reader.read_until(b'\n', &mut message)?;
        let line = String::from_utf8_lossy(&message[start..]).to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let start = message.len();
    message.resize(start + length, 0);
    reader.read_exact(&mut message[start..])?;
    Ok(message)
}

/// AWS's form of an error in its JSON 1.1 protocol.
fn refusal(code: &str, reason: &str) -> Vec<u8> {
    let body = format!(r#"{{"__type":"{code}","message":"{reason}"}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
