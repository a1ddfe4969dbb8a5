//! F20, X13: a provider that asks to be left alone is left alone by every process, and a new one keeps to it too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::{Clock as _, ConnectionKey, ErrorKind, Health, HttpRequest, Recovery, TokenStore as _};
use connections_support::{Fault, Rotates, SECOND, World, ask, user};

const HOUR: Duration = Duration::from_secs(3600);
const IN_AN_HOUR: &[(&str, &str)] = &[("retry-after", "3600")];

/// A connection whose access token is over, and whose provider has answered a first process so.
async fn paused(rotates: Rotates, status: u16, headers: &'static [(&str, &str)]) -> (World, ConnectionKey) {
    let (world, connections, key) = World::connected(rotates).await;
    world.expire();
    world.server.fault(Fault::Answer(status, headers, "{}"));
    connections.token(&key).await.unwrap_err();
    assert_eq!(world.server.refreshes(), 1);
    (world, key)
}

#[tokio::test]
async fn x13_f20_retry_after_is_kept_to_by_all_processes() {
    for (status, kind) in [(503, ErrorKind::Unavailable), (429, ErrorKind::RateLimited)] {
        let (world, key) = paused(Rotates::Strictly, status, IN_AN_HOUR).await;
        for minutes in 0..60 {
            let process = world.process();
            let left = Recovery::Retry { after: Some(HOUR - minutes * 60 * SECOND) };
            // What the record says is known in memory too.
            for _ in 0..2 {
                let error = process.token(&key).await.unwrap_err();
                assert_eq!((error.kind(), error.recovery()), (kind, left), "{minutes}");
                assert_eq!(process.refresh_now(&key).await.unwrap_err().kind(), kind);
            }
            assert!(world.store.count("load") < 200, "{}", world.store.count("load"));
            world.clock.advance(60 * SECOND);
        }
        assert_eq!((world.server.refreshes(), world.store.count("lease")), (1, 1));
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1));
        assert_eq!(world.process().refresh_now(&key).await.unwrap().expose(), "AT-3", "it is over for all");
    }
}

/// Whoever lists connections, such as a page or a status, can say why a token is not refreshed.
#[tokio::test]
async fn f20_a_list_tells_until_when_nobody_asks() {
    let (world, key) = paused(Rotates::Strictly, 503, IN_AN_HOUR).await;
    let until = world.clock.now() + HOUR;
    let paused_until = async || world.process().list(&user()).await.unwrap().connections[0].paused_until;
    assert_eq!(paused_until().await, Some(until));
    world.clock.advance(HOUR - SECOND);
    assert_eq!(paused_until().await, Some(until), "it is a moment, and none that moves on");
    world.clock.advance(SECOND);
    assert_eq!(paused_until().await, None);
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(paused_until().await, None);
}

/// Who waits for the lease does not ask once more after its holder was told to wait.
#[tokio::test]
async fn x13_f20_processes_that_wait_for_the_same_refresh_share_its_failure() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.hold();
    world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
    let processes: Vec<_> = (0..16).map(|_| world.process()).collect();
    let asked: Vec<_> = processes.iter().map(|process| ask(process, &key)).collect();
    world.until(|| world.server.refreshes() == 1).await;
    world.clock.settle().await;
    world.server.let_go();
    for asked in asked {
        let error = world.clock.drive(async move { asked.await.unwrap() }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(world.server.refreshes(), 1);
}

/// As a program does that is called once a second, each time in a process of its own.
#[tokio::test]
async fn f20_failures_in_a_row_are_further_and_further_apart_for_all_processes() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    for _ in 0..1000 {
        world.server.fault(Fault::Answer(503, &[], "{}"));
    }
    for _ in 0..900 {
        assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        world.clock.advance(SECOND);
    }
    let refreshes = world.server.refreshes();
    assert!((5..20).contains(&refreshes), "{refreshes} in a quarter of an hour");
}

#[tokio::test]
async fn f21_a_good_token_is_served_by_all_processes_while_nobody_asks() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(3590 * SECOND);
    world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    for _ in 0..4 {
        let process = world.process();
        let loads = world.store.count("load");
        for at in 0..4 {
            assert_eq!(process.token(&key).await.unwrap().expose(), "AT-1");
            world.clock.settle().await;
            assert!(world.store.count("load") <= loads + 1, "{at}");
        }
        world.clock.advance(SECOND);
    }
    assert_eq!(world.server.refreshes(), 1);
    let listing = world.process().list(&user()).await.unwrap();
    assert_eq!(listing.connections[0].health, Health::Good);
}

