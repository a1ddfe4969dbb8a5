//! X11: a provider that takes requests and answers none of them. Who would wait behind them is told so instead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod client_support;
mod connections_support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    Clock as _, ConnectionKey, Connections, Delivery, Error, ErrorKind, HttpClient, HttpError, HttpErrorKind,
    HttpRequest, HttpResponse, Limits, async_trait,
};
use connections_support::{Fault, ManualClock, Rotates, SECOND, Server, World};
use tokio::task::JoinHandle;

/// What [`Limits::default`] allows for a request in all.
const DEADLINE: Duration = Duration::from_secs(30);
/// How many refreshes run at once, and how many without an answer make a provider a silent one.
const PLACES: usize = 4;

/// How long an answer takes that does not come at once.
const ANSWER: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug)]
enum Answers {
    AtOnce,
    Later,
    Never,
}

/// The server, and how it answers.
#[derive(Clone, Debug)]
struct Line {
    server: Arc<Server>,
    clock: ManualClock,
    answers: Arc<Mutex<Answers>>,
}

#[async_trait]
impl HttpClient for Line {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let answer = self.server.send(request, limits).await;
        let answers = *self.answers.lock().unwrap();
        match answers {
            Answers::AtOnce => answer,
            Answers::Later => {
                self.clock.sleep(ANSWER).await;
                answer
            }
            Answers::Never => {
                self.clock.sleep(limits.total).await;
                Err(HttpError::new(HttpErrorKind::Timeout, Delivery::Unknown))
            }
        }
    }
}

struct Behind {
    world: World,
    answers: Arc<Mutex<Answers>>,
    connections: Connections,
    keys: Vec<ConnectionKey>,
    began: Duration,
}

/// What a call came to, and when.
struct Came {
    token: authflow_core::Result<String>,
    after: Duration,
}

impl Behind {
    /// This many users, whose tokens are over, and a provider that does not answer from now on.
    async fn a_silent_provider(users: usize) -> Self {
        Self::with(users, Rotates::Strictly, PLACES).await
    }

    async fn with(users: usize, rotates: Rotates, places: usize) -> Self {
        let world = World::new(rotates);
        let answers = Arc::new(Mutex::new(Answers::AtOnce));
        let (server, clock) = (Arc::clone(&world.server), world.clock.clone());
        let line = Line { server, clock, answers: Arc::clone(&answers) };
        let flow = client_support::flow(&world, world.provider("p"), line);
        let connections = world.builder_of(flow).max_refreshes(places).build().unwrap();
        let mut keys = Vec::new();
        for user in 0..users {
            keys.push(world.connect_as(&connections, &user.to_string()).await);
        }
        world.expire();
        *answers.lock().unwrap() = Answers::Never;
        let began = world.clock.monotonic();
        Self { world, answers, connections, keys, began }
    }

    fn answers(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    fn take(&mut self, count: usize) -> Vec<ConnectionKey> {
        self.keys.split_off(self.keys.len() - count)
    }

    fn ask(&self, key: &ConnectionKey) -> JoinHandle<Came> {
        let (connections, key, clock) = (self.connections.clone(), key.clone(), self.world.clock.clone());
        let began = self.began;
        tokio::spawn(async move {
            let token = connections.token(&key).await.map(|token| token.expose().to_owned());
            Came { token, after: clock.monotonic() - began }
        })
    }

    /// All of them at once.
    async fn ask_all(&self, keys: &[ConnectionKey]) -> Vec<Came> {
        let asked: Vec<_> = keys.iter().map(|key| self.ask(key)).collect();
        let mut came = Vec::new();
        for asked in asked {
            came.push(self.world.clock.drive(async move { asked.await.unwrap() }).await);
        }
        came
    }

    /// Nothing is answered, and each place is held by one that waits for its answer.
    async fn silent_and_full(&mut self) -> Vec<JoinHandle<Came>> {
        for key in self.take(PLACES) {
            let came = self.ask_all(&[key]).await;
            assert_eq!(came[0].token.as_ref().unwrap_err().kind(), ErrorKind::Network);
        }
        let before = self.requests();
        let asked = self.take(PLACES).iter().map(|key| self.ask(key)).collect();
        self.world.clock.settle().await;
        assert_eq!(self.requests(), before + PLACES, "who finds a place asks");
        self.began = self.world.clock.monotonic();
        asked
    }

    /// An answer that helps nobody, and the pause after it: eight seconds after the fourth.
    async fn fails_for(&self, key: &[ConnectionKey]) {
        self.world.server.fault(Fault::Answer(503, &[], "{}"));
        let came = self.ask_all(key).await;
        assert_eq!(came[0].token.as_ref().unwrap_err().kind(), ErrorKind::Unavailable);
        self.pass(10 * SECOND).await;
    }

    async fn pass(&self, time: Duration) {
        self.world.clock.settle().await;
        self.world.clock.advance(time);
        self.world.clock.settle().await;
    }

    fn requests(&self) -> usize {
        self.world.server.refreshes()
    }
}

fn assert_told(error: &Error) {
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Network, Some(SECOND)));
    assert!(error.to_string().contains("the last requests to the provider had no answer"), "{error}");
}

