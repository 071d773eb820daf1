//! A mail server (RFC 5321) that remembers what it took, and holds its answer back for as long as
//! a test likes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    /// Letters whose answer is held back.
    waiting: usize,
    /// Letters that contain this are held back.
    held: Option<String>,
    /// Letters that were answered for, in full.
    taken: Vec<String>,
    /// Every recipient is refused with this.
    refusal: Option<String>,
    /// When they came.
    times: Vec<Instant>,
    /// How many letters are taken within a second; any number where nothing is said.
    rate: Option<usize>,
    /// How many letters were refused because of that.
    refused: usize,
}

pub(crate) struct MailServer {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            shared: Arc::default(),
        };
        let shared = server.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                // A client that vanishes ends its conversation.
                thread::spawn(move || converse(stream, &shared));
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// From now on letters that contain `part` are read and not answered for.
    pub(crate) fn hold(&self, part: &str) {
        self.shared.0.lock().expect("a lock").held = Some(part.to_owned());
        self.shared.1.notify_all();
    }

    /// From now on every recipient is refused with this line.
    pub(crate) fn refuse(&self, line: &str) {
        self.shared.0.lock().expect("a lock").refusal = Some(line.to_owned());
    }

    /// Answers for all that wait.
    pub(crate) fn release(&self) {
        self.shared.0.lock().expect("a lock").held = None;
        self.shared.1.notify_all();
    }

    /// From now on no more letters than these are taken within any second, and the others are refused for
    /// now, as SES does.
    pub(crate) fn allow_per_second(&self, letters: usize) {
        self.shared.0.lock().expect("a lock").rate = Some(letters);
    }

    pub(crate) fn refused(&self) -> usize {
        self.shared.0.lock().expect("a lock").refused
    }

    /// From the first letter that was taken to the last.
    pub(crate) fn span(&self) -> Duration {
        let state = self.shared.0.lock().expect("a lock");
        let (first, last) = (state.times.first(), state.times.last());
        first
            .zip(last)
            .map_or(Duration::ZERO, |(first, last)| *last - *first)
    }

    /// The most letters that were taken within a second.
    pub(crate) fn most_within_a_second(&self) -> usize {
        let state = self.shared.0.lock().expect("a lock");
        let within = |first: &Instant| {
            let end = *first + SECOND;
            state
                .times
                .iter()
                .filter(|time| *time >= first && **time < end)
                .count()
        };
        state.times.iter().map(within).max().unwrap_or(0)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.shared.0.lock().expect("a lock").waiting
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.shared.0.lock().expect("a lock").taken.clone()
    }
}

fn converse(stream: TcpStream, shared: &(Mutex<State>, Condvar)) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    write!(answers, "220 test ESMTP\r\n").ok()?;
    while let Some(line) = lines.next() {
        match line.get(..4)?.to_ascii_uppercase().as_str() {
            "DATA" => {
                write!(answers, "354 go on\r\n").ok()?;
                let letter: Vec<String> = lines.by_ref().take_while(|line| line != ".").collect();
                match take(letter.join("\n"), shared) {
                    true => write!(answers, "250 taken\r\n").ok()?,
                    false => write!(
                        answers,
                        "454 4.7.0 Throttling failure: Maximum sending rate exceeded.\r\n"
                    )
                    .ok()?,
                }
            }
            "QUIT" => {
                write!(answers, "221 bye\r\n").ok()?;
                return Some(());
            }
            "RCPT" => {
                let refusal = shared.0.lock().expect("a lock").refusal.clone();
                let answer = refusal.as_deref().unwrap_or("250 fine");
                write!(answers, "{answer}\r\n").ok()?;
            }
            _ => write!(answers, "250 fine\r\n").ok()?,
        }
    }
    None
}

/// Whether the letter is taken.
fn take(letter: String, (state, released): &(Mutex<State>, Condvar)) -> bool {
    let mut state = state.lock().expect("a lock");
    let now = Instant::now();
    let lately = state
        .times
        .iter()
        .filter(|time| now.duration_since(**time) < SECOND);
    if state.rate.is_some_and(|rate| lately.count() >= rate) {
        state.refused += 1;
        return false;
    }
    state.waiting += 1;
    let held = |state: &mut State| {
        state
            .held
            .as_deref()
            .is_some_and(|part| letter.contains(part))
    };
    state = released.wait_while(state, held).expect("a lock");
    state.waiting -= 1;
    state.taken.push(letter);
    state.times.push(Instant::now());
    true
}
