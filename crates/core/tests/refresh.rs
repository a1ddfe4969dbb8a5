//! The refresh protocol within one process and between two, by the ids of the security requirements.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::iter::successors;

use authflow_core::{
    ErrorKind, EventKind, Next, ReconnectReason, Recovery, Removal, Remove, TokenStore as _,
};
use connections_support::{Rotates, SECOND, World, ask};

#[tokio::test]
async fn f1_a_thousand_tasks_at_expiry_make_one_request() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.expire();
    world.server.hold();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (connections, key) = (connections.clone(), key.clone());
            tokio::spawn(async move { connections.token(&key).await.unwrap().expose().to_owned() })
        })
        .collect();
    world.until(|| world.server.refreshes() == 1).await;
    world.server.let_go();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "AT-2");
    }
    assert_eq!(world.server.refreshes(), 1);
    assert_eq!(world.store.count("save"), 1);
}

#[tokio::test]
async fn f1_a_token_near_its_end_is_served_while_one_refresh_runs() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(3593 * SECOND);
    world.server.hold();
    for _ in 0..100 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1", "nobody waits");
    }
    world.until(|| world.server.refreshes() == 1).await;
    world.server.let_go();
    world.until(|| world.store.count("save") == 1).await;
    world.clock.settle().await;
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!((world.server.refreshes(), world.store.count("lease")), (1, 1));
}

#[tokio::test]
async fn f1_a_token_near_its_end_begins_one_refresh_however_often_it_is_served_from_memory() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.near_its_end(&key).await;
    world.server.hold();
    for _ in 0..100 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
    }
    assert_eq!((world.server.refreshes(), world.store.count("load"), world.store.count("lease")), (1, 3, 1));
}

#[tokio::test]
async fn f2_two_processes_use_a_refresh_token_once() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    for round in 2..20 {
        world.expire();
        let tasks = [&one, &other, &one, &other].map(|connections| {
            let (connections, key) = (connections.clone(), key.clone());
            tokio::spawn(async move { connections.token(&key).await.unwrap().expose().to_owned() })
        });
        for task in tasks {
            let token = world.clock.drive(async move { task.await.unwrap() }).await;
            assert_eq!(token, format!("AT-{round}"));
        }
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (18, 1));
}

#[tokio::test]
async fn t_b1_f4_each_caller_gets_its_own_users_token() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let mut keys = Vec::new();
    for user in 0..100 {
        keys.push(world.connect_as(&connections, &user.to_string()).await);
    }
    world.expire();
    let tasks: Vec<_> = (0..1000)
        .map(|at| {
            let (connections, key) = (connections.clone(), keys[at % 100].clone());
            tokio::spawn(async move { (connections.token(&key).await.unwrap(), key) })
        })
        .collect();
    let mut tokens = std::collections::HashMap::new();
    for task in tasks {
        let (token, key) = task.await.unwrap();
        assert_eq!(*token.key(), key);
        let first = tokens.entry(key).or_insert_with(|| token.expose().to_owned());
        assert_eq!(first, token.expose());
    }
    let different: std::collections::HashSet<_> = tokens.values().collect();
    assert_eq!((different.len(), world.server.refreshes()), (100, 100));
}

#[tokio::test]
async fn f5_a_refused_grant_ends_the_connection_and_is_asked_for_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let mut events = connections.subscribe();
    world.expire();
    world.server.end_all();
    for _ in 0..1000 {
        let error = connections.token(&key).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::NeedsReconnect, Recovery::Reconnect));
        assert_eq!(error.server_error().unwrap().code(), "invalid_grant");
    }
    assert_eq!(world.server.refreshes(), 1);
    let error = world.process().token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsReconnect, "another process reads it in the record");
    assert_eq!(world.server.refreshes(), 1);
    let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
    assert_eq!((event.key, event.kind), (key, EventKind::NeedsReconnect(ReconnectReason::Refused)));
}

#[tokio::test]
async fn f6_t_b5_what_the_answer_leaves_out_is_kept() {
    let (world, connections, key) = World::connected(Rotates::Never).await;
    for round in 2..5 {
        world.expire();
        assert_eq!(connections.token(&key).await.unwrap().expose(), format!("AT-{round}"));
    }
    assert_eq!(world.server.refreshes(), 3);
}

