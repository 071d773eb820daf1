//! What stands between `xtask` and the emulator, and changes answers: for what no emulator does by itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// One request and what the emulator says to it.
pub(crate) struct Exchange {
    /// `DescribeTasks`, `PutObject`; of S3 and of plain requests, the method and the path.
    pub(crate) operation: String,
    pub(crate) request: String,
    pub(crate) status: u16,
    /// Left as it is where it is no text.
    pub(crate) answer: String,
}

/// Changes what the emulator says.
type Script = dyn Fn(&mut Exchange) + Send + Sync;

/// Answers to an operation and its request instead of the emulator, which then does not hear of it.
type Instead = dyn Fn(&str, &str) -> Option<(u16, String)> + Send + Sync;

/// It listens until the test's process ends.
pub(crate) struct Between {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Between {
    pub(crate) fn start(
        emulator: String,
        instead: impl Fn(&str, &str) -> Option<(u16, String)> + Send + Sync + 'static,
        script: impl Fn(&mut Exchange) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (log, script): (_, Arc<Script>) = (calls.clone(), Arc::new(script));
        let instead: Arc<Instead> = Arc::new(instead);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (emulator, script, log) = (emulator.clone(), script.clone(), log.clone());
                let instead = instead.clone();
                // A client that goes away in the middle is none of the test's business.
                thread::spawn(move || drop(serve(stream, &emulator, &*instead, &*script, &log)));
            }
        });
        Self {
            url: format!("http://{address}"),
            calls,
        }
    }

    /// How often something was asked for whose name begins like this.
    pub(crate) fn count_like(&self, beginning: &str) -> usize {
        let calls = self.calls.lock().expect("no panic");
        calls
            .iter()
            .filter(|call| call.starts_with(beginning))
            .count()
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        let calls = self.calls.lock().expect("no panic");
        calls.iter().filter(|call| *call == operation).count()
    }
}

fn serve(
    stream: TcpStream,
    emulator: &str,
    instead: &Instead,
    script: &Script,
    log: &Mutex<Vec<String>>,
) -> anyhow::Result<()> {
    let request = read(&stream)?;
    let operation = operation(&request);
    log.lock().expect("no panic").push(operation.clone());
    if let Some((status, text)) = instead(&operation, &String::from_utf8_lossy(&request.body)) {
        return write(stream, status, &[], text.as_bytes());
    }
    let (status, headers, body) = forward(emulator, &request)?;
    let mut exchange = Exchange {
        operation,
        request: String::from_utf8_lossy(&request.body).into_owned(),
        status,
        answer: String::from_utf8(body.clone()).unwrap_or_default(),
    };
    script(&mut exchange);
    let is_text = String::from_utf8(body.clone()).is_ok();
    let body = if is_text {
        exchange.answer.into_bytes()
    } else {
        body
    };
    write(stream, exchange.status, &headers, &body)
}

fn read(stream: &TcpStream) -> anyhow::Result<Request> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Request {
        method,
        path,
        headers,
        body,
    })
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

fn operation(request: &Request) -> String {
    if let Some(target) = header(&request.headers, "x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let form = String::from_utf8_lossy(&request.body);
    let action = form
        .split('&')
        .find_map(|field| field.strip_prefix("Action="));
    action.map_or_else(
        || format!("{} {}", request.method, request.path),
        str::to_owned,
    )
}

type Answer = (u16, Vec<(String, String)>, Vec<u8>);

fn forward(emulator: &str, request: &Request) -> anyhow::Result<Answer> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut builder = ureq::http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("{emulator}{}", request.path));
    if is_of_a_user(request) {
        builder = builder.header("host", LOAD_BALANCER);
    }
    for (name, value) in &request.headers {
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            builder = builder.header(name, value);
        }
    }
    let mut answer = agent.run(builder.body(request.body.clone())?)?;
    let headers = answer.headers().iter();
    let headers = headers
        .filter(|(name, _)| !OF_THE_CONNECTION.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let status = answer.status().as_u16();
    Ok((status, headers, answer.body_mut().read_to_vec()?))
}

/// Requests of the API's users go to the load balancer, which is a part of the emulator.
const LOAD_BALANCER: &str = "taskhub-staging.alb.localhost:443";

fn is_of_a_user(request: &Request) -> bool {
    let of_aws = header(&request.headers, "authorization")
        .is_some_and(|text| text.starts_with("AWS4-HMAC-SHA256"));
    !of_aws && (request.path == "/health" || request.path.starts_with("/v1/"))
}

const OF_THE_CONNECTION: [&str; 4] = ["connection", "content-length", "host", "transfer-encoding"];

fn write(
    mut stream: TcpStream,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> anyhow::Result<()> {
    write!(stream, "HTTP/1.1 {status} OK\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(
        stream,
        "connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    Ok(())
}
