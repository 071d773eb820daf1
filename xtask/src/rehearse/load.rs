//! Constant load through the load balancer: reads and writes of signed-in users, at fixed times, whether or
//! not earlier answers are late.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::json;

use super::{
    http::{Answer, Client, Request, Reuse},
    users::User,
};

/// Connections at the same time; every other one is used for one request only.
const CLIENTS: u32 = 16;

/// Clients that send slowly, where the fault wants them.
const SLOW_CLIENTS: u32 = 4;

/// Failures that are kept with all that is known of them.
const KEPT: usize = 1000;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Before,
    /// While tasks are replaced.
    During,
    /// While the new version is watched.
    Bake,
    After,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Before, Self::During, Self::Bake, Self::After];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::During => "during",
            Self::Bake => "bake",
            Self::After => "after",
        }
    }
}

/// A request that was not answered as it should have been.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    /// When it was sent and when it failed, in seconds since the rehearsal began.
    pub(crate) sent: f64,
    pub(crate) failed: f64,
    pub(crate) phase: Phase,
    pub(crate) request: String,
    /// A status, or what became of the connection.
    pub(crate) what: String,
    /// The task that answered, if one did.
    pub(crate) target: String,
}

/// What the load was like.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) users: Vec<User>,
    /// Requests per second.
    pub(crate) rate: u32,
    /// How long slow requests take, where there are any.
    pub(crate) slow: Option<Duration>,
    pub(crate) begun: Instant,
}

/// The load, while it goes on.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Log>>,
}