#[tokio::test]
async fn x11_nobody_waits_without_a_bound_behind_a_provider_that_never_answers() {
    const USERS: usize = 60;
    for (rotates, places, silent_after, sent) in [
        (Rotates::Strictly, 1, 2, 3),
        (Rotates::Strictly, PLACES, PLACES, 2 * PLACES),
        (Rotates::Strictly, 16, 8, 32),
        // Each is sent once more, and keeps its place for it.
        (Rotates::Never, 16, 8, 16),
    ] {
        let behind = Behind::with(USERS, rotates, places).await;
        let (first, others) = behind.keys.split_at(places);
        let first: Vec<_> = first.iter().map(|key| behind.ask(key)).collect();
        behind.pass(SECOND / 2).await;
        let came = behind.ask_all(others).await;
        for first in first {
            behind.world.clock.drive(async move { first.await.unwrap() }).await.token.unwrap_err();
        }
        let rounds = u32::try_from(silent_after.div_ceil(places)).unwrap();
        let mut told = 0;
        for came in came {
            let error = came.token.unwrap_err();
            if error.retry_after().is_some() {
                assert_told(&error);
                assert!(came.after <= DEADLINE * rounds, "{places}: it waited for {:?}", came.after);
                told += 1;
            }
        }
        assert_eq!(told, USERS - sent, "{places}");
        let times = if rotates == Rotates::Never { 2 } else { 1 };
        assert_eq!(behind.requests(), sent * times, "{places}: nothing was sent for who was told");
    }
}

#[tokio::test]
async fn x11_who_comes_to_a_silent_provider_without_a_place_is_told_within_a_second() {
    let mut behind = Behind::a_silent_provider(2 * PLACES + 3).await;
    let _asked = behind.silent_and_full().await;
    let before = behind.requests();
    let keys = behind.take(3);
    let came = behind.ask_all(&keys).await;
    for came in &came {
        assert_told(came.token.as_ref().unwrap_err());
        assert_eq!(came.after, SECOND);
    }
    assert_eq!(behind.requests(), before);
}

/// A second, and not longer each time, as after what failed for the connection itself.
#[tokio::test]
async fn x11_who_was_told_may_ask_again_a_second_later_however_often() {
    let mut behind = Behind::a_silent_provider(2 * PLACES + 1).await;
    let key = [behind.keys[0].clone()];
    behind.answers(Answers::AtOnce);
    for _ in 0..3 {
        behind.fails_for(&key).await;
    }
    behind.answers(Answers::Never);
    let asked = behind.silent_and_full().await;
    for round in 0..5 {
        behind.began = behind.world.clock.monotonic();
        let loads = behind.world.store.count("load");
        let came = behind.ask_all(&key).await;
        assert_eq!(came[0].after, SECOND, "round {round}");
        // Meanwhile neither the store nor a clock is asked.
        let came = behind.ask_all(&key).await;
        assert_told(came[0].token.as_ref().unwrap_err());
        assert_eq!(came[0].after, SECOND, "round {round}");
        assert_eq!(behind.world.store.count("load"), loads + 1, "round {round}");
        behind.pass(SECOND).await;
    }
    behind.answers(Answers::AtOnce);
    behind.pass(DEADLINE).await;
    for asked in asked {
        assert!(asked.await.unwrap().token.is_err());
    }
    // Nor has it failed so often already when it fails.
    behind.fails_for(&key).await;
    assert!(behind.ask_all(&key).await[0].token.is_ok());
}

