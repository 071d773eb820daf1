//! A mail server (RFC 5321) that remembers what it took, and holds its answer back for as long as
//! a test likes.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

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
                take(letter.join("\n"), shared);
                write!(answers, "250 taken\r\n").ok()?;
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

fn take(letter: String, (state, released): &(Mutex<State>, Condvar)) {
    let mut state = state.lock().expect("a lock");
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
}
