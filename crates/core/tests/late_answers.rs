//! A store that does what it is asked for and answers late, or never, and what comes in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    Clock as _, ErrorKind, EventKind, Key, KeyRing, KeySource, Keys, Next, Removal, Result, Revocation,
    async_trait,
};
use connections_support::{Rotates, SECOND, World, ask, user};

/// The lease is of ten seconds, and the store may take five for an answer.
#[tokio::test]
async fn x7_i2_two_renewals_that_are_not_answered_do_not_lose_the_lease() {
    for (failing, silent) in [(2, 0), (0, 2), (1, 1)] {
        let (world, one, key) = World::connected(Rotates::Strictly).await;
        let other = world.process();
        world.expire();
        world.server.hold();
        let first = ask(&one, &key);
        world.until(|| world.server.refreshes() == 1).await;
        world.store.failing_renewals.store(failing, Ordering::SeqCst);
        world.store.silent_renewals.store(silent, Ordering::SeqCst);
        let second = ask(&other, &key);
        for _ in 0..250 {
            world.clock.advance(SECOND / 10);
            world.clock.settle().await;
        }
        assert_eq!(world.server.refreshes(), 1, "{failing} failed, {silent} without an answer");
        assert!(world.store.count("renew") <= 12, "{}", world.store.count("renew"));
        world.server.let_go();
        assert_eq!(first.await.unwrap().unwrap(), "AT-2");
        assert_eq!(world.clock.drive(async { second.await.unwrap().unwrap() }).await, "AT-2");
        assert_eq!(world.server.most_uses(), 1);
    }
}

/// Nobody who asks in this process has read the connection before: what is removed is known all the same.
#[tokio::test]
async fn x8_what_was_removed_is_revoked_although_the_stores_answer_was_lost() {
    for is_refreshed in [false, true] {
        let (world, connections, key) = World::connected(Rotates::Strictly).await;
        let (connections, revoked) = if is_refreshed {
            // What is in memory is what was there before another process refreshed it.
            world.process().refresh_now(&key).await.unwrap();
            (connections, "RT-2")
        } else {
            (world.process(), "RT-1")
        };
        world.store.lost_writes.store(1, Ordering::SeqCst);
        let disconnected = connections.disconnect(&key).await.unwrap();
        assert_eq!(disconnected.removal.unwrap(), Removal::Removed, "{revoked}");
        assert_eq!(disconnected.revocation.unwrap().unwrap(), Revocation::Revoked, "{revoked}");
        assert_eq!(world.server.revoked(), [revoked]);
        let again = connections.disconnect(&key).await.unwrap();
        assert_eq!((again.removal.unwrap(), again.revocation.is_none()), (Removal::WasAbsent, true));
    }
}

/// What stood there when it was removed is not known: that its tokens may still be in force is said.
#[tokio::test]
async fn x8_tokens_that_may_be_in_force_are_told() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.process();
    world.store.failing_loads.store(1, Ordering::SeqCst);
    world.store.lost_writes.store(1, Ordering::SeqCst);
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    assert_eq!(disconnected.revocation.unwrap().unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert!(world.server.takes("AT-1"));
}

/// The same where the removal is made up for later.
#[tokio::test]
async fn x8_a_removal_that_is_made_up_for_is_told_and_revokes_although_its_answer_was_lost() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.process();
    world.store.down(true);
    connections.disconnect(&key).await.unwrap().removal.unwrap_err();
    world.store.down(false);
    world.store.lost_writes.store(1, Ordering::SeqCst);
    let mut events = connections.subscribe();
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.server.revoked(), ["RT-1"]);
    let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
    assert_eq!(event.kind, EventKind::Disconnected);
}