#[tokio::test]
async fn x11_a_place_that_becomes_free_within_a_second_is_taken() {
    let mut behind = Behind::a_silent_provider(2 * PLACES + 1).await;
    let _asked = behind.silent_and_full().await;
    behind.pass(DEADLINE - SECOND / 2).await;
    behind.answers(Answers::AtOnce);
    let key = behind.take(1);
    let asked = behind.ask(&key[0]);
    behind.pass(SECOND / 2).await;
    assert!(behind.world.server.takes(&asked.await.unwrap().token.unwrap()));
}

#[tokio::test]
async fn x11_after_an_answer_a_place_is_waited_for_again() {
    const ANSWERS: [Option<(u16, &str)>; 4] =
        [None, Some((503, "{}")), Some((400, "{\"error\":\"invalid_grant\"}")), Some((429, "{}"))];
    for answer in ANSWERS {
        let mut behind = Behind::a_silent_provider(3 * PLACES + 2).await;
        let asked = behind.silent_and_full().await;
        behind.pass(DEADLINE).await;
        assert!(asked.iter().all(JoinHandle::is_finished));
        // One is answered while the others are not.
        let keys = behind.keys.clone();
        behind.answers(Answers::Later);
        if let Some((status, body)) = answer {
            behind.world.server.fault(Fault::Answer(status, &[], body));
        }
        let answered = behind.ask(&keys[0]);
        behind.world.clock.settle().await;
        behind.answers(Answers::Never);
        let _never: Vec<_> = keys[3..][..PLACES - 1].iter().map(|key| behind.ask(key)).collect();
        behind.world.clock.settle().await;
        let waits = [behind.ask(&keys[1]), behind.ask(&keys[2])];
        let before = behind.requests();
        behind.pass(ANSWER).await;
        assert!(answered.is_finished());
        assert_eq!(behind.requests(), before + 1, "the first of them has the place");
        behind.pass(2 * SECOND).await;
        assert!(waits.iter().all(|waits| !waits.is_finished()), "{answer:?}");
        behind.answers(Answers::AtOnce);
        behind.pass(DEADLINE).await;
        let [_, second] = waits;
        assert!(behind.world.server.takes(&second.await.unwrap().token.unwrap()), "{answer:?}");
    }
}

#[tokio::test]
async fn x11_i6_a_good_token_is_served_at_once_behind_a_silent_provider() {
    let mut behind = Behind::a_silent_provider(2 * PLACES).await;
    behind.answers(Answers::AtOnce);
    let good = behind.world.connect_as(&behind.connections, "later").await;
    behind.answers(Answers::Never);
    behind.world.clock.advance(3400 * SECOND);
    let _asked = behind.silent_and_full().await;
    let (requests, loads) = (behind.requests(), behind.world.store.count("load"));
    for _ in 0..4 {
        for _ in 0..10 {
            let asked = behind.ask(&good);
            behind.world.clock.settle().await;
            assert!(asked.is_finished());
            asked.await.unwrap().token.unwrap();
        }
        behind.world.clock.advance(SECOND);
    }
    assert_eq!(behind.requests(), requests);
    let loads = behind.world.store.count("load") - loads;
    assert!((1..=4).contains(&loads), "the store was asked {loads} times in four seconds");
}

#[tokio::test]
async fn x11_a_sweep_comes_to_its_end_behind_a_silent_provider() {
    let behind = Behind::a_silent_provider(40).await;
    behind.world.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let (connections, began) = (behind.connections.clone(), behind.world.clock.monotonic());
    let swept = behind.world.clock.drive(async move { connections.sweep().await.unwrap() }).await;
    assert_eq!((swept.done, swept.failed), (0, 40));
    assert_eq!(behind.world.clock.monotonic() - began, 2 * DEADLINE);
    assert_eq!(behind.requests(), 2 * PLACES);
}
