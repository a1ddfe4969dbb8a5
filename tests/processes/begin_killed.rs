//! X1: the process that begins a flow is killed.

use std::sync::Arc;

use authflow_testkit::{Endpoint, Outcome};
use url::Url;

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// Where it is killed; in the last case the user was sent to the provider before.
const POINTS: [&str; 3] = ["before store", "after store", "begun"];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    all(POINTS.map(|point| killed_at(Arc::clone(&rig), point))).await;
}

/// The user begins again in another process, and connects. Then comes what may still come of the first flow.
async fn killed_at(rig: Arc<Rig>, point: &'static str) {
    let case = format!("killed {point}");
    let world = World::new(&rig, Rotates::Strictly).await;
    let mut first = world.process().await;
    let begun = match point {
        "begun" => Some(world.begin_in(&mut first).await),
        _ => {
            first.ask_until(point, "begin").await;
            None
        }
    };
    first.kill().await;
    assert!(world.record().await.is_none(), "{case}");
    let codes = world.count(&Outcome::CodeIssued);
    assert_eq!(codes, usize::from(begun.is_some()), "{case}");

    let mut second = world.process().await;
    let callback = world.begin_in(&mut second).await;
    assert_eq!(second.ask(&format!("complete {callback}")).await, "ok", "{case}: the user begins again");
    let newest = second.ask("token").await;
    let token = newest.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {newest}"));
    assert!(world.is_ours(token) && world.takes(token).await, "{case}");
    let before = world.record().await.unwrap();

    // Where nobody was told the state, a callback can only have one that no flow has.
    let late = begun.clone().unwrap_or_else(|| with_another_state(&callback));
    let answer = second.ask(&format!("complete {late}")).await;
    let replaced = world.record().await.unwrap().version.incarnation() != before.version.incarnation();
    if begun.is_some() {
        // It is this user's, and is a connect like any other: a new one, and whole.
        assert_eq!((&*answer, replaced), ("ok", true), "{case}");
        assert_eq!(world.count(&Outcome::CodeRedeemed), 2, "{case}");
    } else {
        assert_eq!((&*answer, replaced), ("state_not_found: reconnect", false), "{case}");
        assert_eq!(second.ask("token").await, newest, "{case}");
    }
    let sent = world.server.ledger().count(Endpoint::Token);
    for callback in [&late, &callback] {
        let answer = second.ask(&format!("complete {callback}")).await;
        assert_eq!(answer, "state_not_found: reconnect", "{case}: no state is used twice");
    }
    assert_eq!(world.server.ledger().count(Endpoint::Token), sent, "{case}: no code is sent twice");
    world.check_connects_again(second, &case).await;
}

/// A callback as long and as well made as a good one.
fn with_another_state(callback: &str) -> String {
    let mut url = Url::parse(callback).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let pairs = pairs.into_iter().map(|(name, value)| match &*name {
        "state" => (name, value.chars().rev().collect()),
        _ => (name, value),
    });
    let pairs: Vec<_> = pairs.collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    url.into()
}
