//! X25: callbacks that come twice, at once, in another order, or whose browser goes away in the middle. The ledger has the codes
//! that the provider got: none twice (I8), each with the verifier of its own flow.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client_support;
mod connections_support;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use authflow_core::{
    AuthorizationResponse, Binding, CodeChallenge, Connections, ErrorKind, Flow, HttpClient, HttpError,
    HttpRequest, HttpResponse, Limits, MemoryStateStore, PendingFlow, StateContext, StateKey, StateStore,
    StoreError, async_trait,
};
use connections_support::{Rotates, Server, World};

/// The server, and which code came to it with which verifier.
#[derive(Debug)]
struct Codes {
    server: Arc<Server>,
    sent: Mutex<Vec<(String, String)>>,
}

impl Codes {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self { server: Arc::clone(&world.server), sent: Mutex::default() })
    }

    /// The codes, in the order in which they came; each was used once, by the flow that it belongs to.
    fn used(&self, flows: &[Begun]) -> Vec<String> {
        let sent = self.sent.lock().unwrap().clone();
        for (code, verifier) in &sent {
            let flow = flows.iter().find(|flow| flow.code == *code).expect("a code of one of the flows");
            assert_eq!(CodeChallenge::new(verifier, &Default::default()).as_str(), flow.challenge, "{code}");
        }
        let codes: Vec<_> = sent.into_iter().map(|(code, _)| code).collect();
        for code in &codes {
            assert_eq!(codes.iter().filter(|other| *other == code).count(), 1, "{code} was sent again");
        }
        codes
    }
}

#[async_trait]
impl HttpClient for Codes {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        if request.url.path() == "/token" {
            let form: HashMap<_, _> = url::form_urlencoded::parse(&request.body).into_owned().collect();
            let sent = (form["code"].clone(), form["code_verifier"].clone());
            self.sent.lock().unwrap().push(sent);
        }
        self.server.send(request, limits).await
    }
}

/// A state store that takes its time before and after it takes a state, so that a caller can go away there.
#[derive(Debug)]
struct Unhurried(Arc<MemoryStateStore>);

#[async_trait]
impl StateStore for Unhurried {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        self.0.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        tokio::task::yield_now().await;
        let taken = self.0.check_state(cx, key).await;
        tokio::task::yield_now().await;
        taken
    }
}

fn binding() -> Binding {
    Binding::user("tenant", "user-42")
}

/// A flow whose user is back from the provider.
struct Begun {
    code: String,
    challenge: String,
    query: String,
}

async fn begin(flow: &Flow, code: &str) -> Begun {
    let authorization = flow.begin(&binding()).await.unwrap();
    let query = authorization.url().split_once('?').unwrap().1;
    let sent: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let query = format!("code={code}&state={}", sent["state"]);
    Begun { code: code.to_owned(), challenge: sent["code_challenge"].clone(), query }
}

/// What takes a callback, and tells whether it was good.
#[derive(Clone)]
enum Taker {
    Flow(Flow),
    Connections(Connections),
}

impl Taker {
    fn flow(&self) -> &Flow {
        match self {
            Self::Flow(flow) => flow,
            Self::Connections(connections) => connections.flow("p").unwrap(),
        }
    }

    async fn take(&self, query: &str) -> authflow_core::Result<()> {
        let response = AuthorizationResponse::from_query(query)?;
        match self {
            Self::Flow(flow) => flow.finish(&response, &binding()).await.map(drop),
            Self::Connections(connections) => {
                connections.complete("p", &response, &binding()).await.map(drop)
            }
        }
    }
}

/// `Flow::finish` and `Connections::complete`, each in two processes that share a store of states.
fn takers(world: &World, codes: &Arc<Codes>) -> [[Taker; 2]; 2] {
    let flow = || {
        let states = Unhurried(Arc::clone(&world.states));
        client_support::flow_with_states(world, world.provider("p"), Arc::clone(codes), states)
    };
    let connections = || world.builder_of(flow()).build().unwrap();
    [
        [Taker::Flow(flow()), Taker::Flow(flow())],
        [Taker::Connections(connections()), Taker::Connections(connections())],
    ]
}