#[tokio::test]
async fn f7_another_accounts_tokens_are_not_kept() {
    let world = World::new(Rotates::Strictly);
    world.server.account("account-1");
    let connections = world.process();
    let key = world.connect(&connections).await;
    assert_eq!(key.account(), Some("account-1"));
    world.expire();
    world.server.account("account-2");
    for connections in [connections, world.process()] {
        let error = connections.token(&key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccountChanged);
    }
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test]
async fn f8_nothing_is_sent_while_the_store_is_down_and_a_good_token_is_served() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.store.down(true);
    world.clock.advance(1000 * SECOND);
    for _ in 0..3 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    }
    world.clock.advance(2600 * SECOND);
    let error = connections.token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    assert_eq!(world.server.refreshes(), 0);
    world.store.down(false);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn f9_t_b6_what_the_store_does_not_take_is_served_from_memory_and_saved_later() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let mut events = connections.subscribe();
    world.expire();
    world.server.hold();
    let asked = tokio::spawn({
        let (connections, key) = (connections.clone(), key.clone());
        async move { connections.token(&key).await }
    });
    world.until(|| world.server.refreshes() == 1).await;
    world.store.down(true);
    world.server.let_go();
    let token = asked.await.unwrap().unwrap();
    assert_eq!((token.expose(), token.is_saved()), ("AT-2", false));
    let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
    assert_eq!(event.kind, EventKind::NotDurable);
    // Longer than a token is served without asking the store: there is nobody to ask.
    world.clock.advance(60 * SECOND);
    world.clock.settle().await;
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    world.store.down(false);
    for _ in 0..20 {
        world.clock.advance(SECOND);
        world.clock.settle().await;
    }
    let token = connections.token(&key).await.unwrap();
    assert_eq!((token.expose(), token.is_saved()), ("AT-2", true));
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}

/// Who asked for another token than the one at hand gets it as well, and does not wait for the store.
#[tokio::test]
async fn f9_i6_a_new_token_is_given_out_while_the_store_does_not_take_it() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.store.failing_saves.store(1000, std::sync::atomic::Ordering::SeqCst);
    let token = connections.refresh_now(&key).await.unwrap();
    assert_eq!((token.expose(), token.is_saved()), ("AT-2", false));
    let error = connections.refresh_now(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable, "first that one has to be saved");
    assert_eq!(world.server.refreshes(), 1);
}

/// The store is asked again after half of a pause to a whole one, and the pauses grow to ten seconds.
#[tokio::test]
async fn f9_what_is_to_be_saved_is_tried_less_and_less_often() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.store.failing_saves.store(12, std::sync::atomic::Ordering::SeqCst);
    assert!(!connections.refresh_now(&key).await.unwrap().is_saved());
    let loads = world.store.count("load");
    let pauses = successors(Some(SECOND / 10), |pause| Some((*pause * 2).min(10 * SECOND)));
    world.calls_again_after("save", pauses.take(12)).await;
    assert_eq!(world.store.count("load"), loads, "what was refused for sure is not looked for");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}

/// T-B8: the provider takes three times as long as the lease.
#[tokio::test]
async fn f11_t_b8_a_slow_refresh_keeps_its_lease() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    world.expire();
    world.server.hold();
    let ask = |connections: &authflow_core::Connections| {
        let (connections, key) = (connections.clone(), key.clone());
        tokio::spawn(async move { connections.token(&key).await.unwrap().expose().to_owned() })
    };
    let first = ask(&one);
    world.until(|| world.server.refreshes() == 1).await;
    let second = ask(&other);
    for _ in 0..100 {
        world.clock.advance(SECOND * 3 / 10);
        world.clock.settle().await;
    }
    world.server.let_go();
    assert_eq!(first.await.unwrap(), "AT-2");
    assert_eq!(world.clock.drive(async move { second.await.unwrap() }).await, "AT-2");
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (1, 1));
}

/// The first holder stops for longer than its lease, and another takes over. What the first got is not lost, and nothing
/// newer is overwritten.
#[tokio::test]
async fn f12_r3_a_holder_that_stopped_overwrites_nothing() {
    let (world, one, key) = World::connected(Rotates::WithGrace).await;
    let other = world.process();
    world.expire();
    world.store.saves_open.send_replace(false);
    let first = tokio::spawn({
        let (one, key) = (one.clone(), key.clone());
        async move { one.token(&key).await.unwrap().expose().to_owned() }
    });
    world.until(|| world.server.refreshes() == 1).await;
    world.clock.settle().await;
    // The save hangs; its process renews nothing either.
    world.store.loses_leases.store(true, std::sync::atomic::Ordering::SeqCst);
    let second = tokio::spawn({
        let (other, key) = (other.clone(), key.clone());
        async move { other.token(&key).await.unwrap().expose().to_owned() }
    });
    for _ in 0..12 {
        world.clock.advance(SECOND);
        world.clock.settle().await;
    }
    world.store.loses_leases.store(false, std::sync::atomic::Ordering::SeqCst);
    world.store.saves_open.send_replace(true);
    let first = world.clock.drive(async move { first.await.unwrap() }).await;
    let second = world.clock.drive(async move { second.await.unwrap() }).await;
    world.clock.advance(60 * SECOND);
    world.clock.settle().await;
    let now = world.process().token(&key).await.unwrap();
    assert!(world.server.takes(now.expose()));
    assert!(world.server.takes(&first) && world.server.takes(&second));
    assert_eq!(one.token(&key).await.unwrap().expose(), now.expose());
    assert_eq!(other.token(&key).await.unwrap().expose(), now.expose());
    assert!(world.server.most_uses() <= 2);
}

