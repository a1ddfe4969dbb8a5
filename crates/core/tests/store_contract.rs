//! X34: token stores that break their contract are found out, and nobody gets another user's token.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use authflow_core::{
    AuthorizationResponse, Binding, Clock, ConnectionKey, Connections, ErrorKind, EventKind, Key, Lease,
    LeaseHolder, Next, Record, Recovery, TokenStore as _, User, async_trait,
};
use connections_support::{Lie, LyingStore, ManualClock, Rotates, SECOND, World};

/// A world whose store can lie, with two users' connections: AT-1 is user-42's, AT-2 user-43's.
async fn world() -> (World, Arc<LyingStore>, Connections, ConnectionKey, ConnectionKey) {
    let world = World::new(Rotates::Strictly);
    let store = LyingStore::new(&world.store);
    let connections = process(&world, &store);
    let key = world.connect(&connections).await;
    let other = world.connect_as(&connections, "user-43").await;
    (world, store, connections, key, other)
}

fn process(world: &World, store: &Arc<LyingStore>) -> Connections {
    world.builder().token_store(Arc::clone(store)).build().unwrap()
}

async fn kind(connections: &Connections, key: &ConnectionKey) -> ErrorKind {
    let error = connections.token(key).await.unwrap_err();
    assert_eq!(error.provider(), Some("p"), "{error}");
    error.kind()
}

#[tokio::test]
async fn x34_another_connections_record_is_refused() {
    let (world, store, _, key, other) = world().await;
    store.tell(Lie::AnotherRecord(other));
    let fresh = process(&world, &store);
    let error = fresh.token(&key).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::StoreContractViolated, Recovery::GiveUp));
    assert_eq!(fresh.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::StoreContractViolated);
    assert_eq!(world.server.refreshes(), 0);
}

/// The record says that it is this user's; what is sealed in it says whose it is.
#[tokio::test]
async fn x34_another_connections_bytes_do_not_open() {
    for is_sealed in [true, false] {
        let world = World::new(Rotates::Strictly);
        let store = LyingStore::new(&world.store);
        let process = || {
            let builder = world.builder().token_store(Arc::clone(&store));
            if is_sealed { builder } else { builder.unsealed() }.build().unwrap()
        };
        let connections = process();
        let key = world.connect(&connections).await;
        let other = world.connect_as(&connections, "user-43").await;
        store.tell(Lie::AnotherRecordUnderThisKey(other));
        let error = process().token(&key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "sealed: {is_sealed}");
        store.be_honest();
        assert_eq!(process().token(&key).await.unwrap().expose(), "AT-1");
    }
}

/// An older copy, as a replica or a restored backup gives it: it is told once, and then the store is believed again.
#[tokio::test]
async fn x34_f18_an_older_record_than_before_is_refused_once() {
    let (world, store, connections, key, _) = world().await;
    let old = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    connections.refresh_now(&key).await.unwrap();
    assert_eq!(connections.token(&key).await.unwrap().version().counter(), 2);
    store.tell(Lie::OlderRecord(Box::new(old)));
    world.clock.advance(31 * SECOND);
    assert_eq!(kind(&connections, &key).await, ErrorKind::StoreContractViolated);
    world.clock.advance(2 * SECOND);
    let token = connections.token(&key).await.unwrap();
    assert_eq!((token.expose(), token.version().counter()), ("AT-1", 1));
}

/// Two processes, and a store that compares nothing and says that it did: who wrote sees that the write is gone.
#[tokio::test]
async fn x34_a_write_that_is_gone_is_missed() {
    let (world, store, one, key, _) = world().await;
    let other = process(&world, &store);
    other.token(&key).await.unwrap();
    one.refresh_now(&key).await.unwrap();
    let saved = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    store.tell(Lie::SavesOverAnythingQuietly);
    assert_eq!(other.refresh_now(&key).await.unwrap().version(), saved.version.next());
    store.be_honest();
    store.tell(Lie::OlderRecord(Box::new(saved)));
    world.clock.advance(31 * SECOND);
    assert_eq!(kind(&other, &key).await, ErrorKind::StoreContractViolated);
}

