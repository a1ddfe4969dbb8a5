//! One address that begins flow after flow and ends none, nobody being signed in: what that does to the flows of another
//! address, to the number of flows that wait, and to the memory of the process.

use std::cell::Cell;
use std::net::Ipv4Addr;

use futures_util::future::{join, join_all};
use tokio::runtime::Runtime;

use crate::arguments::Settings;
use crate::browser::Browser;
use crate::measure::wall;
use crate::table::Line;
use crate::web_server::{Kind, OF_ONE, SMALL, SMALL_MEMORY, WebServer};

/// More than the state store holds: were they not counted by address, all other flows would be pushed out.
const FLOWS: u32 = 10_000;
/// Where only the end is looked for.
const FLOWS_ONCE: u32 = 512;
const AT_ONCE: u32 = 16;
const FLOODING: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// Flows that the server has behind it when it begins: what is allocated once is not what is asked for.
const WARM: u32 = 512;
const MUST_SECONDS: f64 = 60.0;
const MUST_GROWTH: f64 = 4.0;

/// What came of it.
#[derive(Default)]
struct Flood {
    seconds: f64,
    /// In MiB.
    growth: f64,
    pending: u64,
    /// Flows of the other address, and how many of them ended well.
    others: u32,
    well: u32,
}

impl Flood {
    fn on(runtime: &Runtime, kind: Kind, token_endpoint: &str, flows: u32) -> Self {
        let mut server = WebServer::start(kind, token_endpoint, SMALL_MEMORY);
        let address = server.address;
        let mut flood = Self::default();
        let (mut other, mut early) = runtime
            .block_on(async { (Browser::open(OTHER, address).await, Browser::open(OTHER, address).await) });
        runtime.block_on(async {
            for _ in 0..WARM {
                assert!(whole(&mut other).await, "the flow ends well");
            }
        });
        let begun_before = runtime.block_on(early.begin());
        let mut flooding = runtime.block_on(join_all((0..AT_ONCE).map(|_| Browser::open(FLOODING, address))));
        let before = server.ask().resident;
        let over = Cell::new(false);
        let nanoseconds = wall(1, || {
            let begin_many = async {
                join_all(flooding.iter_mut().map(|browser| async {
                    for _ in 0..flows / AT_ONCE {
                        browser.begin().await;
                        browser.forget();
                    }
                }))
                .await;
                over.set(true);
            };
            let meanwhile = async {
                while !over.get() {
                    flood.count(whole(&mut other).await);
                }
            };
            runtime.block_on(join(begin_many, meanwhile))
        });
        flood.seconds = nanoseconds / 1e9;
        flood.count(runtime.block_on(early.finish(&begun_before)));
        flood.count(runtime.block_on(whole(&mut other)));
        let after = server.ask();
        flood.growth = (after.resident as f64 - before as f64) / f64::from(1 << 20);
        flood.pending = after.pending;
        flood
    }

    fn count(&mut self, is_well: bool) {
        self.others += 1;
        self.well += u32::from(is_well);
    }

    fn reached(&self) -> bool {
        self.well == self.others
            && self.pending == OF_ONE as u64
            && self.growth <= MUST_GROWTH
            && self.seconds <= MUST_SECONDS
    }

    fn shown(&self) -> String {
        let Self { seconds, growth, well, others, .. } = self;
        format!("{well} of {others} done, {growth:+.1} MiB, in {seconds:.1} s")
    }
}

async fn whole(browser: &mut Browser) -> bool {
    let query = browser.begin().await;
    browser.finish(&query).await
}

pub(super) fn measure(settings: &Settings, runtime: &Runtime, token_endpoint: &str) -> Vec<Line> {
    let flows = if settings.is_once() { FLOWS_ONCE } else { FLOWS };
    let floor = Flood::on(runtime, Kind::ByHand, token_endpoint, flows);
    let lines = [(Kind::Axum, "axum"), (Kind::Actix, "actix-web")].map(|(kind, name)| {
        let authflow = Flood::on(runtime, kind, token_endpoint, flows);
        Line {
            work: format!(
                "{flows} flows begun from one address through {name}, memory state store for {SMALL}: flows of another address begun before, \
                 meanwhile and after, and growth of the process"
            ),
            floor: floor.shown(),
            oauth2: "in the floor".to_owned(),
            authflow: format!("{}, {} pending", authflow.shown(), authflow.pending),
            ratio: String::new(),
            must: format!("all done, {OF_ONE} pending, {MUST_GROWTH:.0} MiB, {MUST_SECONDS:.0} s"),
            reached: Some(authflow.reached()),
        }
    });
    lines.into()
}
