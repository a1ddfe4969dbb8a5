//! X3: the process that refreshes stands still for longer than its lease, and goes on.

use std::sync::Arc;

use authflow::ErrorKind;
use authflow_testkit::Outcome;
use rustix::process::Signal;

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// The points between the lease and the save, and whether the refresh token was sent before.
const POINTS: [(&str, bool); 4] =
    [("after lease", false), ("before send", false), ("after send", true), ("before save", true)];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let cases = Rotates::ALL.iter().flat_map(|rotates| POINTS.iter().map(move |point| (*rotates, *point)));
    all(cases.map(|(rotates, point)| stopped_at(Arc::clone(&rig), rotates, point))).await;
}

async fn stopped_at(rig: Arc<Rig>, rotates: Rotates, (point, was_sent): (&'static str, bool)) {
    let case = format!("stopped {point}, rotates {rotates:?}");
    let world = World::expired(&rig, rotates).await;
    let (mut first, mut second) = (world.process().await, world.process().await);
    first.ask_until(point, "token").await;
    first.stop();
    // It waits until the lease has ended.
    let taken_over = second.ask("token").await;
    assert_eq!(second.said("after lease leased"), 1, "{case}");
    let between = world.record().await.unwrap();
    assert_eq!(between.version.counter(), 2, "{case}");
    first.signal(Signal::CONT);
    first.go_on().await;
    let late = first.result().await;
    let after = world.record().await.unwrap();
    rig.give_back(second);

    let (used, again) = (
        Outcome::RefreshUsed,
        match rotates {
            Rotates::Strictly => Outcome::RefreshReused,
            Rotates::WithGrace => Outcome::RefreshGrace,
            Rotates::Never => Outcome::RefreshUsed,
        },
    );
    assert_eq!(world.refreshes(), [used, again], "{case}: twice at most (I2)");
    // The save that came too late was refused, if there was one.
    let saves = usize::from(was_sent || rotates != Rotates::Strictly);
    assert_eq!(first.said("after save changed"), saves, "{case}");
    match (rotates, was_sent) {
        (Rotates::Strictly, true) => {
            // The second process was told that the refresh token is used up. The first one holds what it was replaced by: that is
            // saved over the end of the connection, which is not newer.
            assert_eq!(taken_over, "rotation_lost: reconnect", "{case}");
            assert_eq!((after.version.counter(), first.said("after save saved")), (3, 1), "{case}");
            check_revoked(&world, &late, &case).await;
        }
        (Rotates::Strictly, false) => {
            // The first process sent a refresh token that was used up meanwhile: it finds the newer one, and ends nothing.
            assert_eq!(late, taken_over, "{case}");
            assert_eq!(after.version, between.version, "{case}");
            check_revoked(&world, &late, &case).await;
        }
        (Rotates::WithGrace | Rotates::Never, _) => {
            assert_eq!(late, taken_over, "{case}: what is stored is what is answered");
            assert_eq!(after.version, between.version, "{case}");
            assert_eq!(first.said("after save saved"), 0, "{case}");
            world.check_healthy(&late, &case).await;
        }
    }
    rig.give_back(first);
}

/// The provider ended the whole grant because of the second use (RFC 9700 §4.14.2). The newest tokens are stored; whoever finds
/// that they are not taken gets a typed answer, and the next connect is good.
async fn check_revoked(world: &World, answer: &str, case: &str) {
    let token = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {answer}"));
    assert!(world.is_ours(token), "{case}");
    let here = world.here();
    let stored = here.token(&world.key()).await.unwrap();
    assert_eq!(stored.expose(), token, "{case}");
    assert!(!world.takes(token).await, "{case}");
    let error = here.token_refused(&stored).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsReconnect, "{case}");
    world.check_lost("needs_reconnect: reconnect", "needs_reconnect", case).await;
}
