//! X27: the application is deployed anew while somebody is at the provider, and its keys were rotated meanwhile.

use std::sync::Arc;

use authflow::{Key, KeyRing};
use authflow_testkit::Outcome;

use crate::backend::Kind;
use crate::rig::Rig;
use crate::setup::{Rotates, Setup};
use crate::world::World;

/// One user comes back from the provider to another process than the one that sent them there. Another is connected, by a
/// process that had only the old key.
pub async fn between_begin_and_complete(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let old = World::new(&rig, Rotates::Strictly).await;
    let connected = old.neighbour().await;
    let mut before = old.process().await;
    assert!(old.server.sign_in(&old.setup.user));
    let callback = old.begin_in(&mut before).await;
    before.kill().await;

    let keys = old.setup.keys.rotate("new", Key::generate().unwrap()).unwrap();
    let only_new = keys.without(old.setup.keys.writing_id()).unwrap();
    let (rotated, elsewhere) = (with_keys(&old, &keys), with_keys(&connected, &keys));
    let mut after = rotated.process().await;
    assert_eq!(after.ask(&format!("complete {callback}")).await, "ok");
    assert_eq!((old.count(&Outcome::CodeRedeemed), old.count(&Outcome::CodeReused)), (2, 0));
    let answer = after.ask("token").await;
    rotated.check_healthy(&answer, "begun before the restart").await;
    rig.give_back(after);

    // Without the old key: what the new one sealed opens, and what the old one sealed is told from what is lost.
    let before = old.server.ledger().len();
    let (lost, kept) = (with_keys(&connected, &only_new), with_keys(&rotated, &only_new));
    let record = connected.record().await.unwrap();
    let mut without = lost.process().await;
    assert_eq!(without.ask("token").await, "key_unknown: fix");
    assert_eq!(without.ask("refresh").await, "key_unknown: fix");
    assert_eq!(old.server.ledger().len(), before, "nothing was sent");
    let now = connected.record().await.unwrap();
    assert_eq!((now.version, now.lease, now.mark), (record.version, None, None), "it is as it was");
    assert_eq!(now.sealed.as_bytes(), record.sealed.as_bytes());
    without.set_up(&kept.setup).await;
    let answer = without.ask("token").await;
    kept.check_healthy(&answer, "sealed with the new key").await;
    rig.give_back(without);
    // The old one, which is still in a process somewhere, does not open what the new one sealed.
    let mut behind = old.process().await;
    assert_eq!(behind.ask("token").await, "key_unknown: fix");
    rig.give_back(behind);

    // With both, the other user's connection is good, and its next version needs the new key alone.
    let mut after = elsewhere.process().await;
    let answer = after.ask("token").await;
    assert!(answer.starts_with("ok "), "{answer}");
    assert_eq!(elsewhere.counter().await, 2, "it was refreshed");
    rig.give_back(after);
    lost.check_healthy(&answer, "sealed anew").await;
}

/// A flow needs no key until its tokens are there: who begins it before the keys are lost connects after it, also where a
/// connection is in the way that no key opens any more.
pub async fn with_keys_that_are_lost(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let old = World::expired(&rig, Rotates::Strictly).await;
    let mut before = old.process().await;
    let callback = old.begin_in(&mut before).await;
    before.kill().await;
    let lost = with_keys(&old, &KeyRing::new("other", Key::generate().unwrap()).unwrap());
    let mut after = lost.process().await;
    assert_eq!(after.ask("token").await, "key_unknown: fix");
    assert_eq!(after.ask(&format!("complete {callback}")).await, "ok");
    let answer = after.ask("token").await;
    lost.check_healthy(&answer, "connected again").await;
    rig.give_back(after);
}

/// The same, to those who have other keys.
fn with_keys(world: &World, keys: &KeyRing) -> World {
    let setup = Setup { keys: keys.clone(), ..world.setup.clone() };
    World { rig: Arc::clone(&world.rig), server: Arc::clone(&world.server), setup }
}