#[tokio::test]
async fn x25_i8_a_callback_that_comes_again_sends_nothing() {
    let world = World::new(Rotates::Strictly);
    let codes = Codes::new(&world);
    let mut flows = Vec::new();
    for (at, [here, elsewhere]) in takers(&world, &codes).iter().enumerate() {
        let begun = begin(here.flow(), &format!("code-{at}")).await;
        here.take(&begun.query).await.unwrap();
        // Nor does one with another code, which the flow is not waiting for any more.
        let forged = begun.query.replace(&begun.code, "code-forged");
        for query in [&begun.query, &forged] {
            for taker in [here, elsewhere] {
                assert_eq!(taker.take(query).await.unwrap_err().kind(), ErrorKind::StateNotFound);
            }
        }
        flows.push(begun);
    }
    assert_eq!(codes.used(&flows), ["code-0", "code-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x25_i8_of_callbacks_at_once_one_sends_the_code() {
    for at in 0..2 {
        for _ in 0..20 {
            let world = World::new(Rotates::Strictly);
            let codes = Codes::new(&world);
            let [here, elsewhere] = takers(&world, &codes)[at].clone();
            let begun = begin(here.flow(), "code-1").await;
            let tasks: Vec<_> = (0..32)
                .map(|task| {
                    let taker = if task % 2 == 0 { here.clone() } else { elsewhere.clone() };
                    let query = begun.query.clone();
                    tokio::spawn(async move { taker.take(&query).await.map_err(|error| error.kind()) })
                })
                .collect();
            let mut good = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Ok(()) => good += 1,
                    Err(kind) => assert_eq!(kind, ErrorKind::StateNotFound),
                }
            }
            assert_eq!((good, codes.used(&[begun]).len()), (1, 1));
        }
    }
}

/// Several tabs of one user, which come back in another order than they went.
#[tokio::test]
async fn x25_i8_callbacks_in_any_order_send_each_its_own_code_and_verifier() {
    for at in 0..2 {
        let world = World::new(Rotates::Strictly);
        let codes = Codes::new(&world);
        let [here, elsewhere] = &takers(&world, &codes)[at];
        let mut flows = Vec::new();
        for flow in 0..6 {
            flows.push(begin(here.flow(), &format!("code-{flow}")).await);
        }
        let order = [3, 5, 0, 4, 1, 2];
        for flow in order {
            let taker = if flow % 2 == 0 { here } else { elsewhere };
            taker.take(&flows[flow].query).await.unwrap();
        }
        assert_eq!(codes.used(&flows), order.map(|flow| format!("code-{flow}")));
        for flow in &flows {
            assert_eq!(here.take(&flow.query).await.unwrap_err().kind(), ErrorKind::StateNotFound);
        }
        assert_eq!(codes.used(&flows).len(), 6);
    }
}

/// The future of the callback is dropped after each number of polls; then the user reloads the page.
#[tokio::test]
async fn x25_i8_a_browser_that_goes_away_in_the_middle_has_its_code_sent_once_at_most() {
    for at in 0..2 {
        let mut outcomes = Vec::new();
        for polls in 0..10 {
            let world = World::new(Rotates::Strictly);
            let codes = Codes::new(&world);
            let [here, elsewhere] = &takers(&world, &codes)[at];
            let begun = begin(here.flow(), "code-1").await;
            world.server.hold();
            let mut is_done = false;
            {
                let mut taken = pin!(here.take(&begun.query));
                let mut cx = Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if let Poll::Ready(taken) = taken.as_mut().poll(&mut cx) {
                        taken.unwrap();
                        is_done = true;
                        break;
                    }
                    world.clock.settle().await;
                    if polls > 6 {
                        world.server.let_go();
                    }
                }
            }
            world.server.let_go();
            world.clock.settle().await;
            let again = elsewhere.take(&begun.query).await.map_err(|error| error.kind());
            let used = codes.used(&[begun]).len();
            match (at, again) {
                // Nothing was taken, and nothing is lost.
                (_, Ok(())) => assert!(!is_done && used == 1, "{polls} polls"),
                // The state was used up, whether the code was sent or not: the user begins again.
                (0, Err(ErrorKind::StateNotFound)) => assert!(used <= 1, "{polls} polls"),
                // Connections go on by themselves: the code was sent, and the connection is there.
                (_, Err(ErrorKind::StateNotFound)) => {
                    assert_eq!(used, 1, "{polls} polls");
                    let key = authflow_core::ConnectionKey::new(&connections_support::user(), "p");
                    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-1");
                }
                (_, Err(kind)) => panic!("{kind:?} after {polls} polls"),
            }
            outcomes.push((is_done, again.is_ok()));
        }
        assert_eq!(outcomes.first(), Some(&(false, true)), "before the first poll nothing is used up");
        assert_eq!(outcomes.last(), Some(&(true, false)), "in the end it is done");
        assert!(outcomes.contains(&(false, false)), "it went away in the middle");
    }
}
