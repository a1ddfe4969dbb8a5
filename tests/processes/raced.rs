//! X22: a process stands at a point of its refresh while the user disconnects or connects anew in another one, or takes the
//! grant back at the provider.

use std::sync::Arc;

use authflow_testkit::{Endpoint, Fault, Outcome, RetryAfter};

use crate::backend::Kind;
use crate::process::Process;
use crate::relay::Relay;
use crate::rig::{Rig, all};
use crate::setup::{LONG, Rotates};
use crate::world::World;

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Disconnects,
    /// The same, and the provider does not revoke then: it is left to the process that refreshes to give back what it gets.
    DisconnectsHereAlone,
    ConnectsAnew,
    /// At the provider.
    Revokes,
}

/// What the process has before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Has {
    /// Nothing: it looks at the record, or asks for the lease, and finds what was done.
    Nothing,
    /// A lease that was lost with the record, and that it looks at once more: it found a mark.
    Mark,
    /// A lease, and nothing stands between it and the request.
    Lease,
    /// What it got for the refresh token, or will as soon as it reads on.
    Tokens,
    Saved,
    /// The provider's refusal of the client.
    Refusal,
}

/// Each await point, by what the process is about to do or has done.
const POINTS: [(&str, Has); 13] = [
    // P0 and P1.
    ("before load", Has::Nothing),
    ("after load", Has::Nothing),
    // P2, P3 and P4.
    ("before lease", Has::Nothing),
    ("after lease", Has::Lease),
    ("before renew", Has::Mark),
    // P5.
    ("before send", Has::Lease),
    // P6 and P7.
    ("in headers", Has::Tokens),
    ("in body", Has::Tokens),
    // P8.
    ("after send", Has::Tokens),
    // P9.
    ("before save", Has::Tokens),
    // P10.
    ("after save", Has::Saved),
    // P11.
    ("before release", Has::Refusal),
    ("after release", Has::Refusal),
];

pub async fn at_each_point(kind: Kind) {
    use Meanwhile::{ConnectsAnew, Disconnects, DisconnectsHereAlone, Revokes};
    let rig = Rig::shared(kind).await;
    let cases = [Disconnects, DisconnectsHereAlone, ConnectsAnew, Revokes].into_iter();
    let cases = cases.flat_map(|meanwhile| POINTS.map(move |(point, has)| (meanwhile, point, has)));
    all(cases.map(|(meanwhile, point, has)| {
        let rig = Arc::clone(&rig);
        async move {
            let case = Case::at(&rig, meanwhile, point, has).await;
            match meanwhile {
                Disconnects | DisconnectsHereAlone => case.disconnected(meanwhile).await,
                ConnectsAnew => case.connected_anew().await,
                Revokes => case.revoked().await,
            }
        }
    }))
    .await;
}

/// A process that stands at a point, and one that does something else.
struct Case {
    name: String,
    has: Has,
    world: World,
    first: Process,
    relay: Option<Relay>,
    second: Process,
}

impl Case {
    async fn at(rig: &Arc<Rig>, meanwhile: Meanwhile, point: &str, has: Has) -> Self {
        let name = format!("{meanwhile:?} {point}");
        let mut world = World::expired(rig, Rotates::Strictly).await;
        // No lease ends by itself.
        world.setup.lease = LONG;
        let (first, relay) = world.hold_at(point).await;
        let second = world.process().await;
        Self { name, has, world, first, relay, second }
    }

    /// Lets the process go on. Gives what came of its refresh.
    async fn goes_on(&mut self) -> String {
        match self.relay.take() {
            Some(relay) => relay.let_go(),
            None => self.first.go_on().await,
        }
        self.first.result().await
    }

    /// What the provider was told to revoke.
    fn given_back(&self) -> Vec<String> {
        let revocations = self.world.server.ledger().of(Endpoint::Revocation);
        revocations.iter().map(|entry| entry.form_value("token").unwrap().to_owned()).collect()
    }

