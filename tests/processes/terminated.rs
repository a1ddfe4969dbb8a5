//! X35: a process is told to end while it refreshes.

use std::sync::Arc;

use authflow_testkit::Outcome;
use rustix::process::Signal;

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::{LONG, Rotates};
use crate::world::World;

const POINTS: [&str; 4] = ["after lease", "before send", "after send", "before save"];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    all(POINTS.map(|point| terminated_at(Arc::clone(&rig), point))).await;
}

async fn terminated_at(rig: Arc<Rig>, point: &'static str) {
    let case = format!("told to end {point}");
    let mut world = World::expired(&rig, Rotates::Strictly).await;
    // A process that loses its lease before it sends does not begin again when it is about to end.
    world.setup.lease = LONG;
    let mut process = world.process().await;
    assert_eq!(process.ask("drain-at-sigterm").await, "ok");
    process.ask_until(point, "token").await;
    process.signal(Signal::TERM);
    process.hear("draining").await;
    process.go_on().await;
    assert_eq!(process.hear("drained").await, "0", "{case}");
    process.end().await;

    // I1: what it got is in the store.
    assert_eq!((world.refreshes(), world.counter().await), (vec![Outcome::RefreshUsed], 2), "{case}");
    let mut second = world.process().await;
    let answer = second.ask("token").await;
    rig.give_back(second);
    assert_eq!(world.refreshes(), [Outcome::RefreshUsed], "{case}: nothing more was sent");
    world.check_healthy(&answer, &case).await;
}
