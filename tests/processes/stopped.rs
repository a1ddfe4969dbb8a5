//! X3: the process that refreshes stands still for longer than its lease, and goes on.

use std::sync::Arc;

use authflow_testkit::Outcome;

use crate::backend::Kind;
use crate::process::Process;
use crate::relay::Relay;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// What the process that was stopped does when it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    /// It looks at the record, or at its lease, and finds that nothing is left to do.
    Looks,
    /// It sends the refresh token: it had looked at its lease already.
    Sends,
    /// It saves what it got for the refresh token, which it sent before it was stopped.
    Saves,
    /// It had saved, and tells what it saved.
    HasSaved,
    /// The provider had refused it, and it gives back its lease, or has done so.
    Fails,
}

/// Each await point, by what the process is about to do or has done.
const POINTS: [(&str, GoesOn); 13] = [
    // P0 and P1.
    ("before load", GoesOn::Looks),
    ("after load", GoesOn::Looks),
    // P2, P3 and P4.
    ("before lease", GoesOn::Looks),
    ("after lease", GoesOn::Looks),
    ("before renew", GoesOn::Looks),
    // P5.
    ("before send", GoesOn::Sends),
    // P6 and P7: the provider has done its part, and its answer comes, or the other half of it, when the process goes on.
    ("in headers", GoesOn::Saves),
    ("in body", GoesOn::Saves),
    // P8.
    ("after send", GoesOn::Saves),
    // P9.
    ("before save", GoesOn::Saves),
    // P10.
    ("after save", GoesOn::HasSaved),
    // P11: the lease is given back where there is nothing to save.
    ("before release", GoesOn::Fails),
    ("after release", GoesOn::Fails),
];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let cases = Rotates::ALL.iter().flat_map(|rotates| POINTS.iter().map(move |point| (*rotates, *point)));
    all(cases.map(|(rotates, point)| stopped_at(Arc::clone(&rig), rotates, point, 1))).await;
}

/// Three leases long, with a provider that rotates in one of the ways: which one differs from store to store.
pub async fn for_three_leases(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let rotates = Rotates::ALL[kind as usize % Rotates::ALL.len()];
    all(POINTS.map(|point| stopped_at(Arc::clone(&rig), rotates, point, 3))).await;
}

/// A process that stands still at a point of its refresh.
async fn stop_at(world: &World, point: &str) -> (Process, Option<Relay>) {
    let (mut process, relay) = world.hold_at(point).await;
    process.stop().await;
    (process, relay)
}

/// Whatever the process that was stopped has come to, it stands still for as long as a lease lasts.
async fn lease_if_free(world: &World) {
    if !world.is_leased().await {
        world.lease().await;
    }
}

/// Lets it go on from there. Gives what came of its refresh.
async fn go_on(process: &mut Process, relay: Option<Relay>) -> String {
    process.resume().await;
    match relay {
        Some(relay) => relay.let_go(),
        None => process.go_on().await,
    }
    process.result().await
}

async fn stopped_at(rig: Arc<Rig>, rotates: Rotates, (point, goes_on): (&'static str, GoesOn), leases: u32) {
    let case = format!("stopped {point} for {leases} leases, rotates {rotates:?}");
    let world = World::expired(&rig, rotates).await;
    let mut second = world.process().await;
    let (mut first, relay) = stop_at(&world, point).await;
    for _ in 1..leases {
        lease_if_free(&world).await;
        world.until_the_lease_ends().await;
    }
    lease_if_free(&world).await;
    // It gets the lease where the other one has ended.
    let taken_over = second.ask(if goes_on == GoesOn::HasSaved { "refresh" } else { "token" }).await;
    // And it may stand still itself, before it sends: then it gets another one.
    let lost = second.said("after renew lost");
    assert!((1..=1 + lost).contains(&second.said("after lease leased")), "{case}");
    let between = world.record().await.unwrap();
    assert_eq!(between.version.counter(), if goes_on == GoesOn::HasSaved { 3 } else { 2 }, "{case}");
    let late = go_on(&mut first, relay).await;
    let after = world.record().await.unwrap();
    rig.give_back(second);

    let used = Outcome::RefreshUsed;
    let refreshes = match (goes_on, rotates) {
        (GoesOn::Looks, _) => vec![used],
        (GoesOn::HasSaved, _) => vec![used.clone(), used],
        (GoesOn::Fails, _) => vec![world.refused_client(&case), used],
        (_, Rotates::Strictly) => vec![used, Outcome::RefreshReused],
        (_, Rotates::WithGrace) => vec![used, Outcome::RefreshGrace],
        (_, Rotates::Never) => vec![used.clone(), used],
    };
    assert_eq!(world.refreshes(), refreshes, "{case}: twice at most (I2)");
    let finds_it_lost = usize::from(matches!(point, "after lease" | "before renew"));
    assert!(first.said("after renew lost") >= finds_it_lost, "{case}: it finds its lease lost");
    let finds_it_changed = usize::from(matches!(point, "after load" | "before lease"));
    assert_eq!(first.said("after lease changed"), finds_it_changed, "{case}: it finds the version over");
    // The save that came too late was refused, if there was one.
    let saves = match goes_on {
        GoesOn::Looks | GoesOn::HasSaved | GoesOn::Fails => 0,
        GoesOn::Sends => usize::from(rotates != Rotates::Strictly),
        GoesOn::Saves => 1,
    };
    assert_eq!(first.said("after save changed"), saves, "{case}");
    if (rotates, goes_on) == (Rotates::Strictly, GoesOn::Saves) {
        // The second process was told that the refresh token is used up. The first one holds what it was replaced by: that is
        // saved over the end of the connection, which is not newer.
        assert_eq!(taken_over, "rotation_lost: reconnect", "{case}");
        assert_eq!((after.version.counter(), first.said("after save saved")), (3, 1), "{case}");
        world.check_revoked(&late, &case).await;
        rig.give_back(first);
        return;
    }
    let saved = usize::from(goes_on == GoesOn::HasSaved);
    assert_eq!((after.version, first.said("after save saved")), (between.version, saved), "{case}");
    match goes_on {
        GoesOn::Sends if rotates == Rotates::Strictly => {
            // The first process sent a refresh token that was used up meanwhile: it finds the newer one, and ends nothing.
            assert_eq!(late, taken_over, "{case}");
            world.check_revoked(&late, &case).await;
        }
        GoesOn::Looks | GoesOn::Sends | GoesOn::Saves => {
            assert_eq!(late, taken_over, "{case}: what is stored is what is answered");
            world.check_healthy(&late, &case).await;
        }
        GoesOn::HasSaved => {
            let own = late.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {late}"));
            assert!(world.is_ours(own) && late != taken_over, "{case}: what it got itself");
            world.check_healthy(&taken_over, &case).await;
        }
        GoesOn::Fails => {
            assert_eq!(late, "refused: fix", "{case}: what it was told");
            world.check_healthy(&taken_over, &case).await;
        }
    }
    rig.give_back(first);
}