/// What waits for a place, or for its turn, has begun nothing yet.
#[tokio::test]
async fn x35_a_drain_begins_no_refresh_that_waits() {
    for per_second in [None, Some(2), Some(5)] {
        let (world, connections, key) = World::connected(Rotates::Strictly).await;
        let mut keys = vec![key];
        for other in 1..5 {
            keys.push(world.connect_as(&connections, &format!("user-{other}")).await);
        }
        let builder = world.builder();
        let builder = match per_second {
            Some(per_second) => builder.max_refreshes_per_second(per_second),
            None => builder.max_refreshes(1),
        };
        let connections = builder.build().unwrap();
        world.expire();
        world.server.hold();
        let asked: Vec<_> = keys.iter().map(|key| ask(&connections, key)).collect();
        world.until(|| world.server.refreshes() == 1).await;
        world.clock.settle().await;
        let drained = tokio::spawn({
            let connections = connections.clone();
            async move { connections.drain(60 * SECOND).await }
        });
        world.clock.settle().await;
        world.server.let_go();
        let (leases, begun) = (world.store.count("lease"), world.clock.monotonic());
        let drained = world.clock.drive(async { drained.await.unwrap() }).await;
        assert_eq!((drained.unfinished, world.server.refreshes()), (0, 1), "{per_second:?}");
        assert_eq!(world.store.count("lease"), leases, "{per_second:?}");
        let one_turn = per_second.map_or(Duration::ZERO, |per_second| SECOND / per_second);
        assert!(world.clock.monotonic() - begun <= one_turn, "{per_second:?}");
        let mut served = 0;
        for asked in asked {
            match asked.await.unwrap() {
                Ok(_) => served += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{per_second:?}"),
            }
        }
        assert_eq!(served, 1);
        // Nothing was sent for them: no mark and no lease is in the way of the next process.
        let next = world.process();
        for key in &keys {
            let record = world.store.inner_record(key).await.unwrap();
            assert_eq!((record.mark, record.lease), (None, None), "{per_second:?}");
            next.token(key).await.unwrap();
        }
        assert_eq!(world.server.most_uses(), 1);
    }
}

/// The user clicks *Disconnect* while the answer to the put of the login is on its way.
#[tokio::test]
async fn x22_a_login_whose_put_is_answered_late_does_not_undo_a_disconnect() {
    for is_down in [false, true] {
        for was_connected in [false, true] {
            let world = World::new(Rotates::Strictly);
            let connections = world.process();
            let mut key = None;
            if was_connected {
                key = Some(world.connect(&connections).await);
            }
            let mut events = connections.subscribe();
            world.store.hold_answer("put");
            let login = world.complete(&connections).await;
            world.until(|| world.store.is_holding_answer()).await;
            let key = match key {
                Some(key) => key,
                None => connections.list(&user()).await.unwrap().connections[0].key.clone(),
            };
            world.clock.advance(SECOND);
            world.store.down(is_down);
            let disconnected = connections.disconnect(&key).await.unwrap();
            assert_eq!(disconnected.removal.is_err(), is_down);
            world.store.let_go();
            world.clock.settle().await;
            world.store.down(false);
            login.await.unwrap().unwrap();
            for _ in 0..3 {
                let error = connections.token(&key).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotConnected, "{is_down} {was_connected}");
                world.clock.advance(60 * SECOND);
            }
            assert!(world.store.inner_record(&key).await.is_none());
            assert!(!world.server.takes(if was_connected { "AT-2" } else { "AT-1" }));
            let mut last = None;
            drop(connections);
            while let Some(Next::Event(event)) = events.next().await {
                last = Some(event.kind);
            }
            assert_eq!(last, Some(EventKind::Disconnected), "{is_down} {was_connected}");
        }
    }
}

/// Both puts are done before either answer comes: the store has the second login, and so has memory.
#[tokio::test]
async fn f17_of_two_logins_memory_holds_what_the_store_holds() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut logins = Vec::new();
    for _ in 0..2 {
        world.store.hold_answer("put");
        logins.push(world.complete(&connections).await);
        world.until(|| world.store.is_holding_answer()).await;
    }
    world.store.let_go();
    for login in logins {
        let key = login.await.unwrap().unwrap().key;
        let stored = world.process().token(&key).await.unwrap();
        assert_eq!(stored.expose(), "AT-2");
    }
    let key = connections.list(&user()).await.unwrap().connections[0].key.clone();
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

