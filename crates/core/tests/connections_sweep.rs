//! Sweeps: connections of idle users, and keys that are to go.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use authflow_core::{
    Connections, ErrorKind, Health, Key, LeaseHolder, LeaseRequest, RefreshMark, Release, Shard,
    TokenStore as _,
};
use connections_support::{Fault, Lie, LyingStore, REDIRECT_URI, Rotates, SECOND, World, user};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn idle_connections_are_refreshed_when_they_are_due_and_only_then() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut keys = Vec::new();
    for user in 0..50 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    world.clock.advance(6 * DAY);
    assert_eq!(connections.sweep().await.unwrap().seen, 0);
    world.clock.advance(2 * DAY);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.failed), (50, 50, 0));
    assert_eq!(world.server.refreshes(), 50);
    assert_eq!(connections.sweep().await.unwrap().seen, 0);
    world.clock.advance(8 * DAY);
    let halves = [0..32, 32..64].map(|range| range.map(|number| Shard::new(number).unwrap()));
    let [one, other] = halves.map(|shards| {
        let process = world.process();
        tokio::spawn(async move { process.sweep().shards(shards).await.unwrap().done })
    });
    assert_eq!(one.await.unwrap() + other.await.unwrap(), 50);
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (100, 1));
}

#[tokio::test]
async fn f2_two_sweeps_of_the_same_shards_use_no_refresh_token_twice() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    for user in 0..50 {
        world.connect_as(&connections, &user.to_string()).await;
    }
    world.clock.advance(8 * DAY);
    let sweeps = [world.process(), world.process()]
        .map(|process| tokio::spawn(async move { process.sweep().await.unwrap() }));
    for sweep in sweeps {
        assert_eq!(sweep.await.unwrap().failed, 0);
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (50, 1));
}

/// F19: no more refreshes run at once than were allowed.
#[tokio::test]
async fn f19_a_provider_is_not_stormed() {
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().max_refreshes(3).build().unwrap();
    let mut keys = Vec::new();
    for user in 0..40 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    world.clock.advance(3590 * SECOND);
    world.server.hold();
    for key in &keys {
        assert!(connections.token(key).await.is_ok(), "a good token is served at once");
    }
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 3);
    world.server.let_go();
    world.until(|| world.server.refreshes() == 40).await;
}

#[tokio::test]
async fn f15_after_a_reseal_the_old_key_can_go() {
    let mut world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut keys = Vec::new();
    for user in 0..20 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    let old = world.ring.writing_id().to_owned();
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    let rotated = world.process();
    let swept = rotated.reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done), (20, 20));
    let saves = world.store.count("save");
    assert_eq!(saves, 20);
    rotated.reseal().await.unwrap();
    assert_eq!(world.store.count("save"), saves, "what has the new key is left alone");
    world.ring = world.ring.without(&old).unwrap();
    let process = world.process();
    for key in &keys {
        process.token(key).await.unwrap();
    }
    assert_eq!(world.server.refreshes(), 0);
    world.clock.advance(8 * DAY);
    assert_eq!(process.sweep().await.unwrap().done, 20, "when they are due has stayed");
}

/// The index of what is due may lag behind.
#[tokio::test]
async fn a_sweep_that_finds_nothing_due_makes_no_token_live_longer() {
    let world = World::new(Rotates::Strictly);
    world.server.expires_in(Some(20));
    let connections = world.process();
    let key = world.connect(&connections).await;
    let holder = LeaseHolder::random().unwrap();
    world.store.inner.lease(&key, LeaseRequest::new(holder, SECOND)).await.unwrap();
    let early = Release::new().due_at(SystemTime::UNIX_EPOCH);
    world.store.inner.release(&key, &holder, early).await.unwrap();
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, world.server.refreshes()), (1, 1, 0));
    world.clock.advance(25 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn a_sweep_goes_through_page_after_page() {
    const COUNT: usize = 200;
    let mut world = World::new(Rotates::Strictly);
    world.store.has_short_pages.store(true, Ordering::SeqCst);
    let connections = world.process();
    for user in 0..COUNT {
        world.connect_as(&connections, &user.to_string()).await;
    }
    world.clock.advance(8 * DAY);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, world.server.refreshes()), (COUNT, COUNT, COUNT));
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    let swept = world.process().reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left), (COUNT, COUNT, 0));
}

/// What was disconnected since the index was read needs nothing, and nothing has failed.
#[tokio::test]
async fn a_sweep_has_nothing_to_do_for_what_is_gone() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(8 * DAY);
    world.store.hold("load");
    let sweep = tokio::spawn({
        let process = world.process();
        async move { process.sweep().await.unwrap() }
    });
    world.until(|| world.store.is_holding()).await;
    connections.disconnect(&key).await.unwrap();
    world.store.let_go();
    let swept = sweep.await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.failed, swept.need_reconnect), (1, 1, 0, 0));
    assert_eq!(world.server.refreshes(), 0);
}

