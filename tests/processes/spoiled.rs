//! X12: the provider has refreshed, and its answer does not arrive as it should.

use std::sync::Arc;

use authflow::reqwest::ReqwestClient;
use authflow::{Connections, HttpClient, Record};
use authflow_testkit::{LoopbackClient, Outcome};

use crate::backend::Kind;
use crate::child::told;
use crate::relay::{Ends, Spoiler};
use crate::rig::{Rig, all};
use crate::setup::{LONG, Rotates, Setup};
use crate::world::World;

/// What arrives, and what is said of it where it is lost.
const ANSWERS: [(Ends, Option<&str>); 11] = [
    (Ends::BeforeTheHead, Some("network: retry")),
    (Ends::InTheHead, Some("network: retry")),
    (Ends::AfterTheHead, Some("network: retry")),
    (Ends::InTheBody, Some("network: retry")),
    (Ends::BeforeTheLastByte, Some("network: retry")),
    (Ends::InAChunk, Some("network: retry")),
    (Ends::BeforeTheLastChunk, Some("network: retry")),
    (Ends::LongLength, Some("network: retry")),
    // It comes to an end, which is none of what was said.
    (Ends::ShortLength, Some("invalid_response: give up")),
    (Ends::AfterTheBody, None),
    (Ends::AfterTheLastChunk, None),
];

/// Two clients, of which one keeps connections and knows when to send again what was not sent.
#[derive(Clone, Copy, Debug)]
enum Client {
    Loopback,
    Reqwest,
}

impl Client {
    fn connections(self, setup: &Setup, rig: &Rig) -> Connections {
        let http: Arc<dyn HttpClient> = match self {
            Self::Loopback => Arc::new(LoopbackClient::new()),
            Self::Reqwest => Arc::new(ReqwestClient::new().unwrap()),
        };
        setup.connections_by(rig.stores(), http)
    }
}

pub async fn in_each_way(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let mut cases = Vec::new();
    for client in [Client::Loopback, Client::Reqwest] {
        for rotates in Rotates::ALL {
            for answer in ANSWERS {
                // Once more is tried where that is allowed.
                let is_repeated = answer.1.is_some() && rotates != Rotates::Strictly;
                for times in 1..=if is_repeated { 2 } else { 1 } {
                    cases.push(spoiled(Arc::clone(&rig), client, rotates, answer, times));
                }
            }
        }
    }
    all(cases).await;
}

/// The first answers arrive in this way, and those after them as they are.
async fn spoiled(
    rig: Arc<Rig>,
    client: Client,
    rotates: Rotates,
    answer: (Ends, Option<&str>),
    times: usize,
) {
    let (ends, error) = answer;
    let case = format!("{ends:?}, {times} times, rotates {rotates:?}, {client:?}");
    let mut world = World::expired(&rig, rotates).await;
    // It is not sent again under a lease that has ended.
    world.setup.lease = LONG;
    let spoiler = Spoiler::of(&world.setup.server, ends, times).await;
    let setup = Setup { server: spoiler.url.clone(), ..world.setup.clone() };
    let (first, second) = (client.connections(&setup, &rig), world.here());
    let said = told(first.token(&world.key()).await);
    let record = world.record().await.unwrap();
    assert_eq!(spoiler.spoiled(), times, "{case}");
    assert!(record.lease.is_none(), "{case}: nobody waits for a lease");

    let used = Outcome::RefreshUsed;
    let again = if rotates == Rotates::WithGrace { Outcome::RefreshGrace } else { used.clone() };
    let Some(error) = error else {
        assert_eq!((world.refreshes(), mark(&record)), (vec![used], None), "{case}");
        world.check_healthy(&said, &case).await;
        return;
    };
    // That it was sent stands in the store, whoever looks.
    if rotates == Rotates::Strictly {
        assert_eq!((&*said, world.refreshes()), (error, vec![used.clone()]), "{case}: it is not sent again");
        assert_eq!((record.version.counter(), mark(&record)), (1, Some(1)), "{case}");
        let answer = told(second.token(&world.key()).await);
        assert_eq!(world.refreshes(), [used, Outcome::RefreshReused], "{case}");
        world.check_lost(&answer, "rotation_lost", &case).await;
        return;
    }
    if times == 1 {
        assert_eq!((world.refreshes(), mark(&record)), (vec![used, again], None), "{case}: again at once");
        world.check_healthy(&said, &case).await;
        return;
    }
    assert_eq!((&*said, world.refreshes()), (error, vec![used.clone(), again.clone()]), "{case}: and once");
    assert_eq!((record.version.counter(), mark(&record)), (1, Some(2)), "{case}");
    let answer = told(second.token(&world.key()).await);
    assert_eq!(world.refreshes(), [used, again.clone(), again], "{case}");
    world.check_healthy(&answer, &case).await;
}

/// How often the record says that the refresh token may have been sent.
fn mark(record: &Record) -> Option<u32> {
    record.mark.as_ref().map(|mark| mark.attempt)
}
