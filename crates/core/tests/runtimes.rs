//! X36: connections that are used from several runtimes, from none, from within blocking code, and whose runtime ends while
//! they refresh. (What a fork does to random values is tested where they are drawn.)

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod connections_support;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use authflow_core::{ConnectionKey, Connections, ErrorKind, Health, Recovery};
use connections_support::{Rotates, SECOND, World, user};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{block_in_place, spawn_blocking};

fn runtime(threads: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(threads).build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// Until another thread has come so far.
fn until(what: impl Fn() -> bool) {
    // Nobody tells: only the time passes, and a machine that stands still does not use up the looks.
    let (_never, told) = channel::<()>();
    for _ in 0..DEADLOCK.as_millis() {
        if what() {
            return;
        }
        let _ = told.recv_timeout(Duration::from_millis(1));
    }
    panic!("it did not come about");
}

/// Far longer than anything here takes: what waits for so long waits for ever.
const DEADLOCK: Duration = Duration::from_secs(60);

/// Runs a future on this thread, without any runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    struct Tell(Sender<()>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            // Who is not waiting any more need not be told.
            let _ = self.0.send(());
        }
    }
    let (tell, told) = channel();
    let waker = Waker::from(Arc::new(Tell(tell)));
    let mut cx = Context::from_waker(&waker);
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut cx) {
            Poll::Ready(value) => return value,
            Poll::Pending => told.recv_timeout(DEADLOCK).expect("a deadlock"),
        }
    }
}

/// A connection whose refreshes run in `home`, and whose access token is over.
fn expired(home: &Runtime, rotates: Rotates) -> (World, Connections, ConnectionKey) {
    let world = World::new(rotates);
    let connections = world.builder().runtime(home.handle().clone()).build().unwrap();
    let key = home.block_on(world.connect(&connections));
    world.expire();
    (world, connections, key)
}

async fn token(connections: &Connections, key: &ConnectionKey) -> authflow_core::Result<String> {
    connections.token(key).await.map(|token| token.expose().to_owned())
}

#[test]
fn x36_callers_of_several_runtimes_and_of_none_share_one_refresh() {
    let (home, other) = (runtime(2), runtime(2));
    let current = current_thread();
    let (world, connections, key) = expired(&home, Rotates::Strictly);
    for round in 1..50 {
        let ask = |runtime: &Runtime| {
            let (connections, key) = (connections.clone(), key.clone());
            runtime.spawn(async move { token(&connections, &key).await })
        };
        let asked: Vec<_> = (0..20).map(|at| ask(if at % 2 == 0 { &home } else { &other })).collect();
        let expected = format!("AT-{}", round + 1);
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(block_on(token(&connections, &key)).unwrap(), expected));
            assert_eq!(current.block_on(token(&connections, &key)).unwrap(), expected);
        });
        for asked in asked {
            assert_eq!(block_on(asked).unwrap().unwrap(), expected);
        }
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (round, 1));
        world.expire();
    }
}

/// Begin, complete, send, sweep and disconnect, from a thread that has no runtime.
#[test]
fn x36_everything_else_works_from_a_thread_without_a_runtime() {
    let home = runtime(1);
    let (world, connections, key) = expired(&home, Rotates::Strictly);
    let api = || authflow_core::HttpRequest::get("https://api.example/me".parse().unwrap());
    assert_eq!(block_on(world.connect(&connections)), key);
    assert_eq!(block_on(async { connections.send(&key, api()).await }).unwrap().status, 200);
    assert_eq!(block_on(connections.refresh_now(&key)).unwrap().expose(), "AT-3");
    assert_eq!(block_on(async { connections.sweep().await }).unwrap().failed, 0);
    assert_eq!(block_on(connections.list(&user())).unwrap().connections.len(), 1);
    assert!(block_on(connections.disconnect(&key)).unwrap().removal.is_ok());
    assert_eq!(block_on(connections.drain(SECOND)).unfinished, 0);
}

/// One worker, which the caller blocks: the refresh must not wait for it.
#[test]
fn x36_a_call_from_within_blocking_code_does_not_wait_for_itself() {
    let home = runtime(1);
    let (world, connections, key) = expired(&home, Rotates::Strictly);
    let asked = home.spawn({
        let (connections, key) = (connections.clone(), key.clone());
        async move { block_in_place(|| Handle::current().block_on(token(&connections, &key))) }
    });
    assert_eq!(block_on(asked).unwrap().unwrap(), "AT-2");
    world.expire();
    let asked = home.spawn({
        let (connections, key) = (connections.clone(), key.clone());
        async move { spawn_blocking(move || Handle::current().block_on(token(&connections, &key))).await }
    });
    assert_eq!(block_on(asked).unwrap().unwrap().unwrap(), "AT-3");
    world.expire();
    // One inside the other, each with a runtime of its own.
    let asked = home.spawn(async move {
        block_in_place(|| {
            let nested = current_thread();
            let got = nested.block_on(token(&connections, &key));
            nested.shutdown_background();
            got
        })
    });
    assert_eq!(block_on(asked).unwrap().unwrap(), "AT-4");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (3, 1));
}