#[tokio::test]
async fn x34_the_same_version_with_other_bytes_is_refused() {
    let (world, store, one, key, _) = world().await;
    let before = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    one.refresh_now(&key).await.unwrap();
    let after = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    let mut forged = before;
    forged.version = after.version;
    store.tell(Lie::OlderRecord(Box::new(forged)));
    world.clock.advance(31 * SECOND);
    assert_eq!(kind(&one, &key).await, ErrorKind::StoreContractViolated);
    assert_eq!(world.server.refreshes(), 1);
}

/// Before a refresh token is sent, the lease has to be of the record that was read, and the mark has to be written.
#[tokio::test]
async fn x34_a_lease_that_cannot_be_is_refused_and_nothing_is_sent() {
    for lie in [Lie::ChangedToTheSame, Lie::ForgetsMarks, Lie::HeldByTheCaller] {
        let (world, store, connections, key, _) = world().await;
        world.expire();
        store.tell(lie.clone());
        assert_eq!(kind(&connections, &key).await, ErrorKind::StoreContractViolated, "{lie:?}");
        assert_eq!(world.server.refreshes(), 0, "{lie:?}");
        store.be_honest();
        world.clock.advance(20 * SECOND);
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-3", "{lie:?}");
    }
}

#[tokio::test]
async fn x34_a_save_that_cannot_be_is_told() {
    for lie in [Lie::RefusesItsOwnVersion, Lie::ChangesAlways] {
        let (world, store, connections, key, _) = world().await;
        let mut events = connections.subscribe();
        world.expire();
        store.tell(lie.clone());
        assert_eq!(kind(&connections, &key).await, ErrorKind::StoreContractViolated, "{lie:?}");
        assert_eq!(world.server.refreshes(), 1, "{lie:?}");
        if matches!(lie, Lie::RefusesItsOwnVersion) {
            let Some(Next::Event(event)) = events.next().await else { panic!("{lie:?}") };
            assert_eq!(event.kind, EventKind::RefreshFailed(ErrorKind::StoreContractViolated));
        }
    }
}

/// What could not be saved is served meanwhile, and not any more once it is known that it never will be.
#[tokio::test]
async fn x34_what_will_not_be_saved_is_served_no_longer() {
    let (world, store, connections, key, _) = world().await;
    world.store.failing_saves.store(1, Ordering::SeqCst);
    let token = connections.refresh_now(&key).await.unwrap();
    assert_eq!((token.expose(), token.is_saved()), ("AT-3", false));
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-3");
    store.tell(Lie::ChangesAlways);
    world.clock.advance(SECOND);
    world.clock.settle().await;
    assert_eq!(store.changes(), 16);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1", "it is what the store holds");
}

/// A connection that others change each time it is to be leased: nobody runs after it for ever.
#[tokio::test]
async fn x34_a_lease_of_what_changes_each_time_is_given_up() {
    let (world, store, connections, key, _) = world().await;
    world.expire();
    store.tell(Lie::LeaseChangesAlways);
    assert_eq!(kind(&connections, &key).await, ErrorKind::RefreshPending);
    assert_eq!((store.changes(), world.server.refreshes()), (16, 0));
    store.be_honest();
    let token = process(&world, &store).token(&key).await.unwrap();
    assert_eq!(token.expose(), "AT-3", "nothing was used up");
}

/// A clock by which half a lease goes by between any two looks at it.
#[derive(Debug)]
struct Hasty(ManualClock);

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.advance(5 * SECOND);
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
    }
}

/// A process so slow that each of its leases is another's before it sends anything: it gives up, and has used nothing up.
#[tokio::test]
async fn x3_who_loses_each_lease_before_it_sends_gives_up() {
    let (world, store, elsewhere, key, _) = world().await;
    let clock = ManualClock::new();
    let slow = world.builder().token_store(Arc::clone(&store)).clock(Arc::new(Hasty(clock.clone())));
    let slow = slow.store_timeout(3600 * SECOND).build().unwrap();
    world.expire();
    clock.advance(3600 * SECOND);
    store.tell(Lie::LosesLeases);
    assert_eq!(kind(&slow, &key).await, ErrorKind::RefreshPending);
    assert_eq!((world.store.count("lease"), world.server.refreshes()), (3, 0));
    store.be_honest();
    assert_eq!(elsewhere.token(&key).await.unwrap().expose(), "AT-3");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (1, 1));
}