/// A token that is good in memory is no reason to say that its connection was refreshed.
#[tokio::test]
async fn a_sweep_waits_for_what_it_began() {
    let world = World::new(Rotates::Strictly);
    world.server.expires_in(Some(60 * DAY.as_secs()));
    let connections = world.process();
    let key = world.connect(&connections).await;
    world.clock.advance(8 * DAY);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.server.fault(Fault::Answer(503, &[], "{}"));
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.failed, world.server.refreshes()), (1, 0, 1, 1));
}

#[tokio::test]
async fn a_sweep_tells_who_needs_to_connect_again() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.clock.advance(8 * DAY);
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.need_reconnect), (1, 1));
    assert_eq!(connections.sweep().await.unwrap().seen, 0, "it is not due any more");
    connections.token(&key).await.unwrap_err();
    assert_eq!(world.server.refreshes(), 1);
}

/// What failed is not due again at once.
#[tokio::test]
async fn f20_a_sweep_does_not_try_again_at_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(8 * DAY);
    world.server.fault(Fault::Answer(503, &[], "{}"));
    let swept = connections.sweep().await.unwrap();
    assert_eq!((swept.seen, swept.failed), (1, 1));
    assert_eq!(world.process().sweep().await.unwrap().seen, 0);
    world.clock.advance(2 * SECOND);
    assert_eq!(world.process().sweep().await.unwrap().done, 1);
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn a_sweep_waits_for_no_other_and_works_on_as_many_as_it_was_told() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    for user in 0..9 {
        world.connect_as(&connections, &user.to_string()).await;
    }
    world.clock.advance(8 * DAY);
    world.server.hold();
    let first = tokio::spawn(async move { connections.sweep().at_once(3).await.unwrap() });
    world.until(|| world.server.refreshes() == 3).await;
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 3);
    let other = world.process();
    let second = tokio::spawn(async move { other.sweep().await.unwrap() });
    world.until(|| world.server.refreshes() == 9).await;
    world.server.let_go();
    // No time passes in here: whoever waited for another's lease would wait for ever.
    assert_eq!((first.await.unwrap().failed, second.await.unwrap().done), (0, 9));
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (9, 1));
}

/// The save takes the mark out of the record: what it says goes into the contents.
#[tokio::test]
async fn r6_f15_a_reseal_keeps_that_a_refresh_is_in_doubt() {
    let (mut world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::LoseAnswer);
    connections.token(&key).await.unwrap_err();
    let swept = rotate(&mut world).reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left), (1, 1, 0));
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.mark, record.lease), (None, None));
    let process = without_the_old_key(&mut world);
    let listed = process.list(&user()).await.unwrap();
    assert_eq!((listed.connections[0].health, listed.unreadable), (Health::InDoubt, 0));
    let error = process.token(&key).await.unwrap_err();
    assert_eq!((error.kind(), world.server.refreshes()), (ErrorKind::RotationLost, 2));
}

/// The pause that all processes keep to, and an earlier doubt, stay with the later one.
#[tokio::test]
async fn r6_x17_a_reseal_in_doubt_keeps_what_the_record_said_before() {
    let (mut world, connections, key) = World::connected(Rotates::WithGrace).await;
    world.expire();
    world.server.fault(Fault::Answer(429, &[("retry-after", "20")], "{}"));
    connections.token(&key).await.unwrap_err();
    let before = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    let holder = LeaseHolder::random().unwrap();
    let mark = RefreshMark::new(holder, [3; 32], SystemTime::UNIX_EPOCH);
    world.store.inner.lease(&key, LeaseRequest::new(holder, SECOND).mark(mark)).await.unwrap();
    world.store.inner.release(&key, &holder, Release::new().keep_mark()).await.unwrap();
    let process = rotate(&mut world);
    assert_eq!(process.reseal().await.unwrap().done, 1);
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.due_at, record.version), (before.due_at, before.version.next()));
    assert_eq!(process.list(&user()).await.unwrap().connections[0].health, Health::InDoubt);
    assert_eq!(process.token(&key).await.unwrap_err().kind(), ErrorKind::RateLimited);
    world.clock.advance(20 * SECOND);
    assert_eq!(process.token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn f15_a_reseal_counts_what_somebody_else_holds_as_left() {
    let (mut world, _, key) = World::connected(Rotates::Strictly).await;
    let holder = LeaseHolder::random().unwrap();
    world.store.inner.lease(&key, LeaseRequest::new(holder, SECOND)).await.unwrap();
    let process = rotate(&mut world);
    let swept = process.reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left, swept.failed), (1, 0, 1, 0));
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!(record.lease.unwrap().holder, holder);
    world.clock.advance(SECOND);
    let swept = process.reseal().await.unwrap();
    assert_eq!((swept.done, swept.left), (1, 0));
    without_the_old_key(&mut world).token(&key).await.unwrap();
}

