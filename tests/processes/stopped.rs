//! X3: the process that refreshes stands still for longer than its lease, and goes on.

use std::sync::Arc;

use authflow::ErrorKind;
use authflow_testkit::Outcome;
use rustix::process::Signal;

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// When the process that was stopped sends the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    /// Before it was stopped.
    Before,
    /// When it goes on: it had looked at its lease already.
    Late,
    /// It looks at its lease first when it goes on.
    Never,
}

/// The points between the lease and the save.
const POINTS: [(&str, Sends); 4] = [
    ("after lease", Sends::Never),
    ("before send", Sends::Late),
    ("after send", Sends::Before),
    ("before save", Sends::Before),
];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    let cases = Rotates::ALL.iter().flat_map(|rotates| POINTS.iter().map(move |point| (*rotates, *point)));
    all(cases.map(|(rotates, point)| stopped_at(Arc::clone(&rig), rotates, point))).await;
}

async fn stopped_at(rig: Arc<Rig>, rotates: Rotates, (point, sends): (&'static str, Sends)) {
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

    let used = match (sends, rotates) {
        (Sends::Never, _) => vec![Outcome::RefreshUsed],
        (_, Rotates::Strictly) => vec![Outcome::RefreshUsed, Outcome::RefreshReused],
        (_, Rotates::WithGrace) => vec![Outcome::RefreshUsed, Outcome::RefreshGrace],
        (_, Rotates::Never) => vec![Outcome::RefreshUsed, Outcome::RefreshUsed],
    };
    assert_eq!(world.refreshes(), used, "{case}: twice at most (I2)");
    assert!(sends != Sends::Never || first.said("after renew lost") > 0, "{case}: it finds its lease lost");
    // The save that came too late was refused, if there was one.
    let saves = match sends {
        Sends::Never => 0,
        Sends::Late => usize::from(rotates != Rotates::Strictly),
        Sends::Before => 1,
    };
    assert_eq!(first.said("after save changed"), saves, "{case}");
    match (rotates, sends) {
        (Rotates::Strictly, Sends::Before) => {
            // The second process was told that the refresh token is used up. The first one holds what it was replaced by: that is
            // saved over the end of the connection, which is not newer.
            assert_eq!(taken_over, "rotation_lost: reconnect", "{case}");
            assert_eq!((after.version.counter(), first.said("after save saved")), (3, 1), "{case}");
            check_revoked(&world, &late, &case).await;
        }
        (Rotates::Strictly, Sends::Late) => {
            // The first process sent a refresh token that was used up meanwhile: it finds the newer one, and ends nothing.
            assert_eq!(late, taken_over, "{case}");
            assert_eq!(after.version, between.version, "{case}");
            check_revoked(&world, &late, &case).await;
        }
        (_, Sends::Never) | (Rotates::WithGrace | Rotates::Never, _) => {
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