/// A save of the same token makes another version of it, and no other token.
#[tokio::test]
async fn f22_a_token_that_was_refused_is_not_taken_for_another_after_a_failure() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let refused = connections.token(&key).await.unwrap();
    world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
    assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for process in [&connections, &world.process()] {
        assert_eq!(process.token_refused(&refused).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let again = process.token(&key).await.unwrap();
        assert_eq!((again.expose(), again.version().counter()), ("AT-1", 2));
        world.server.api_answers(401, r#"Bearer error="invalid_token""#);
        let request = HttpRequest::get("https://api.example/me".parse().unwrap());
        assert_eq!(process.send(&key, request).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!((world.server.refreshes(), world.server.api().len()), (1, 2), "none is sent with it again");
    world.clock.advance(HOUR);
    let process = world.process();
    assert_eq!(process.token_refused(&refused).await.unwrap().unwrap().expose(), "AT-2");
    let same = process.token_refused(&refused).await.unwrap().unwrap();
    assert_eq!((same.expose(), world.server.refreshes()), ("AT-2", 2));
}

#[tokio::test]
async fn x22_a_new_connect_knows_of_no_pause() {
    let (world, key) = paused(Rotates::Strictly, 503, IN_AN_HOUR).await;
    let process = world.process();
    assert_eq!(process.token(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    world.connect(&process).await;
    assert_eq!(process.refresh_now(&key).await.unwrap().expose(), "AT-3");
    assert_eq!(world.process().refresh_now(&key).await.unwrap().expose(), "AT-4");
}

#[tokio::test]
async fn x17_a_pause_by_a_clock_that_was_ahead_is_not_believed() {
    for ahead in [HOUR, 24 * HOUR, 10 * 365 * 24 * HOUR] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        world.clock.sleep_through(ahead);
        world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
        world.process().token(&key).await.unwrap_err();
        world.clock.step_back(ahead);
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2", "{ahead:?}");
    }
}

/// What is bad here may be good elsewhere.
#[tokio::test]
async fn x15_a_network_that_fails_in_one_process_stops_no_other() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    for fault in [Fault::NotSent, Fault::Answer(401, &[], r#"{"error":"invalid_client"}"#)] {
        world.server.fault(fault);
        world.process().token(&key).await.unwrap_err();
    }
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.store.count("save"), 1);
}

/// Then the others are not told, and nothing else is lost: neither the error nor the lease.
#[tokio::test]
async fn f8_a_pause_that_the_store_does_not_take_is_kept_to_here() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
    world.store.failing_saves.store(1, Ordering::SeqCst);
    for _ in 0..2 {
        let error = connections.token(&key).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.recovery()),
            (ErrorKind::Unavailable, Recovery::Retry { after: Some(HOUR) })
        );
    }
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.mark, record.lease), (None, None));
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
}

/// What is told is told under the lease: it takes no version from under another's refresh.
#[tokio::test]
async fn f12_who_lost_the_lease_tells_nobody_to_wait() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.store.end_lease(&key).await;
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!(record.version.counter(), 1);
}

/// The save takes the mark away; what it stood for stays.
#[tokio::test]
async fn r6_a_refresh_token_in_doubt_stays_so_over_a_pause() {
    let (world, key) = paused(Rotates::Strictly, 500, &[]).await;
    let record = world.store.inner.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.version.counter(), record.mark), (2, None));
    let listing = world.process().list(&user()).await.unwrap();
    assert_eq!(listing.connections[0].health, Health::InDoubt);
    world.server.end_all();
    world.clock.advance(HOUR);
    let error = world.process().token(&key).await.unwrap_err();
    assert_eq!((error.kind(), world.server.refreshes()), (ErrorKind::RotationLost, 2));
}

#[tokio::test]
async fn r6_a_refresh_token_in_doubt_is_not_risked_after_a_pause() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(3550 * SECOND);
    world.server.fault(Fault::Answer(500, &[], "{}"));
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(10 * SECOND);
    for process in [&connections, &world.process()] {
        assert_eq!(process.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
    }
    assert_eq!(world.server.refreshes(), 1, "it may be used up, and there is something to lose");
    // The attempts are counted on.
    world.clock.advance(HOUR);
    world.server.hold();
    let asked = ask(&world.process(), &key);
    world.until(|| world.server.refreshes() == 2).await;
    let mark = world.store.inner.load(&key).await.unwrap().into_record().unwrap().mark.unwrap();
    assert_eq!(mark.attempt, 2);
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap(), "AT-2");
}

/// The first holder stops between the answer and the save, and the second is told to wait. What the first one got is newer,
/// however the provider rotates.
#[tokio::test]
async fn f12_r3_what_the_provider_gave_is_saved_over_a_pause() {
    for rotates in [Rotates::Never, Rotates::WithGrace] {
        let (world, one, key) = World::connected(rotates).await;
        let other = world.process();
        world.expire();
        let first = world.stop_at_its_save(&one, &key).await;
        world.server.fault(Fault::Answer(503, IN_AN_HOUR, "{}"));
        assert_eq!(other.token(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
        world.store.saves_open.send_replace(true);
        assert_eq!(first.await.unwrap().unwrap().expose(), "AT-2");
        let token = world.process().token(&key).await.unwrap();
        assert_eq!((token.expose(), token.version().counter()), ("AT-2", 3), "{rotates:?}");
        assert_eq!(world.server.refreshes(), 2, "{rotates:?}");
    }
}

/// The age of a token goes on over a pause, although the wall clock is put back.
#[tokio::test]
async fn x17_a_pause_makes_no_token_live_longer() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(3000 * SECOND);
    world.server.fault(Fault::Answer(503, &[], "{}"));
    connections.refresh_now(&key).await.unwrap_err();
    world.clock.step_back(2000 * SECOND);
    world.clock.advance(600 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}