struct Shared {
    plan: Plan,
    stop: AtomicBool,
    phase: AtomicU8,
    answered: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

/// What one client saw.
#[derive(Default)]
pub(crate) struct Log {
    /// Microseconds from the time a request was due until it was answered, by phase.
    pub(crate) latencies: [Vec<u32>; 4],
    pub(crate) failed: [u64; 4],
    pub(crate) kept_alive: u64,
    pub(crate) fresh: u64,
    pub(crate) slow: u64,
    /// Tasks of which the API said that they are there, with their users.
    pub(crate) created: Vec<(usize, String)>,
}

impl Load {
    pub(crate) fn start(plan: Plan) -> Self {
        let slow = plan.slow;
        let shared = Arc::new(Shared {
            plan,
            stop: AtomicBool::new(false),
            phase: AtomicU8::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failures: Mutex::new(Vec::new()),
        });
        let steady = (0..CLIENTS).map(|number| {
            let shared = shared.clone();
            thread::spawn(move || shared.steady(number))
        });
        let mut threads: Vec<_> = steady.collect();
        if let Some(slow) = slow {
            threads.extend((0..SLOW_CLIENTS).map(|number| {
                let shared = shared.clone();
                thread::spawn(move || shared.slow(number, slow))
            }));
        }
        Self { shared, threads }
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Waits for the answers of what is in flight.
    pub(crate) fn stop(self) -> (Vec<Log>, Vec<Failure>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let logs = self.threads.into_iter().map(JoinHandle::join);
        let logs = logs.filter_map(Result::ok).collect();
        let failures = self.shared.failures.lock();
        (logs, failures.map(|list| list.clone()).unwrap_or_default())
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn current(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    fn user(&self, client: u32) -> (usize, &User) {
        let index = client as usize / 2 % self.plan.users.len();
        (index, &self.plan.users[index])
    }

    fn steady(&self, number: u32) -> Log {
        let reuse = if number.is_multiple_of(2) {
            Reuse::KeepAlive
        } else {
            Reuse::Fresh
        };
        let mut client = Client::new(self.plan.address, reuse);
        let mut log = Log::default();
        let (index, user) = self.user(number);
        let pause = Duration::from_secs(1) / self.plan.rate;
        let mut due = Instant::now() + pause * number;
        let mut turn = 0;
        let mut task = None;
        while !self.stopped() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let phase = self.current();
            let (request, expected) = request(turn, user, task.as_deref());
            match reuse {
                Reuse::KeepAlive => log.kept_alive += 1,
                Reuse::Fresh => log.fresh += 1,
            }
            if let Some(answer) = self.ask(&mut client, &request, expected, phase, &mut log) {
                let took = due.elapsed().as_micros();
                log.latencies[phase as usize].push(u32::try_from(took).unwrap_or(u32::MAX));
                if expected == 201 {
                    task = answer.json()["id"].as_str().map(str::to_owned);
                    log.created.extend(task.clone().map(|id| (index, id)));
                }
            }
            turn += 1;
            due += pause * CLIENTS;
        }
        log
    }

    /// Sends one request after the other, each with a body that comes byte by byte.
    fn slow(&self, number: u32, takes: Duration) -> Log {
        let mut client = Client::new(self.plan.address, Reuse::KeepAlive);
        let mut log = Log::default();
        let (index, user) = self.user(number);
        thread::sleep(takes / SLOW_CLIENTS * number);
        while !self.stopped() {
            let phase = self.current();
            let (mut request, expected) = create(user);
            request.trickle = takes;
            log.slow += 1;
            if let Some(answer) = self.ask(&mut client, &request, expected, phase, &mut log) {
                let id = answer.json()["id"].as_str().map(str::to_owned);
                log.created.extend(id.map(|id| (index, id)));
            }
        }
        log
    }

    /// The answer, if it is the expected one; else it is written down as a failure.
    fn ask(
        &self,
        client: &mut Client,
        request: &Request,
        expected: u16,
        phase: Phase,
        log: &mut Log,
    ) -> Option<Answer> {
        let sent = self.plan.begun.elapsed().as_secs_f64();
        let outcome = client.send(request);
        self.answered.fetch_add(1, Ordering::Relaxed);
        let (what, target) = match outcome {
            Ok(answer) if answer.status == expected => return Some(answer),
            Ok(answer) => (answer.status.to_string(), answer.target),
            Err(error) => (error.to_string(), String::new()),
        };
        self.failed.fetch_add(1, Ordering::Relaxed);
        log.failed[phase as usize] += 1;
        let failure = Failure {
            sent,
            failed: self.plan.begun.elapsed().as_secs_f64(),
            phase,
            request: format!("{} {}", request.method, request.path),
            what,
            target,
        };
        if let Ok(mut failures) = self.failures.lock()
            && failures.len() < KEPT
        {
            failures.push(failure);
        }
        None
    }
}

/// Of ten requests of a client two write. Says which status the answer must have.
fn request(turn: u64, user: &User, task: Option<&str>) -> (Request, u16) {
    let Some(task) = task else {
        return create(user);
    };
    match turn % 10 {
        0 => create(user),
        1 | 6 => (user.get(format!("/v1/tasks/{task}")), 200),
        5 => {
            let mut request = user.get(format!("/v1/tasks/{task}"));
            request.method = "PATCH";
            request.body = Some(json!({ "title": format!("Rehearse again, turn {turn}") }));
            (request, 200)
        }
        3 | 8 => (user.get("/v1/me".to_owned()), 200),
        _ => (user.get("/v1/tasks?limit=20".to_owned()), 200),
    }
}

fn create(user: &User) -> (Request, u16) {
    let mut request = user.get("/v1/tasks".to_owned());
    request.method = "POST";
    request.body = Some(json!({ "title": "Rehearse the release" }));
    (request, 201)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_a_task_makes_one_first_and_writes_in_two_of_ten_requests() {
        let user = User {
            token: "t".to_owned(),
        };
        assert_eq!(request(3, &user, None).1, 201);
        let methods: Vec<_> = (0..10)
            .map(|turn| request(turn, &user, Some("x")).0.method)
            .collect();
        assert_eq!(methods.iter().filter(|name| **name != "GET").count(), 2);
    }
}