#[tokio::test]
async fn f16_t_b3_a_disconnect_beats_the_refresh_under_way() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.saves_open.send_replace(false);
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.clock.settle().await;
    let disconnected = world.process().disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    world.store.saves_open.send_replace(true);
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.server.revoked(), ["RT-1", "RT-2"], "what came too late is revoked");
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(!world.server.takes("AT-2"));
}

#[tokio::test]
async fn f16_a_refresh_that_is_refused_because_of_a_disconnect_says_so() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let mut events = connections.subscribe();
    world.expire();
    world.server.end_all();
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.store.inner.remove(&key, Remove::new(SECOND)).await.unwrap();
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::NotConnected);
    drop((connections, world));
    assert_eq!(events.next().await, None, "it does not need to be connected again");
}

#[tokio::test]
async fn x35_a_drain_waits_for_what_is_under_way_and_begins_nothing() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let idle = world.connect_as(&connections, "user-43").await;
    world.expire();
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    let drained = tokio::spawn({
        let connections = connections.clone();
        async move { connections.drain(60 * SECOND).await }
    });
    world.clock.settle().await;
    assert!(!drained.is_finished());
    assert_eq!(connections.token(&idle).await.unwrap_err().kind(), ErrorKind::Interrupted);
    world.server.let_go();
    assert_eq!(drained.await.unwrap().unfinished, 0);
    assert_eq!(asked.await.unwrap().unwrap(), "AT-3");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3");
}

/// Near its end it is served too, and the store has rest: nothing would be begun with what it says.
#[tokio::test]
async fn x35_while_it_drains_a_good_token_is_served_from_memory() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.near_its_end(&key).await;
    connections.drain(SECOND).await;
    let loads = world.store.count("load");
    for _ in 0..10 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
    }
    assert_eq!((world.store.count("load"), world.server.refreshes()), (loads, 0));
}

#[tokio::test]
async fn a_token_is_served_for_thirty_seconds_without_asking_the_store() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let loads = world.store.count("load");
    for _ in 0..29 {
        connections.token(&key).await.unwrap();
        world.clock.advance(SECOND);
    }
    assert_eq!(world.store.count("load"), loads);
    world.process().disconnect(&key).await.unwrap();
    world.clock.advance(SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

#[tokio::test]
async fn refresh_now_replaces_a_good_token_once_for_all_who_ask() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (connections, key) = (connections.clone(), key.clone());
            tokio::spawn(async move { connections.refresh_now(&key).await.unwrap().expose().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "AT-2");
    }
    assert_eq!(world.server.refreshes(), 1);
    assert_eq!(connections.refresh_now(&key).await.unwrap().expose(), "AT-3");
}

/// Another process's refresh is one as well.
#[tokio::test]
async fn refresh_now_in_two_processes_is_one_refresh() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    world.server.hold();
    let ask = |connections: &authflow_core::Connections| {
        let (connections, key) = (connections.clone(), key.clone());
        tokio::spawn(async move { connections.refresh_now(&key).await.unwrap().expose().to_owned() })
    };
    let first = ask(&one);
    world.until(|| world.server.refreshes() == 1).await;
    let second = ask(&other);
    world.clock.settle().await;
    world.server.let_go();
    assert_eq!(first.await.unwrap(), "AT-2");
    assert_eq!(world.clock.drive(async move { second.await.unwrap() }).await, "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}

/// The same on two threads, where steps really interleave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_f2_on_two_threads_no_refresh_token_is_used_twice() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    // A refresh elsewhere is waited for by the clock, which nobody moves here: each process has its own connection.
    let keys = [key, world.connect_as(&one, "user-43").await];
    for round in 0..100 {
        world.expire();
        let tasks: Vec<_> = (0..40)
            .map(|at| {
                let (connections, key) = (one.clone(), keys[at % 2].clone());
                tokio::spawn(async move {
                    let handle = connections.handle(&key).unwrap();
                    let tokens = (handle.token().await.unwrap(), connections.token(&key).await.unwrap());
                    assert_eq!(tokens.0.expose(), tokens.1.expose());
                    tokens.0.version().counter()
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), round + 2);
        }
    }
    assert_eq!((world.server.refreshes(), world.server.most_uses()), (200, 1));
}
