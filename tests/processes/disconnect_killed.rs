//! X1: the process that disconnects is killed.

use std::sync::Arc;

use authflow_testkit::Endpoint;

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

/// How far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    Nothing,
    /// The connection is gone, and the provider does not know.
    Removed,
    Revoked,
}

const POINTS: [(&str, Reached); 5] = [
    ("before remove", Reached::Nothing),
    ("after remove", Reached::Removed),
    ("before revoke", Reached::Removed),
    ("in headers", Reached::Revoked),
    ("after revoke", Reached::Revoked),
];

pub async fn at_each_point(kind: Kind) {
    let rig = Rig::shared(kind).await;
    all(POINTS.map(|point| killed_at(Arc::clone(&rig), point))).await;
}

async fn killed_at(rig: Arc<Rig>, (point, reached): (&'static str, Reached)) {
    let case = format!("killed {point}");
    let world = World::new(&rig, Rotates::Strictly).await;
    let token = world.connect().await;
    let revocations = || world.server.ledger().count(Endpoint::Revocation);
    world.kill_at(world.process().await, point, "disconnect", Endpoint::Revocation).await;
    assert_eq!(revocations(), usize::from(reached == Reached::Revoked), "{case}");
    assert_eq!(world.record().await.is_some(), reached == Reached::Nothing, "{case}");

    let mut second = world.process().await;
    let answer = second.ask("disconnect").await;
    let (expected, revoked) = match reached {
        Reached::Nothing => ("removed, revoked", true),
        // The limit: the tokens went with the record, and the provider takes them until they end by themselves.
        Reached::Removed => ("absent, nothing to revoke", false),
        Reached::Revoked => ("absent, nothing to revoke", true),
    };
    assert_eq!(answer, expected, "{case}");
    assert_eq!((revocations(), world.takes(&token).await), (usize::from(revoked), !revoked), "{case}");

    // It is gone, for every process, and comes back with a new connect only.
    assert_eq!(second.ask("token").await, "not_connected: reconnect", "{case}");
    assert_eq!(
        world.here().token(&world.key()).await.unwrap_err().kind().as_str(),
        "not_connected",
        "{case}"
    );
    world.check_connects_again(second, &case).await;
}
