//! The world outside: takes effects over HTTP, remembers under which key, and is not always well.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use super::random::Random;

/// The longest that a sender is left without an answer.
const NEVER: Duration = Duration::from_secs(30);

/// How often the sink looks whether it is well.
const LOOK: Duration = Duration::from_millis(50);

/// By the probe that caused them, each effect in the order of arrival.
pub(super) type Receipts = BTreeMap<String, Vec<Receipt>>;

/// One effect that arrived.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Receipt {
    pub(super) key: String,
    /// It took effect, whether or not the sender heard of it.
    pub(super) accepted: bool,
}

/// Listens until the program ends.
pub(super) struct Sink {
    port: u16,
    book: Arc<Book>,
}

#[derive(Default)]
struct Book {
    receipts: Mutex<Receipts>,
    /// All is answered, and at once.
    is_well: AtomicBool,
}

/// How an effect is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Answer,
    AnswerLate(Duration),
    /// Takes it and lets the sender wait.
    NeverAnswer,
    /// Takes it and hangs up.
    HangUp,
    Refuse,
}

impl Sink {
    pub(super) fn start(mut random: Random) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = listener.local_addr()?.port();
        let book = Arc::<Book>::default();
        let shared = book.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mut manner, book) = (Manner::by_chance(&mut random), shared.clone());
                if book.is_well.load(Ordering::Relaxed) {
                    manner = Manner::Answer;
                }
                // A sender that goes away is none of the sink's business.
                thread::spawn(move || drop(receive(&stream, manner, &book)));
            }
        });
        Ok(Self { port, book })
    }

    /// Where the effect of a probe goes.
    pub(super) fn url(&self, probe: &str) -> String {
        format!("http://127.0.0.1:{}/effects/{probe}", self.port)
    }

    /// From now on all is well, and whoever still waits is left.
    pub(super) fn heal(&self) {
        self.book.is_well.store(true, Ordering::Relaxed);
    }

    pub(super) fn receipts(&self) -> Receipts {
        let receipts = self.book.receipts.lock();
        receipts.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Manner {
    fn by_chance(random: &mut Random) -> Self {
        match random.below(20) {
            0 | 1 => {
                Self::AnswerLate(random.between(Duration::from_millis(200), Duration::from_secs(5)))
            }
            2 => Self::NeverAnswer,
            3 => Self::HangUp,
            4 => Self::Refuse,
            _ => Self::Answer,
        }
    }
}

fn receive(mut stream: &TcpStream, manner: Manner, book: &Book) -> anyhow::Result<()> {
    let (probe, key) = request(stream)?;
    let accepted = manner != Manner::Refuse;
    book.receipts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(probe)
        .or_default()
        .push(Receipt { key, accepted });
    match manner {
        Manner::Answer | Manner::Refuse => {}
        Manner::AnswerLate(delay) => thread::sleep(delay),
        Manner::NeverAnswer => {
            let deadline = Instant::now() + NEVER;
            while Instant::now() < deadline && !book.is_well.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
            }
            return Ok(());
        }
        Manner::HangUp => return Ok(()),
    }
    let status = if accepted {
        "204 No Content"
    } else {
        "503 Service Unavailable"
    };
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n\r\n")?;
    Ok(())
}

/// The probe in the path, and the key.
fn request(stream: &TcpStream) -> anyhow::Result<(String, String)> {
    stream.set_read_timeout(Some(NEVER))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().context("no request")??;
    let path = first.split(' ').nth(1).context("no path")?;
    let probe = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut key = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            return Ok((probe, key.context("no key")?));
        }
        key = key.or_else(|| line.strip_prefix("Idempotency-Key: ").map(str::to_owned));
    }
    anyhow::bail!("the request is cut short")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn exchange(manner: Manner) -> (Receipts, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("an address")).expect("a way");
        let (server, _) = listener.accept().expect("a client");
        client
            .write_all(b"POST /effects/p HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\n\r\n")
            .expect("sent");
        let book = Book::default();
        receive(&server, manner, &book).expect("a request");
        drop(server);
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        (book.receipts.into_inner().expect("no panic"), answer)
    }

    #[test]
    fn an_effect_is_remembered_under_its_key_whether_or_not_it_is_answered() {
        let taken = |accepted| {
            let key = "k".to_owned();
            Receipts::from([("p".to_owned(), vec![Receipt { key, accepted }])])
        };
        let (receipts, answer) = exchange(Manner::Answer);
        assert_eq!(receipts, taken(true));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        let (receipts, answer) = exchange(Manner::HangUp);
        assert_eq!((receipts, answer.as_str()), (taken(true), ""));
        let (receipts, answer) = exchange(Manner::Refuse);
        assert_eq!(receipts, taken(false));
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
}
