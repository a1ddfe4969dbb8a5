//! X1: the process that refreshes is killed.

use std::sync::Arc;

use authflow_testkit::{Endpoint, Outcome};

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// How far the refresh had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// The refresh token was not sent.
    Nothing,
    /// It was sent, and the provider refused the client.
    Refused,
    /// The provider used it up, and nobody wrote down what it gave.
    Committed,
    /// The new tokens are in the store.
    Saved,
}

/// Each await point, by what the process is about to do or has done.
const POINTS: [(&str, Reached); 13] = [
    // P0 and P1.
    ("before load", Reached::Nothing),
    ("after load", Reached::Nothing),
    // P2, P3 and P4.
    ("before lease", Reached::Nothing),
    ("after lease", Reached::Nothing),
    ("before renew", Reached::Nothing),
    // P5.
    ("before send", Reached::Nothing),
    // P6 and P7: the provider has done its part, and its answer is awaited, or half of it.
    ("in headers", Reached::Committed),
    ("in body", Reached::Committed),
    // P8.
    ("after send", Reached::Committed),
    // P9.
    ("before save", Reached::Committed),
    // P10.
    ("after save", Reached::Saved),
    // P11: the lease is given back where there is nothing to save.
    ("before release", Reached::Refused),
    ("after release", Reached::Refused),
];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let cases = Rotates::ALL.iter().flat_map(|rotates| POINTS.iter().map(move |point| (*rotates, *point)));
    let once = cases.map(|(rotates, point)| killed_at(Arc::clone(&rig), rotates, point));
    all(once).await;
    all(Rotates::ALL.map(|rotates| killed_twice(Arc::clone(&rig), rotates))).await;
}

/// Lets a process come to a point of a refresh, and kills it there.
async fn kill_at(world: &World, point: &str) {
    let mut process = world.process().await;
    if matches!(point, "in headers" | "in body") {
        world.kill_at(process, point, "token", Endpoint::Token).await;
    } else {
        world.refresh_until(&mut process, point).await;
        process.kill().await;
    }
}

async fn killed_at(rig: Arc<Rig>, rotates: Rotates, (point, reached): (&'static str, Reached)) {
    let case = format!("killed {point}, rotates {rotates:?}");
    let world = World::expired(&rig, rotates).await;
    kill_at(&world, point).await;
    let counter = world.counter().await;
    assert_eq!(counter, if reached == Reached::Saved { 2 } else { 1 }, "{case}");
    let mut second = world.process().await;
    let answer = second.ask("token").await;
    rig.give_back(second);
    let used = Outcome::RefreshUsed;
    let refreshes = match (reached, rotates) {
        (Reached::Nothing | Reached::Saved, _) => vec![used],
        (Reached::Refused, _) => vec![world.refused_client(&case), used],
        (Reached::Committed, Rotates::Strictly) => vec![used, Outcome::RefreshReused],
        (Reached::Committed, Rotates::WithGrace) => vec![used, Outcome::RefreshGrace],
        (Reached::Committed, Rotates::Never) => vec![used.clone(), used],
    };
    assert_eq!(world.refreshes(), refreshes, "{case}");
    assert_eq!(world.counter().await, 2, "{case}");
    if (reached, rotates) == (Reached::Committed, Rotates::Strictly) {
        // The honest limit: it is told by its name.
        world.check_lost(&answer, "rotation_lost", &case).await;
    } else {
        world.check_healthy(&answer, &case).await;
    }
}

/// Two processes are killed one after the other, each with the provider's answer in its hand.
async fn killed_twice(rig: Arc<Rig>, rotates: Rotates) {
    let case = format!("killed twice, rotates {rotates:?}");
    let world = World::expired(&rig, rotates).await;
    kill_at(&world, "after send").await;
    kill_at(&world, "after send").await;
    assert_eq!(world.counter().await, 1, "{case}");
    let mark = world.record().await.unwrap().mark.expect("the mark stays");
    assert_eq!(mark.attempt, 2, "{case}");
    let mut third = world.process().await;
    let answer = third.ask("token").await;
    rig.give_back(third);
    assert_eq!(world.refreshes().len(), 3, "{case}");
    match rotates {
        Rotates::Strictly => {
            assert_eq!(world.refreshes()[1], Outcome::RefreshReused, "{case}");
            assert!(matches!(world.refreshes()[2], Outcome::Refused { .. }), "{case}");
            world.check_lost(&answer, "rotation_lost", &case).await;
        }
        Rotates::WithGrace => {
            assert_eq!(world.refreshes()[1..], [Outcome::RefreshGrace, Outcome::RefreshGrace], "{case}");
            world.check_healthy(&answer, &case).await;
        }
        Rotates::Never => world.check_healthy(&answer, &case).await,
    }
}