/// Somebody refreshes between the look at the record and the lease: with the new key, or with a ring from before.
#[tokio::test]
async fn f15_a_reseal_looks_again_at_what_changed() {
    for is_new in [true, false] {
        let (mut world, old, key) = World::connected(Rotates::Strictly).await;
        let process = rotate(&mut world);
        let refreshes = if is_new { world.process() } else { old };
        world.store.hold("lease");
        let swept = tokio::spawn(async move { process.reseal().await.unwrap() });
        world.until(|| world.store.is_holding()).await;
        assert_eq!(refreshes.refresh_now(&key).await.unwrap().expose(), "AT-2");
        world.store.let_go();
        let swept = swept.await.unwrap();
        assert_eq!((swept.seen, swept.done, swept.left), (1, 1, 0), "{is_new}");
        assert_eq!(world.store.count("save"), if is_new { 1 } else { 2 });
        assert_eq!(without_the_old_key(&mut world).token(&key).await.unwrap().expose(), "AT-2");
    }
}

#[tokio::test]
async fn f15_a_reseal_leaves_what_changes_all_the_while() {
    let (mut world, _, _) = World::connected(Rotates::Strictly).await;
    rotate(&mut world);
    let store = LyingStore::new(&world.store);
    store.tell(Lie::ChangesAlways);
    let process = world.builder().token_store(store).build().unwrap();
    let swept = process.reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left), (1, 0, 1));
}

/// A store that saves over what it was not asked to: what is lost by it is not called done.
#[tokio::test]
async fn x34_a_reseal_over_another_version_has_failed() {
    let (mut world, _, key) = World::connected(Rotates::Strictly).await;
    let other = rotate(&mut world);
    let store = LyingStore::new(&world.store);
    store.tell(Lie::SavesOverAnything);
    let process = world.builder().token_store(store).build().unwrap();
    world.store.held_saves.store(1, Ordering::SeqCst);
    world.store.saves_open.send_replace(false);
    let reseal = tokio::spawn(async move { process.reseal().await.unwrap() });
    world.until(|| world.store.held_saves.load(Ordering::SeqCst) == 0).await;
    world.store.end_lease(&key).await;
    assert_eq!(other.refresh_now(&key).await.unwrap().expose(), "AT-2");
    world.store.saves_open.send_replace(true);
    let swept = reseal.await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left, swept.failed), (1, 0, 0, 1));
}

#[tokio::test]
async fn f15_a_reseal_needs_no_provider() {
    let (mut world, _, key) = World::connected(Rotates::Strictly).await;
    rotate(&mut world);
    let other = world.builder_of(world.flow("q", REDIRECT_URI)).build().unwrap();
    let swept = other.reseal().await.unwrap();
    assert_eq!((swept.seen, swept.done, swept.left), (1, 1, 0));
    without_the_old_key(&mut world).token(&key).await.unwrap();
}

/// A process that writes with a new key and reads the old one too.
fn rotate(world: &mut World) -> Connections {
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    world.process()
}

/// One that has the key alone that writes.
fn without_the_old_key(world: &mut World) -> Connections {
    let old = world.ring.ids().find(|id| *id != world.ring.writing_id()).unwrap().to_owned();
    world.ring = world.ring.without(&old).unwrap();
    world.process()
}

#[tokio::test]
async fn a_reseal_that_fails_gives_its_lease_back() {
    let (mut world, _, key) = World::connected(Rotates::Strictly).await;
    world.ring = world.ring.rotate("new", Key::generate().unwrap()).unwrap();
    world.store.failing_saves.store(1, Ordering::SeqCst);
    assert_eq!(world.process().reseal().await.unwrap().failed, 1);
    assert!(world.store.inner.load(&key).await.unwrap().into_record().unwrap().lease.is_none());
    assert_eq!(world.process().reseal().await.unwrap().done, 1);
}

#[tokio::test]
async fn a_sweep_leaves_providers_alone_that_it_does_not_know() {
    let (world, _, _) = World::connected(Rotates::Strictly).await;
    world.clock.advance(8 * DAY);
    let other = world.builder_of(world.flow("q", REDIRECT_URI)).build().unwrap();
    assert_eq!(other.sweep().await.unwrap().seen, 0);
}