/// How far the refresh is when its runtime ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The request was sent, and the provider has not done it.
    BeforeTheAnswer,
    /// The provider answered, and the store has not taken it.
    BeforeTheSave,
}

/// As if the process had died there: whoever waits is told at once, and the next process goes on as the rotation allows.
#[test]
fn x36_i7_after_a_runtime_that_ended_during_a_refresh_the_next_one_goes_on() {
    for rotates in [Rotates::Strictly, Rotates::WithGrace, Rotates::Never] {
        for ends in [Ends::BeforeTheAnswer, Ends::BeforeTheSave] {
            let (home, other) = (runtime(1), runtime(1));
            let (world, connections, key) = expired(&home, rotates);
            match ends {
                Ends::BeforeTheAnswer => world.server.hold(),
                Ends::BeforeTheSave => drop(world.store.saves_open.send_replace(false)),
            }
            let asked: Vec<_> = (0..10)
                .map(|_| {
                    let (connections, key) = (connections.clone(), key.clone());
                    other.spawn(async move { token(&connections, &key).await })
                })
                .collect();
            until(|| world.server.refreshes() == 1);
            if ends == Ends::BeforeTheSave {
                until(|| world.server.most_uses() == 1);
            }
            home.shutdown_background();
            let what = format!("{rotates:?} {ends:?}");
            for asked in asked {
                let error = block_on(asked).unwrap().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{what}");
                assert!(matches!(error.recovery(), Recovery::Retry { .. }), "{what}");
            }
            // With the runtime gone nothing hangs, and nothing is counted as running.
            assert_eq!(
                block_on(token(&connections, &key)).unwrap_err().kind(),
                ErrorKind::Interrupted,
                "{what}"
            );
            assert_eq!(block_on(connections.drain(SECOND)).unfinished, 0, "{what}");
            world.server.let_go();
            world.store.saves_open.send_replace(true);
            let alone = current_thread();
            let next = alone.block_on(async { world.process() });
            let listed = alone.block_on(next.list(&user())).unwrap();
            assert_eq!(listed.connections[0].health, Health::InDoubt, "{what}");
            let later = {
                let (next, key) = (next.clone(), key.clone());
                alone.block_on(world.clock.drive(async move { token(&next, &key).await }))
            };
            match (rotates, ends) {
                // The limit that the docs name: what the provider gave died with the runtime.
                (Rotates::Strictly, Ends::BeforeTheSave) => {
                    assert_eq!(later.unwrap_err().kind(), ErrorKind::RotationLost, "{what}");
                }
                (_, Ends::BeforeTheSave) => assert_eq!(later.unwrap(), "AT-3", "{what}"),
                (_, Ends::BeforeTheAnswer) => assert_eq!(later.unwrap(), "AT-2", "{what}"),
            }
            assert_eq!(world.server.refreshes(), 2, "{what}");
        }
    }
}

/// I1: who drains before the runtime ends loses nothing.
#[test]
fn x36_i1_a_drain_before_the_runtime_ends_loses_no_token() {
    let (home, other) = (runtime(1), runtime(1));
    let (world, connections, key) = expired(&home, Rotates::Strictly);
    world.server.hold();
    let asked = other.spawn({
        let (connections, key) = (connections.clone(), key.clone());
        async move { token(&connections, &key).await }
    });
    until(|| world.server.refreshes() == 1);
    let drained = other.spawn({
        let connections = connections.clone();
        async move { connections.drain(30 * SECOND).await.unfinished }
    });
    world.server.let_go();
    assert_eq!(block_on(drained).unwrap(), 0);
    home.shutdown_background();
    assert_eq!(block_on(asked).unwrap().unwrap(), "AT-2");
    assert_eq!(block_on(token(&connections, &key)).unwrap(), "AT-2", "what is at hand is served still");
    let next = other.block_on(async { world.process() });
    assert_eq!(block_on(token(&next, &key)).unwrap(), "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}

/// Handles that outlive the runtime: the token that is good is served, and a dropped registry keeps no runtime from ending.
#[test]
fn x36_a_good_token_is_served_after_the_runtime_has_ended() {
    let home = runtime(1);
    let world = World::new(Rotates::Strictly);
    let connections = world.builder().runtime(home.handle().clone()).build().unwrap();
    let key = home.block_on(world.connect(&connections));
    let handle = connections.handle(&key).unwrap();
    assert_eq!(block_on(handle.token()).unwrap().expose(), "AT-1");
    // It waits for every task: none may be left.
    drop(home);
    assert_eq!(block_on(handle.token()).unwrap().expose(), "AT-1");
    assert_eq!(block_on(token(&connections, &key)).unwrap(), "AT-1");
    world.expire();
    assert_eq!(block_on(handle.token()).unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(world.server.refreshes(), 0);
}
