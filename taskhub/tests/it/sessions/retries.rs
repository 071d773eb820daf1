//! Refreshes by two clients that share a session, in any order, held against a model of the rule.

use std::{cell::Cell, collections::BTreeMap};

use futures_util::future::join;
use proptest::{
    prelude::{Just, ProptestConfig, Strategy, prop_oneof},
    sample::select,
};
use secrecy::{ExposeSecret, SecretString};
use taskhub::{
    Error, Result,
    sessions::{self, Grant},
};

use crate::people::{Site, keys};

const HOUR: f64 = 60.0 * 60.0;

/// As [`crate::people::keys`] has it.
const RETRY: f64 = 24.0 * HOUR;

const CLIENTS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The client shows the token that it got this many refreshes ago.
    Refresh {
        client: usize,
        ago: usize,
        /// Whether the answer reaches the client.
        arrives: bool,
    },
    /// Both clients show their newest token at the same time.
    Together,
    /// In seconds. No sum of them comes near to [`RETRY`].
    Wait(f64),
    /// The signing key is replaced, and the former one is forgotten.
    NewKey,
}

fn step() -> impl Strategy<Value = Step> {
    let refresh = (
        0..CLIENTS,
        select(vec![0, 0, 0, 0, 1, 2]),
        select(vec![true, true, false]),
    );
    prop_oneof![
        6 => refresh.prop_map(|(client, ago, arrives)| Step::Refresh { client, ago, arrives }),
        2 => Just(Step::Together),
        2 => select(vec![64.0, 5.0 * HOUR, 11.0 * HOUR, 30.0 * HOUR]).prop_map(Step::Wait),
        1 => Just(Step::NewKey),
    ]
}

/// What the rule says. Tokens are named by their generation.
#[derive(Clone, Debug, Default)]
struct Model {
    now: f64,
    /// When each generation was exchanged for the next one.
    exchanged: BTreeMap<usize, f64>,
    has_ended: bool,
}

impl Model {
    /// The generation that showing `token` gives; none where it ends the session, or it has ended.
    fn refresh(&mut self, token: usize) -> Option<usize> {
        let is_good = match self.exchanged.get(&token) {
            None => true,
            Some(at) => !self.exchanged.contains_key(&(token + 1)) && self.now - at < RETRY,
        };
        self.has_ended |= !is_good;
        if self.has_ended {
            return None;
        }
        self.exchanged.entry(token).or_insert(self.now);
        Some(token + 1)
    }
}

/// The session of one case: the model, what the service gave, and what each client knows of it.
struct Case {
    site: Site,
    model: Model,
    /// By generation.
    tokens: Vec<SecretString>,
    newest: Grant,
    known: [Vec<usize>; CLIENTS],
    keys: usize,
}

impl Case {
    async fn begin(username: &str, site: Site) -> Self {
        site.register(username).await;
        let newest = site.sign_in(username).await;
        Self {
            site,
            model: Model::default(),
            tokens: vec![newest.refresh_token.clone()],
            newest,
            known: [vec![0], vec![0]],
            keys: 0,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Refresh {
                client,
                ago,
                arrives,
            } => {
                let token = self.shown(client, ago);
                let answer = self.site.refresh(&self.tokens[token]).await;
                let expected = self.model.refresh(token);
                self.check(answer, expected, arrives.then_some(client));
            }
            Step::Together => {
                let [one, two] = [self.shown(0, 0), self.shown(1, 0)];
                let (first, second) = join(
                    self.site.refresh(&self.tokens[one]),
                    self.site.refresh(&self.tokens[two]),
                )
                .await;
                let (one, two) = self.either_order((one, two), (first.is_ok(), second.is_ok()));
                self.check(first, one, Some(0));
                self.check(second, two, Some(1));
            }
            Step::Wait(seconds) => {
                self.site.let_pass(seconds).await;
                self.model.now += seconds;
            }
            Step::NewKey => {
                self.keys += 1;
                self.site.keys = keys(&format!("{:032}", self.keys), None);
            }
        }
        self.check_session().await;
    }

    fn shown(&self, client: usize, ago: usize) -> usize {
        let known = &self.known[client];
        known[known.len().saturating_sub(1 + ago)]
    }

    /// What the rule says of two refreshes at once, in that order of the two which fits the answers.
    fn either_order(
        &mut self,
        (one, two): (usize, usize),
        answered: (bool, bool),
    ) -> (Option<usize>, Option<usize>) {
        let (mut forward, mut backward) = (self.model.clone(), self.model.clone());
        let expected = (forward.refresh(one), forward.refresh(two));
        if (expected.0.is_some(), expected.1.is_some()) == answered {
            self.model = forward;
            return expected;
        }
        let second = backward.refresh(two);
        let expected = (backward.refresh(one), second);
        self.model = backward;
        expected
    }

    /// Holds an answer against the generation that was expected, and has `client` keep it.
    fn check(&mut self, answer: Result<Grant>, expected: Option<usize>, client: Option<usize>) {
        let Some(generation) = expected else {
            assert!(matches!(answer, Err(Error::RevokedToken)), "{answer:?}");
            return;
        };
        let grant = answer.expect("a successor");
        if generation == self.tokens.len() {
            self.tokens.push(grant.refresh_token.clone());
        }
        assert_eq!(
            grant.refresh_token.expose_secret(),
            self.tokens[generation].expose_secret(),
            "the successor of generation {}",
            generation - 1
        );
        self.newest = grant;
        if let Some(client) = client {
            self.known[client].push(generation);
        }
    }

    /// The newest access token is good for as long as the session lives, and its key.
    async fn check_session(&self) {
        let Ok(claims) = self
            .site
            .keys
            .verify(self.newest.access_token.expose_secret())
        else {
            return;
        };
        let lives = sessions::identify(&self.site.db, &claims).await.is_ok();
        assert_eq!(lives, !self.model.has_ended);
    }
}

#[test]
fn two_clients_of_one_session_refresh_in_any_order_and_only_a_reuse_after_use_ends_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let db = runtime.block_on(Site::create()).db;
    let cases = Cell::new(0);
    let config = ProptestConfig::with_cases(48);
    proptest::proptest!(config, |(steps in proptest::collection::vec(step(), 1..14))| {
        cases.set(cases.get() + 1);
        runtime.block_on(async {
            let site = Site::beside(&db);
            let mut case = Case::begin(&format!("user-{}", cases.get()), site).await;
            for step in steps {
                case.take(step).await;
            }
        });
    });
}
