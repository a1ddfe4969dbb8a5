//! The whole flow on loopback: begin, callback, exchange.

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{AuthorizationResponse, Binding, Flow, MemoryStateStore};
use authflow_reqwest::ReqwestClient;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::{Count, keep, runtime};
use crate::arguments::Settings;
use crate::measure::{Spread, cpu, take_turns};
use crate::registration::{RETURN_TO, callback_query};
use crate::server::TokenServer;
use crate::table::{Line, median_time, with_allocations};
use crate::{allocations, floor, ours, peer};

const TIMES: u32 = 2_560;
const MUST: f64 = 1.1;
const MUST_ALLOCATIONS: f64 = 95.0;
/// What a browser's cookie holds: 256 bits.
const BROWSER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// One flow after the other, or several at a time.
struct Contenders {
    runtime: Runtime,
    floor: Arc<floor::Client>,
    oauth2: Arc<peer::Client>,
    authflow: Flow,
    _server: TokenServer,
}

impl Contenders {
    fn new() -> Self {
        let server = TokenServer::start();
        let token_endpoint = server.token_endpoint();
        let http = || {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
            client.timeout(Duration::from_secs(30)).build().unwrap()
        };
        Self {
            runtime: runtime(),
            floor: Arc::new(floor::Client {
                http: http(),
                token_endpoint: token_endpoint.clone(),
                pendings: floor::Pendings::default(),
            }),
            oauth2: Arc::new(peer::Client::new(&token_endpoint, http())),
            authflow: ours::flow(&token_endpoint, MemoryStateStore::new(), ReqwestClient::new().unwrap()),
            _server: server,
        }
    }

    fn by_hand(&self, at_once: u32, times: u32) {
        let client = Arc::clone(&self.floor);
        self.repeat(at_once, times, move || {
            let client = Arc::clone(&client);
            async move {
                let url = client.begin(BROWSER, RETURN_TO);
                keep(client.finish(&callback_query(&url), BROWSER).await.expect("the flow ends well"));
            }
        });
    }

    fn by_oauth2(&self, at_once: u32, times: u32) {
        let client = Arc::clone(&self.oauth2);
        self.repeat(at_once, times, move || {
            let client = Arc::clone(&client);
            async move {
                let url = client.begin(BROWSER, RETURN_TO);
                keep(
                    client.finish(&callback_query(url.as_str()), BROWSER).await.expect("the flow ends well"),
                );
            }
        });
    }

    fn by_authflow(&self, at_once: u32, times: u32) {
        let flow = self.authflow.clone();
        let browser = Arc::new(Binding::browser(BROWSER.into()));
        self.repeat(at_once, times, move || {
            let (flow, browser) = (flow.clone(), Arc::clone(&browser));
            async move {
                let authorization = flow.begin(&browser).return_to(RETURN_TO).await.unwrap();
                let query = callback_query(authorization.url());
                let response = AuthorizationResponse::from_query(&query).unwrap();
                keep(flow.finish(&response, &browser).await.unwrap());
            }
        });
    }

    fn repeat<W, F>(&self, at_once: u32, times: u32, work: W)
    where
        W: Fn() -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send,
    {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..at_once {
                let work = work.clone();
                tasks.spawn(async move {
                    for _ in 0..times / at_once {
                        work().await;
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        });
    }
}

pub(crate) fn each(count: &mut Count<'_>) {
    let contenders = Contenders::new();
    count("whole/floor", &mut |times| contenders.by_hand(1, times));
    count("whole/oauth2", &mut |times| contenders.by_oauth2(1, times));
    count("whole/authflow", &mut |times| contenders.by_authflow(1, times));
}

pub(crate) fn measure(settings: &Settings) -> Vec<Line> {
    [1, 64].map(|at_once| measure_at(at_once, settings)).into()
}

fn measure_at(at_once: u32, settings: &Settings) -> Line {
    let times = settings.times(TIMES);
    let contenders = Contenders::new();
    let [floor, oauth2, authflow] = take_turns(
        settings.rounds(),
        [
            &mut || cpu(times, || contenders.by_hand(at_once, times)),
            &mut || cpu(times, || contenders.by_oauth2(at_once, times)),
            &mut || cpu(times, || contenders.by_authflow(at_once, times)),
        ],
    );
    let ratio = Spread::ratio(&authflow, &floor);
    let counted = allocations::of("whole/authflow");
    let oauth2_ratio = Spread::ratio(&oauth2, &floor);
    Line {
        work: format!("whole flow on loopback, memory store, {at_once} at a time: CPU per flow"),
        floor: with_allocations(&median_time(&floor), allocations::of("whole/floor")),
        oauth2: with_allocations(&format!("{oauth2_ratio} x"), allocations::of("whole/oauth2")),
        authflow: with_allocations(&median_time(&authflow), counted),
        ratio: ratio.to_string(),
        must: "1.10 x, 95 allocations".to_owned(),
        reached: Some(ratio.reaches(MUST) && counted.is_some_and(|count| count <= MUST_ALLOCATIONS)),
    }
}