/// A process that stopped, went on, and saved over what another one wrote meanwhile: the version that it gets tells.
#[tokio::test]
async fn x34_a_store_that_ignores_versions_is_found_out_by_the_one_it_gives() {
    let (world, store, one, key, _) = world().await;
    let other = process(&world, &store);
    world.expire();
    store.tell(Lie::SavesOverAnything);
    let first = world.stop_at_its_save(&one, &key).await;
    assert_eq!(kind(&other, &key).await, ErrorKind::RotationLost, "version 2 says so");
    world.store.saves_open.send_replace(true);
    let error = first.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreContractViolated, "it made version 3 of version 1");
}

#[tokio::test]
async fn x34_a_new_connect_has_the_first_version() {
    let (world, store, connections, _, _) = world().await;
    store.tell(Lie::AnotherFirstVersion);
    let binding = Binding::user("tenant", "user-44");
    let query = world.callback(&connections, &binding).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let error = connections.complete("p", &response, &binding).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDurable);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("another version"), "{source}");
    assert_eq!(world.server.revoked().len(), 1, "what nobody holds is given back");
}

#[tokio::test]
async fn x34_a_list_shows_no_other_users_connection() {
    let (_, store, connections, key, _) = world().await;
    store.tell(Lie::ListsAlso(User::new("tenant", "user-43")));
    let error = connections.list(key.user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreContractViolated);
}

#[tokio::test]
async fn x34_i6_pages_that_never_end_are_given_up() {
    let (_, store, connections, key, _) = world().await;
    store.tell(Lie::EndlessPages);
    assert_eq!(connections.list(key.user()).await.unwrap_err().kind(), ErrorKind::StoreContractViolated);
    assert_eq!(connections.sweep().await.unwrap_err().kind(), ErrorKind::StoreContractViolated);
}

#[tokio::test]
async fn x34_a_disconnect_that_removed_something_else_says_so() {
    for lie in 0..2 {
        let (world, store, connections, key, other) = world().await;
        store.tell(if lie == 0 { Lie::RemovesAnother(other) } else { Lie::AnyTombstone });
        let disconnected = connections.disconnect(&key).await.unwrap();
        assert_eq!(disconnected.removal.unwrap_err().kind(), ErrorKind::StoreContractViolated);
        assert_eq!(world.server.revoked(), ["RT-1"], "the tokens of this user, and no other's");
    }
}

#[tokio::test]
async fn x34_what_comes_with_a_lease_is_looked_at() {
    let changes: [fn(&mut Record); 4] = [
        |record| record.key = record.key.with_account("another"),
        |record| record.version = record.version.next(),
        |record| record.sealed = vec![1].into(),
        |record| record.lease = Some(Lease::new(LeaseHolder::from_bytes([1; 16]), SECOND)),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let (world, store, connections, key, _) = world().await;
        world.expire();
        store.tell(Lie::LeasesAs(change));
        assert_eq!(kind(&connections, &key).await, ErrorKind::StoreContractViolated, "{at}");
        assert_eq!(world.server.refreshes(), 0, "{at}");
    }
}

#[tokio::test]
async fn x34_a_reseal_looks_at_what_comes_with_its_lease() {
    let (mut world, store, _, _, _) = world().await;
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    store.tell(Lie::LeasesAs(|record| record.key = record.key.with_account("another")));
    let swept = process(&world, &store).reseal().await.unwrap();
    assert_eq!((swept.failed, world.store.count("save")), (2, 0));
}

/// F14: what cannot be read is replaced by a new connect, and the error says so.
#[tokio::test]
async fn f14_a_record_that_cannot_be_read_keeps_nobody_from_connecting() {
    let (world, store, connections, key, _) = world().await;
    store.tell(Lie::Corrupt);
    let error = process(&world, &store).token(&key).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::StoreCorrupt, Recovery::Reconnect));
    assert!(error.to_string().contains("connect again"), "{error}");
    assert_eq!(world.connect(&connections).await, key);
    store.be_honest();
    assert_eq!(process(&world, &store).token(&key).await.unwrap().expose(), "AT-3");
}
