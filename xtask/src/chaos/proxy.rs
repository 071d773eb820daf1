//! A way to a server on which things go wrong.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

/// How often a waiting thread looks whether things have changed.
const LOOK: Duration = Duration::from_millis(5);

/// How PostgreSQL's clients end a transaction: the statement and the zero after it.
const COMMIT: &[u8] = b"COMMIT\0";

/// What is wrong with the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trouble {
    /// Nobody listens, and those who were connected are not any more.
    Refused,
    /// Connections are taken and nothing goes through; what was sent arrives when it is over.
    Silent,
    /// Everything takes so much longer.
    Slow(Duration),
    /// Whatever the server answers is lost, and the connection with it.
    AnswersLost,
    /// The same for the answers to commits alone.
    CommitsLost,
}

/// Listens on a port of its own until the program ends.
pub(super) struct Proxy {
    pub(super) port: u16,
    way: Arc<Way>,
}

/// What all threads of one proxy share.
struct Way {
    server: u16,
    trouble: Mutex<Option<(Trouble, Instant)>>,
    links: Mutex<Vec<Arc<Link>>>,
    lost: AtomicUsize,
}

/// One connection: from the client, and on to the server.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// The next answer is not to be delivered.
    doomed: AtomicBool,
    closed: AtomicBool,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// Leads to a port of this machine.
    pub(super) fn start(server: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = listener.local_addr()?.port();
        let way = Arc::new(Way {
            server,
            trouble: Mutex::default(),
            links: Mutex::default(),
            lost: AtomicUsize::new(0),
        });
        let shared = way.clone();
        thread::spawn(move || shared.listen(port, listener));
        Ok(Self { port, way })
    }

    /// From now on, for so long. Replaces an earlier trouble.
    pub(super) fn trouble(&self, trouble: Trouble, time: Duration) {
        *locked(&self.way.trouble) = Some((trouble, Instant::now() + time));
    }

    pub(super) fn heal(&self) {
        *locked(&self.way.trouble) = None;
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.way.cut();
    }

    /// How many answers were lost on purpose.
    pub(super) fn lost(&self) -> usize {
        self.way.lost.load(Ordering::Relaxed)
    }
}

impl Way {
    fn trouble(&self) -> Option<Trouble> {
        let trouble = *locked(&self.trouble);
        let (trouble, until) = trouble?;
        (Instant::now() < until).then_some(trouble)
    }

    fn listen(self: Arc<Self>, port: u16, listener: TcpListener) {
        let mut listener = Some(listener);
        loop {
            if self.trouble() == Some(Trouble::Refused) {
                listener = None;
                self.cut();
            } else if let Some(listener) = &listener {
                self.accept(listener);
            } else {
                listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
            }
            thread::sleep(LOOK);
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        if listener.set_nonblocking(true).is_err() {
            return;
        }
        while let Ok((client, _)) = listener.accept() {
            // Where the server is down the client is left at once, which is all it can see either way.
            if let Ok(link) = self.connect(client) {
                locked(&self.links).push(link.clone());
                self.clone().carry(link.clone(), Direction::ToServer);
                self.clone().carry(link, Direction::ToClient);
            }
        }
    }

    fn connect(&self, client: TcpStream) -> std::io::Result<Arc<Link>> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        let server = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server))?;
        server.set_nodelay(true)?;
        Ok(Arc::new(Link {
            client,
            server,
            doomed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }))
    }

    fn carry(self: Arc<Self>, link: Arc<Link>, direction: Direction) {
        thread::spawn(move || {
            // It ends with the connection, whoever ended that.
            let _ = self.carry_all(&link, direction);
            link.close();
            locked(&self.links).retain(|other| !Arc::ptr_eq(other, &link));
        });
    }

    fn carry_all(&self, link: &Link, direction: Direction) -> std::io::Result<()> {
        let (mut from, mut to) = match direction {
            Direction::ToServer => (&link.client, &link.server),
            Direction::ToClient => (&link.server, &link.client),
        };
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if !self.lets_through(link, direction, &buffer[..length]) {
                return Ok(());
            }
            to.write_all(&buffer[..length])?;
        }
    }

    /// Waits as long as the trouble wants, and tells whether the piece is to be delivered.
    fn lets_through(&self, link: &Link, direction: Direction, piece: &[u8]) -> bool {
        while self.trouble() == Some(Trouble::Silent) && !link.closed.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        let trouble = self.trouble();
        if let Some(Trouble::Slow(delay)) = trouble {
            thread::sleep(delay);
        }
        match direction {
            Direction::ToServer => {
                let commits = piece.windows(COMMIT.len()).any(|part| part == COMMIT);
                if trouble == Some(Trouble::CommitsLost) && commits {
                    link.doomed.store(true, Ordering::Relaxed);
                }
                true
            }
            Direction::ToClient => {
                let lost =
                    trouble == Some(Trouble::AnswersLost) || link.doomed.load(Ordering::Relaxed);
                if lost {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                }
                !lost
            }
        }
    }

    fn cut(&self) {
        for link in locked(&self.links).drain(..) {
            link.close();
        }
    }
}