    /// F16, I4: the tombstone stays, and what the refresh brings is given back.
    async fn disconnected(mut self, meanwhile: Meanwhile) {
        let is_revoked = meanwhile == Meanwhile::Disconnects;
        let old = self.world.token_entries()[0].refresh_token().unwrap().to_owned();
        if !is_revoked {
            self.world.server.fault_next(Endpoint::Revocation, Fault::Unavailable(RetryAfter::Absent));
        }
        let answer = self.second.ask("disconnect").await;
        let expected = if is_revoked { "removed, revoked" } else { "removed, unavailable: retry" };
        assert_eq!(answer, expected, "{}", self.name);
        let late = self.goes_on().await;
        let Self { name: case, has, world, .. } = &self;

        assert!(world.record().await.is_none(), "{case}: the tombstone wins");
        assert_eq!(self.first.said("after save saved"), usize::from(*has == Has::Saved), "{case}");
        let refreshes = world.refreshes();
        match has {
            Has::Nothing | Has::Mark => assert_eq!(refreshes, [], "{case}"),
            // The lease went with the record, which it looked at for the last time before. The provider says what it thinks.
            Has::Lease if is_revoked => {
                assert!(matches!(&refreshes[..], [Outcome::Refused { .. }]), "{case}: {refreshes:?}");
            }
            Has::Lease | Has::Tokens | Has::Saved => assert_eq!(refreshes, [Outcome::RefreshUsed], "{case}"),
            Has::Refusal => assert_eq!(refreshes, [world.refused_client(case)], "{case}"),
        }
        let used = world.token_entries().into_iter().find(|entry| *entry.outcome() == Outcome::RefreshUsed);
        let tokens = used.as_ref().and_then(|entry| entry.refresh_token().zip(entry.access_token()));
        let given_back = self.given_back();
        match (has, tokens) {
            // It was saved, so that it is what was removed, and was to be revoked by who removed it.
            (Has::Saved, Some((refresh_token, access_token))) => {
                assert_eq!(given_back, [refresh_token], "{case}");
                assert_eq!(late, format!("ok {access_token}"), "{case}: what it got itself");
                assert_eq!(world.takes(access_token).await, !is_revoked, "{case}");
            }
            (_, Some((refresh_token, access_token))) => {
                assert_eq!(given_back, [&*old, refresh_token], "{case}: what comes later is given back too");
                assert!(!world.takes(access_token).await, "{case}");
                assert_eq!(late, "not_connected: reconnect", "{case}");
            }
            (_, None) => {
                assert_eq!(given_back, [old], "{case}");
                let expected = if *has == Has::Refusal { "refused: fix" } else { "not_connected: reconnect" };
                assert_eq!(late, expected, "{case}");
            }
        }
        let answer = self.second.ask("token").await;
        assert_eq!(answer, "not_connected: reconnect", "{}: for every process", self.name);
        self.connects_again().await;
    }

    /// F17: the tokens of the new connect stay, and stay whole.
    async fn connected_anew(mut self) {
        let newest = format!("ok {}", self.world.connect_in(&mut self.second).await);
        let before = self.world.record().await.unwrap();
        let late = self.goes_on().await;
        let Self { name: case, has, world, .. } = &self;

        let after = world.record().await.unwrap();
        assert_eq!((after.version, after.version.counter()), (before.version, 1), "{case}: it stays");
        assert_eq!(after.sealed.as_bytes(), before.sealed.as_bytes(), "{case}: whole");
        assert_eq!((after.lease, after.mark), (None, None), "{case}: and nobody else's lease is on it");
        match has {
            Has::Nothing | Has::Mark => assert_eq!((&late, world.refreshes()), (&newest, vec![]), "{case}"),
            // The provider does not mind that there are two grants.
            Has::Lease | Has::Tokens => {
                assert_eq!((&late, world.refreshes()), (&newest, vec![Outcome::RefreshUsed]), "{case}");
            }
            Has::Saved => {
                let own = late.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {late}"));
                assert!(world.is_ours(own) && late != newest, "{case}: what it got itself");
            }
            Has::Refusal => assert_eq!(late, "refused: fix", "{case}"),
        }
        assert_eq!(self.given_back(), Vec::<String>::new(), "{case}: nothing of the new one is");
        world.check_healthy(&newest, case).await;
        self.connects_again().await;
    }

    /// What was taken back is found at the next refresh, and told as such.
    async fn revoked(mut self) {
        assert_eq!(self.world.server.revoke_grants_of(&self.world.setup.user), 1, "{}", self.name);
        let late = self.goes_on().await;
        let Self { name: case, has, world, first, second, .. } = &mut self;

        let refreshes = world.refreshes();
        match has {
            Has::Nothing | Has::Lease | Has::Mark => {
                assert!(matches!(&refreshes[..], [Outcome::Refused { .. }]), "{case}: {refreshes:?}");
                // Whoever left a mark may have used the refresh token up, for all that is known.
                let kind = if *has == Has::Mark { "rotation_lost" } else { "needs_reconnect" };
                world.check_lost(&late, kind, case).await;
            }
            Has::Tokens | Has::Saved => {
                assert_eq!(
                    (refreshes, first.said("after save saved")),
                    (vec![Outcome::RefreshUsed], 1),
                    "{case}"
                );
                world.check_revoked(&late, case).await;
            }
            Has::Refusal => {
                assert_eq!(late, "refused: fix", "{case}");
                let answer = second.ask("token").await;
                world.check_lost(&answer, "needs_reconnect", case).await;
            }
        }
        self.connects_again().await;
    }

    async fn connects_again(self) {
        self.world.check_connects_again(self.second, &self.name).await;
        self.world.rig.give_back(self.first);
    }
}
