//! X1: the process that completes a flow is killed.

use std::sync::Arc;

use authflow_testkit::{Endpoint, Outcome};

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// How far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// The state was not asked for.
    Nothing,
    /// The state is used up, and the code was not sent.
    State,
    /// The code was redeemed, and the connection is not saved.
    Redeemed,
    Saved,
}

const POINTS: [(&str, Reached); 9] = [
    ("before load", Reached::Nothing),
    ("after load", Reached::Nothing),
    ("before check", Reached::Nothing),
    ("after check", Reached::State),
    ("before send", Reached::State),
    ("in headers", Reached::Redeemed),
    ("after send", Reached::Redeemed),
    ("before put", Reached::Redeemed),
    ("after put", Reached::Saved),
];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    all(POINTS.map(|point| killed_at(Arc::clone(&rig), point))).await;
}

/// The user is connected already, and connects again. The browser brings the callback a second time, to another process.
async fn killed_at(rig: Arc<Rig>, (point, reached): (&'static str, Reached)) {
    let case = format!("killed {point}");
    let world = World::new(&rig, Rotates::Strictly).await;
    let old = world.connect().await;
    let before = world.record().await.unwrap();
    let mut process = world.process().await;
    let callback = world.begin_in(&mut process).await;
    let complete = format!("complete {callback}");
    world.kill_at(process, point, &complete, Endpoint::Token).await;

    let redeemed = |more: usize| 1 + more;
    let taken = usize::from(matches!(reached, Reached::Redeemed | Reached::Saved));
    assert_eq!(world.count(&Outcome::CodeRedeemed), redeemed(taken), "{case}");
    let mut second = world.process().await;
    let answer = second.ask(&complete).await;
    if reached == Reached::Nothing {
        assert_eq!(answer, "ok", "{case}: the same callback works later");
    } else {
        assert_eq!(answer, "state_not_found: reconnect", "{case}: no state is used twice");
    }
    let is_new = matches!(reached, Reached::Nothing | Reached::Saved);
    let codes = usize::from(reached != Reached::State);
    assert_eq!(world.count(&Outcome::CodeRedeemed), redeemed(codes), "{case}");
    assert_eq!(world.count(&Outcome::CodeReused), 0, "{case}: no code is sent twice");

    // The connection is the old one or the new one, and whole.
    let answer = second.ask("token").await;
    let after = world.record().await.unwrap();
    let replaced = after.version.incarnation() != before.version.incarnation();
    assert_eq!((answer != format!("ok {old}"), replaced), (is_new, is_new), "{case}");
    assert_eq!(after.version.counter(), 1, "{case}");
    let token = answer.strip_prefix("ok ").unwrap();
    assert!(world.is_ours(token) && world.takes(token).await, "{case}");

    world.check_connects_again(second, &case).await;
}
