//! X4: the store's server is killed in the middle, and comes back.

use std::sync::Arc;

use authflow_testkit::{Endpoint, Outcome};

use crate::backend::{Backend, Kind};
use crate::process::Process;
use crate::rig::Rig;
use crate::setup::Rotates;
use crate::world::World;

pub async fn and_restarted(kind: Kind) {
    let rig = Rig::own(move || Backend::mortal(kind)).await;
    before_the_lease(&rig).await;
    between_lease_and_save(&rig).await;
    before_the_save(&rig).await;
}

/// F8: nothing is sent while what would come of it could not be saved.
async fn before_the_lease(rig: &Arc<Rig>) {
    let world = World::expired(rig, Rotates::Strictly).await;
    let (mut process, mut second) = (world.process().await, world.process().await);
    process.ask_until("before lease", "token").await;
    rig.kill_server().await;
    process.go_on().await;
    assert_eq!(process.result().await, "store_unavailable: retry");
    assert_eq!(second.ask("token").await, "store_unavailable: retry");
    assert_eq!(world.refreshes(), []);
    rig.restart_server().await;
    let answer = fresh(&world).await;
    assert_eq!(world.refreshes(), [Outcome::RefreshUsed]);
    world.check_healthy(&answer, "before the lease").await;
    rig.give_back(process);
    rig.give_back(second);
}

/// The lease and the mark were on the disk: who comes meanwhile waits, and what was got is saved.
async fn between_lease_and_save(rig: &Arc<Rig>) {
    let world = World::expired(rig, Rotates::Strictly).await;
    let mut process = world.process().await;
    process.ask_until("before save", "token").await;
    let before = world.record().await.unwrap();
    rig.kill_server().await;
    rig.restart_server().await;
    let after = world.record().await.unwrap();
    assert_eq!((after.version, after.mark), (before.version, before.mark), "it came back");
    process.go_on().await;
    let answer = process.result().await;
    assert_eq!(process.ask("drain").await, "drained 0");
    assert_eq!((world.refreshes(), world.counter().await), (vec![Outcome::RefreshUsed], 2));
    world.check_healthy(&answer, "between lease and save").await;
    process.kill().await;
}

/// F9: what was got is served from memory until the store takes it.
async fn before_the_save(rig: &Arc<Rig>) {
    let world = World::expired(rig, Rotates::Strictly).await;
    let mut process = world.process().await;
    process.ask_until("before save", "token").await;
    rig.kill_server().await;
    process.go_on().await;
    let answer = process.result().await;
    assert!(answer.starts_with("ok "), "{answer}");
    assert_eq!(process.ask("token").await, answer, "it is served still");
    assert_eq!((world.refreshes(), process.said("after save saved")), (vec![Outcome::RefreshUsed], 0));
    rig.restart_server().await;
    assert_eq!(process.ask("drain").await, "drained 0");
    assert_eq!((process.said("after save saved"), world.refreshes()), (1, vec![Outcome::RefreshUsed]));
    assert_eq!(fresh(&world).await, answer);
    world.check_healthy(&answer, "before the save").await;
    process.kill().await;
}

/// A Redis without an append-only file forgets everything. Whoever refreshes gives back what nobody will hold, and nobody gets
/// another user's connection.
pub async fn and_emptied() {
    let rig = Rig::own(Backend::forgetful_redis).await;
    let world = World::expired(&rig, Rotates::Strictly).await;
    let mut process = world.process().await;
    process.ask_until("before save", "token").await;
    rig.kill_server().await;
    rig.restart_server().await;
    let neighbour = world.neighbour().await;
    process.go_on().await;
    let answer = process.result().await;
    assert_eq!(process.ask("drain").await, "drained 0");
    // It may have been served from memory before the store was asked again.
    let token = world.server.ledger().entries().iter().rev().find_map(|entry| match entry.outcome() {
        Outcome::RefreshUsed => entry.access_token().map(str::to_owned),
        _ => None,
    });
    let token = token.unwrap();
    assert!(answer == format!("ok {token}") || answer == "not_connected: reconnect", "{answer}");
    assert!(world.server.ledger().count(Endpoint::Revocation) > 0 && !world.takes(&token).await);
    assert!(world.record().await.is_none(), "a refresh makes no connection");
    assert_eq!(fresh(&world).await, "not_connected: reconnect");
    neighbour.check_healthy(&fresh(&neighbour).await, "the neighbour").await;
    world.connect().await;
    world.check_healthy(&fresh(&world).await, "connected again").await;
}

/// What a process answers that knows nothing yet.
async fn fresh(world: &World) -> String {
    let mut process = Process::start();
    process.set_up(&world.setup).await;
    let answer = process.ask("token").await;
    process.kill().await;
    answer
}