impl Link {
    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    /// A server that takes one connection after another, answers each piece with its length, and tells
    /// what it got.
    fn server() -> (u16, Receiver<Vec<u8>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, sender) = (stream.expect("a client"), sender.clone());
                thread::spawn(move || {
                    let mut buffer = [0; 100];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        let _ = sender.send(buffer[..length].to_vec());
                        let _ = stream.write_all(&[u8::try_from(length).expect("few")]);
                    }
                });
            }
        });
        (port, receiver)
    }

    fn client(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).expect("a way");
        stream.set_read_timeout(Some(MOMENT)).expect("a stream");
        stream
    }

    /// One answer; none where the connection ended, an error where nothing came.
    fn answer(mut stream: &TcpStream) -> std::io::Result<Option<u8>> {
        let mut buffer = [0];
        match stream.read(&mut buffer) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(buffer[0])),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[test]
    fn what_is_silent_arrives_later() {
        let (port, arrived) = server();
        let proxy = Proxy::start(port).expect("a proxy");
        let mut stream = client(&proxy);
        proxy.trouble(Trouble::Silent, LONG);
        stream.write_all(b"hello").expect("sent");
        assert!(answer(&stream).is_err());
        assert!(arrived.try_recv().is_err());
        proxy.heal();
        assert_eq!(arrived.recv_timeout(LONG).expect("it arrives"), b"hello");
        assert_eq!(answer(&stream).expect("an answer"), Some(5));
    }

    #[test]
    fn a_commit_arrives_and_its_answer_does_not() {
        let (port, arrived) = server();
        let proxy = Proxy::start(port).expect("a proxy");
        proxy.trouble(Trouble::CommitsLost, LONG);
        let mut stream = client(&proxy);
        stream.write_all(b"BEGIN\0").expect("sent");
        assert_eq!(answer(&stream).expect("an answer"), Some(6));
        stream.write_all(b"COMMIT\0").expect("sent");
        assert_eq!(answer(&stream).expect("an end"), None);
        assert_eq!(arrived.iter().nth(1).expect("it arrived"), b"COMMIT\0");
        assert_eq!(proxy.lost(), 1);
    }

    #[test]
    fn refused_means_that_nobody_listens_until_it_is_over() {
        let (port, _arrived) = server();
        let proxy = Proxy::start(port).expect("a proxy");
        let mut before = client(&proxy);
        before.write_all(b"x").expect("sent");
        assert_eq!(answer(&before).expect("an answer"), Some(1));
        proxy.trouble(Trouble::Refused, LONG);
        let deadline = Instant::now() + LONG;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).is_ok() {
            assert!(Instant::now() < deadline, "somebody listens");
        }
        assert_eq!(answer(&before).expect("an end"), None);
        proxy.heal();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port)).is_err() {
            assert!(Instant::now() < deadline, "nobody listens");
        }
    }
}