/// Who asks after a disconnect, or after the next login, is not answered by a flight that began before it.
#[tokio::test]
async fn x22_who_asks_after_a_disconnect_is_not_answered_by_a_flight_of_before() {
    for logs_in in [false, true] {
        let (world, connections, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        world.store.hold_answer("save");
        let before = ask(&connections, &key);
        world.until(|| world.store.is_holding_answer()).await;
        connections.disconnect(&key).await.unwrap().removal.unwrap();
        if logs_in {
            assert_eq!(world.connect(&connections).await, key);
        }
        let after = tokio::spawn({
            let (connections, key) = (connections.clone(), key.clone());
            async move {
                let asked =
                    if logs_in { connections.refresh_now(&key).await } else { connections.token(&key).await };
                asked.map(|token| token.expose().to_owned())
            }
        });
        world.clock.settle().await;
        world.store.let_go();
        let after = after.await.unwrap();
        if logs_in {
            assert_eq!(after.unwrap(), "AT-4");
        } else {
            assert_eq!(after.unwrap_err().kind(), ErrorKind::NotConnected);
        }
        drop(before.await);
    }
}

/// Keys that another machine may have before this one.
#[derive(Clone, Debug)]
struct Arriving(Arc<Mutex<KeyRing>>);

#[async_trait]
impl KeySource for Arriving {
    async fn key_ring(&self) -> Result<KeyRing> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// Another process has sealed the record anew, with a key that this one does not have yet: it is the same refresh token in
/// another form, and the next one is not let go, whatever the other makes of the one that is used up.
#[tokio::test]
async fn i1_f15_the_next_refresh_token_is_kept_while_the_record_cannot_be_opened() {
    for meanwhile in ["nothing", "ended", "login"] {
        let (mut world, _, key) = World::connected(Rotates::Strictly).await;
        let arriving = Arriving(Arc::new(Mutex::new(world.ring.clone())));
        let keys = Keys::builder(arriving.clone()).clock(Arc::new(world.clock.clone())).build();
        let one = world.builder().keys(keys).build().unwrap();
        world.expire();
        let first = world.stop_at_its_save(&one, &key).await;
        world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
        let other = world.process();
        assert_eq!(other.reseal().await.unwrap().done, 1);
        if meanwhile == "login" {
            world.connect(&other).await;
            world.store.saves_open.send_replace(true);
            let error = first.await.unwrap().unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::KeyUnknown,
                "what is there is of another login, whatever is in it"
            );
            continue;
        }
        world.store.saves_open.send_replace(true);
        let first = first.await.unwrap().unwrap();
        assert_eq!((first.expose(), first.is_saved()), ("AT-2", false), "it is served meanwhile");
        if meanwhile == "ended" {
            assert_eq!(other.token(&key).await.unwrap_err().kind(), ErrorKind::RotationLost);
        }
        *arriving.0.lock().unwrap() = world.ring.clone();
        for _ in 0..60 {
            world.clock.advance(10 * SECOND);
            world.clock.settle().await;
        }
        let token = world.process().token(&key).await.unwrap();
        assert_eq!((token.expose(), token.is_saved()), ("AT-2", true), "{meanwhile}");
        assert_eq!(one.token(&key).await.unwrap().expose(), "AT-2");
    }
}

/// The refresh token has lapsed, and with it the connection: that is what the list says of it, too.
#[tokio::test]
async fn a_sweep_tells_whose_refresh_token_has_lapsed() {
    let world = World::new(Rotates::Strictly);
    world.server.refresh_token_expires_in(3600);
    let connections = world.process();
    world.connect(&connections).await;
    world.clock.advance(7200 * SECOND);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.need_reconnect), (1, 0, 1));
    assert_eq!(world.server.refreshes(), 0);
}
