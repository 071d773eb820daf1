//! HTTP/1.1 as simple as it gets: nothing is sent twice, so that no failure is hidden.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::balancer::TARGET;

/// Longer than anything between here and the API may take.
const PATIENCE: Duration = Duration::from_secs(70);

/// Whether a connection is used again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reuse {
    KeepAlive,
    Fresh,
}

pub(crate) struct Client {
    address: SocketAddr,
    reuse: Reuse,
    connection: Option<BufReader<TcpStream>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Option<Value>,
    /// How long the body takes to be sent.
    pub(crate) trickle: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The task that gave it.
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
    closes: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, reuse: Reuse) -> Self {
        Self {
            address,
            reuse,
            connection: None,
        }
    }

    /// # Errors
    /// Where the connection cannot be made or ends before the answer is complete.
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(self.address)?,
        };
        let body = request.body.as_ref().map(Value::to_string);
        let head = head(request, self.reuse, body.as_deref());
        write(
            connection.get_mut(),
            &head,
            body.as_deref(),
            request.trickle,
        )?;
        let answer = read(&mut connection)?;
        if self.reuse == Reuse::KeepAlive && !answer.closes {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn head(request: &Request, reuse: Reuse, body: Option<&str>) -> String {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: localhost\r\n",
        request.method, request.path
    );
    if let Some(token) = &request.token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    if reuse == Reuse::Fresh {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    head
}

fn write(
    stream: &mut TcpStream,
    head: &str,
    body: Option<&str>,
    trickle: Duration,
) -> io::Result<()> {
    let body = body.unwrap_or_default();
    if trickle.is_zero() {
        return stream.write_all(format!("{head}{body}").as_bytes());
    }
    stream.write_all(head.as_bytes())?;
    let pause = trickle / u32::try_from(body.len()).unwrap_or(1).max(1);
    for byte in body.as_bytes() {
        std::thread::sleep(pause);
        stream.write_all(&[*byte])?;
    }
    Ok(())
}

fn read(connection: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let first = line(connection)?;
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let mut answer = Answer {
        status: status.ok_or_else(|| invalid(&first))?,
        ..Answer::default()
    };
    let mut length = None;
    let mut chunked = false;
    loop {
        let header = line(connection)?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse::<u64>().ok(),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "connection" => answer.closes = value.eq_ignore_ascii_case("close"),
            TARGET => value.clone_into(&mut answer.target),
            _ => {}
        }
    }
    match (chunked, length) {
        (true, _) => read_chunks(connection, &mut answer.body)?,
        (false, Some(length)) => read_exactly(connection, length, &mut answer.body)?,
        (false, None) if answer.status == 204 || answer.status == 304 => {}
        (false, None) => {
            connection.read_to_end(&mut answer.body)?;
            answer.closes = true;
        }
    }
    Ok(answer)
}

fn read_chunks(connection: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = line(connection)?;
        let length = u64::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
            .map_err(|_| invalid(&size))?;
        read_exactly(connection, length, body)?;
        line(connection)?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn read_exactly(
    connection: &mut BufReader<TcpStream>,
    length: u64,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let read = connection.take(length).read_to_end(body)?;
    if read as u64 == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn line(connection: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn invalid(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {line:?}"))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn get() -> Request {
        Request {
            method: "GET",
            path: "/".to_owned(),
            token: None,
            body: None,
            trickle: Duration::ZERO,
        }
    }

    /// Answers one connection with these bytes and closes it.
    fn answers(bytes: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            stream.write_all(bytes.as_bytes()).expect("it listens");
        });
        address
    }

    #[test]
    fn an_answer_is_read_whole() {
        for text in [
            "HTTP/1.1 200 OK\r\nX-Target: task-1\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nx-target: task-1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-target: task-1\r\n\r\nhello",
        ] {
            let answer = Client::new(answers(text), Reuse::KeepAlive)
                .send(&get())
                .expect("an answer");
            assert_eq!((answer.status, answer.target.as_str()), (200, "task-1"));
            assert_eq!(answer.body, b"hello");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_a_failure() {
        for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"] {
            let answer = Client::new(answers(text), Reuse::Fresh).send(&get());
            let error = answer.expect_err("it is not whole");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
