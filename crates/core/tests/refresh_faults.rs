//! Faults of the provider, the store and the clock during a refresh, by the ids of the security requirements.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::atomic::Ordering;

use authflow_core::{
    Clock as _, ErrorKind, EventKind, Health, LeaseHolder, LeaseRequest, Next, Recovery, RefreshMark,
    TokenStore as _,
};
use connections_support::{Fault, Rotates, SECOND, World, ask, user};

#[tokio::test]
async fn x12_a_lost_answer_of_a_strict_provider_is_named() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::LoseAnswer);
    let error = connections.token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network);
    assert_eq!(world.server.refreshes(), 1, "it is not sent again at once");
    world.clock.advance(5 * SECOND);
    let other = world.process();
    let error = other.token(&key).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::RotationLost, Recovery::Reconnect));
    assert_eq!(world.server.refreshes(), 2);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::RotationLost);
    assert_eq!(world.server.refreshes(), 2);
}

#[tokio::test]
async fn x12_a_lost_request_costs_nothing() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::LoseRequest);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Network);
    world.clock.advance(5 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.most_uses(), 1);
}

#[tokio::test]
async fn x12_with_grace_or_without_rotation_it_is_sent_again_at_once() {
    for rotates in [Rotates::WithGrace, Rotates::Never] {
        let (world, connections, key) = World::connected(rotates).await;
        world.expire();
        world.server.fault(Fault::LoseAnswer);
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-3");
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 2));
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3");
    }
}

/// The provider counts its grace from the first use, and so it is counted here, however often it is tried.
#[tokio::test]
async fn r6_a_grace_is_counted_from_the_first_attempt() {
    let (world, connections, key) = World::connected(Rotates::WithGrace).await;
    for _ in 0..4 {
        world.server.fault(Fault::LoseAnswer);
    }
    world.clock.advance(3541 * SECOND);
    for (later, refreshes) in [(0, 2), (20, 4), (15, 4), (10, 4)] {
        world.clock.advance(later * SECOND);
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
        assert_eq!(world.server.refreshes(), refreshes, "{later}");
    }
    world.clock.advance(20 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-6", "now there is nothing to lose");
}

/// A strict provider may end the whole family at the second use: while the access token is good, that is not risked.
#[tokio::test]
async fn r6_a_refresh_token_in_doubt_waits_until_there_is_nothing_to_lose() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.fault(Fault::LoseAnswer);
    world.clock.advance(3590 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(3 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-1");
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::RotationLost);
}

#[tokio::test]
async fn x13_an_unavailable_provider_is_asked_once_and_retry_after_is_kept_to() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::Answer(503, &[("retry-after", "120")], "<html>"));
    world.server.hold();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (connections, key) = (connections.clone(), key.clone());
            tokio::spawn(async move { connections.token(&key).await.unwrap_err() })
        })
        .collect();
    world.until(|| world.server.refreshes() == 1).await;
    world.server.let_go();
    for task in tasks {
        let error = task.await.unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(matches!(error.recovery(), Recovery::Retry { after: Some(_) }));
    }
    world.clock.advance(119 * SECOND);
    let error = connections.token(&key).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(SECOND) });
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(2 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.refreshes(), 2);
}

#[tokio::test]
async fn x13_retry_after_of_ten_years_is_capped() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.fault(Fault::Answer(429, &[("retry-after", "315360000")], "{}"));
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::RateLimited);
    world.clock.advance(3601 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

/// T-B7: by the parsed code, and only that one. Meanwhile the tokens stay as they are.
#[tokio::test]
async fn x14_t_b7_no_other_answer_ends_a_connection() {
    const CHALLENGE: &[(&str, &str)] = &[("www-authenticate", r#"Bearer error="invalid_grant""#)];
    let retry = Recovery::Retry { after: None };
    let faults = [
        (Fault::Answer(500, &[], GONE), ErrorKind::Unavailable, retry),
        (Fault::Answer(502, &[], "<html>invalid_grant</html>"), ErrorKind::Unavailable, retry),
        (Fault::Answer(401, &[], r#"{"error":"invalid_client"}"#), ErrorKind::Refused, FIX),
        (Fault::Answer(401, CHALLENGE, r#"{"error":"invalid_client"}"#), ErrorKind::Refused, FIX),
        (Fault::Answer(401, CHALLENGE, "{}"), ErrorKind::Refused, Recovery::GiveUp),
        (Fault::Answer(401, CHALLENGE, ""), ErrorKind::InvalidResponse, Recovery::GiveUp),
        (Fault::Answer(400, &[], r#"{"error":"invalid_scope"}"#), ErrorKind::Refused, FIX),
        (Fault::Answer(400, &[], r#"{"error":"unauthorized_client"}"#), ErrorKind::Refused, FIX),
        (Fault::Answer(400, &[], r#"{"error":"unsupported_grant_type"}"#), ErrorKind::Refused, FIX),
        (Fault::Answer(400, &[], r#"{"error":"invalid_request"}"#), ErrorKind::Refused, Recovery::GiveUp),
        (
            Fault::Answer(400, &[], r#"{"error":"interaction_required"}"#),
            ErrorKind::Refused,
            Recovery::GiveUp,
        ),
        (Fault::Answer(400, &[], r#"{"error":"invalid_grant_x"}"#), ErrorKind::Refused, Recovery::GiveUp),
        (Fault::Answer(400, &[], r#"{"error":"INVALID_GRANT"}"#), ErrorKind::Refused, Recovery::GiveUp),
        (Fault::Answer(408, &[], "invalid_grant"), ErrorKind::Unavailable, retry),
        (Fault::Answer(429, &[], "{}"), ErrorKind::RateLimited, retry),
        (Fault::NotSent, ErrorKind::Network, retry),
    ];
    for (fault, kind, recovery) in faults {
        let (world, connections, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        world.server.fault(fault.clone());
        let error = connections.token(&key).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (kind, recovery), "{fault:?}");
        let listed = world.process().list(&user()).await.unwrap();
        assert!(!matches!(listed.connections[0].health, Health::NeedsReconnect { .. }), "{fault:?}");
        world.clock.advance(10 * SECOND);
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2", "{fault:?}");
    }
}

const GONE: &str = r#"{"error":"invalid_grant"}"#;
const FIX: Recovery = Recovery::FixConfiguration;

/// Statuses that say *later*: with and without `Retry-After`, and whatever code is in the body. The refresh token is not used
/// up by them, but for those that may come after the work was done.
#[tokio::test]
async fn x13_what_says_later_is_tried_later() {
    const AFTER: &[(&str, &str)] = &[("retry-after", "20")];
    for status in [408, 425, 429, 500, 502, 503, 504] {
        for (headers, wait) in [(AFTER, 20), (&[][..], 0)] {
            let (world, connections, key) = World::connected(Rotates::Strictly).await;
            world.expire();
            world.server.fault(Fault::Answer(status, headers, GONE));
            let error = connections.token(&key).await.unwrap_err();
            let kind = if status == 429 { ErrorKind::RateLimited } else { ErrorKind::Unavailable };
            assert_eq!(error.kind(), kind, "{status}");
            let health = world.process().list(&user()).await.unwrap().connections[0].health;
            let may_be_used = matches!(status, 500 | 502 | 504);
            assert_eq!(health, if may_be_used { Health::InDoubt } else { Health::Good }, "{status}");
            if wait > 0 {
                world.clock.advance((wait - 1) * SECOND);
                for process in [&connections, &world.process()] {
                    assert_eq!(process.token(&key).await.unwrap_err().kind(), kind, "{status}");
                }
                assert_eq!(world.server.refreshes(), 1, "{status}");
            }
            world.clock.advance(10 * SECOND);
            assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2", "{status}");
            assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1), "{status}");
        }
    }
}

#[tokio::test]
async fn f20_failures_in_a_row_are_further_and_further_apart() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    for _ in 0..2000 {
        world.server.fault(Fault::NotSent);
    }
    for _ in 0..3600 {
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Network);
        world.clock.advance(SECOND);
    }
    let refreshes = world.server.refreshes();
    assert!((10..40).contains(&refreshes), "{refreshes} in an hour");
}

#[tokio::test]
async fn f21_a_good_token_is_served_while_its_refresh_fails() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.clock.advance(3590 * SECOND);
    world.server.fault(Fault::Answer(503, &[], ""));
    for _ in 0..10 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
    }
    assert_eq!(world.server.refreshes(), 1);
}

#[tokio::test]
async fn f21_a_good_token_is_served_although_the_provider_ended_the_connection() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    world.clock.advance(3590 * SECOND);
    for _ in 0..10 {
        assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
        world.clock.settle().await;
    }
    assert_eq!(world.server.refreshes(), 1);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
}

#[tokio::test]
async fn x8_a_save_whose_answer_was_lost_is_not_made_twice() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    let mut events = connections.subscribe();
    world.store.lost_writes.store(1, Ordering::SeqCst);
    let token = connections.token(&key).await.unwrap();
    assert_eq!((token.expose(), token.is_saved()), ("AT-2", true));
    assert_eq!(token.version().counter(), 2);
    assert_eq!(world.store.count("save"), 1);
    drop(connections);
    let Some(Next::Event(event)) = events.next().await else { panic!("no event") };
    assert_eq!(event.kind, EventKind::Refreshed, "it was this process that refreshed");
}

#[tokio::test]
async fn x33_a_panic_wakes_its_waiters_and_the_next_call_works() {
    let (world, connections, key) = World::connected(Rotates::Never).await;
    world.expire();
    world.server.fault(Fault::Panic);
    let error = connections.token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    let again = world.clock.drive(async move { connections.token(&key).await.unwrap().expose().to_owned() });
    assert_eq!(again.await, "AT-2", "the lease of the dead task has ended by itself");
}

#[tokio::test]
async fn x34_another_connections_record_is_not_read() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let others = world.connect_as(&connections, "user-43").await;
    *world.store.swapped.lock().unwrap() = Some(others);
    world.clock.advance(31 * SECOND);
    let error = world.process().token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreContractViolated);
}

#[tokio::test]
async fn x17_t_b10_clocks_that_jump_do_no_harm() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    // The wall clock goes back ten years; the token's own time passes all the same.
    world.clock.step_back(10 * 365 * 24 * 3600 * SECOND);
    world.clock.advance(3600 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}

/// A wall clock that was ahead, and was set right, leaves no token that lives on: a new process cannot know how old it is, and
/// refreshes once. The process that saw it come counts on.
#[tokio::test]
async fn x17_a_token_that_came_by_a_clock_that_was_ahead_is_not_served_by_another_process() {
    const HOUR: u32 = 3600;
    for ahead in [HOUR, 24 * HOUR, 10 * 365 * 24 * HOUR] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        world.clock.sleep_through(ahead * SECOND);
        world.server.expires_in(Some(6));
        let one = world.process();
        assert_eq!(one.token(&key).await.unwrap().expose(), "AT-2");
        world.server.expires_in(Some(3600));
        world.clock.step_back(ahead * SECOND);
        assert_eq!(one.token(&key).await.unwrap().expose(), "AT-2", "it saw it come");
        for _ in 0..2 {
            assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3", "{ahead}");
        }
        world.clock.advance(30 * SECOND);
        assert_eq!(one.token(&key).await.unwrap().expose(), "AT-3", "{ahead}");
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (2, 1), "{ahead}");
    }
}

/// The first holder stops between the answer and the save; the second finds the refresh token used up and writes so. What
/// the first one got is newer than that verdict.
#[tokio::test]
async fn f12_what_the_provider_gave_beats_the_verdict_that_it_is_lost() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    let other = world.process();
    world.expire();
    let first = world.stop_at_its_save(&one, &key).await;
    assert_eq!(other.token(&key).await.unwrap_err().kind(), ErrorKind::RotationLost);
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::RotationLost);
    world.store.saves_open.send_replace(true);
    let token = first.await.unwrap().unwrap();
    assert_eq!((token.expose(), token.is_saved(), token.version().counter()), ("AT-2", true, 3));
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
}

/// The provider refuses what a new login replaced meanwhile: that is what counts, although nothing could be written now.
#[tokio::test]
async fn x22_a_refusal_is_of_what_was_sent_and_not_of_a_later_login() {
    let (world, one, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.end_all();
    world.server.hold();
    let asked = ask(&one, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.store.hold("load");
    world.server.let_go();
    world.until(|| world.store.is_holding()).await;
    world.connect(&world.process()).await;
    world.store.failing_saves.store(1000, Ordering::SeqCst);
    world.store.let_go();
    assert_eq!(asked.await.unwrap().unwrap(), "AT-2");
    assert_eq!(one.token(&key).await.unwrap().expose(), "AT-2");
}

/// The first holder stops between the answer and the save, and the second refreshes meanwhile: what that saved stays, and both
/// serve it.
#[tokio::test]
async fn x3_what_another_process_refreshed_meanwhile_is_not_saved_over() {
    for rotates in [Rotates::WithGrace, Rotates::Never] {
        let (world, one, key) = World::connected(rotates).await;
        let other = world.process();
        world.expire();
        let first = world.stop_at_its_save(&one, &key).await;
        assert_eq!(other.token(&key).await.unwrap().expose(), "AT-3", "{rotates:?}");
        world.store.saves_open.send_replace(true);
        let token = first.await.unwrap().unwrap();
        assert_eq!((token.expose(), token.is_saved(), token.version().counter()), ("AT-3", true, 2));
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3", "{rotates:?}");
    }
}

/// The same, and what the second saved holds the refresh token still that both have sent: the first one's is the next, and
/// would be lost.
#[tokio::test]
async fn x3_the_next_refresh_token_goes_over_one_that_was_sent() {
    let (world, one, key) = World::connected(Rotates::WithGrace).await;
    let other = world.process();
    world.expire();
    let first = world.stop_at_its_save(&one, &key).await;
    let kept = r#"{"access_token":"AT-kept","token_type":"Bearer","expires_in":3600}"#;
    world.server.fault(Fault::Answer(200, &[], kept));
    assert_eq!(other.token(&key).await.unwrap().expose(), "AT-kept");
    world.store.saves_open.send_replace(true);
    let token = first.await.unwrap().unwrap();
    assert_eq!((token.expose(), token.is_saved(), token.version().counter()), ("AT-2", true, 3));
    world.expire();
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3");
    assert_eq!(world.server.most_uses(), 1, "it is RT-2 that is sent next");
}

/// A refresh that works ends the row: after the next failure it is asked again a second later, and not minutes later.
#[tokio::test]
async fn f20_a_success_ends_the_row_of_failures() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    for _ in 0..8 {
        world.server.fault(Fault::NotSent);
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Network);
        world.clock.advance(300 * SECOND);
    }
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    world.expire();
    world.server.fault(Fault::NotSent);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Network);
    world.clock.advance(SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-3");
}

/// What was asked for between says nothing of whether a refresh would work now.
#[tokio::test]
async fn x13_retry_after_is_kept_to_although_a_good_token_was_found_meanwhile() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.fault(Fault::Answer(503, &[("retry-after", "120")], "{}"));
    let error = connections.refresh_now(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "who wants another token is not told the one at hand");
    world.clock.advance(40 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(world.server.refreshes(), 1);
}

/// The same where only this process knows of the failures, and no record tells of them.
#[tokio::test]
async fn f20_a_row_of_failures_goes_on_although_a_good_token_was_found_meanwhile() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    for _ in 0..8 {
        world.clock.advance(300 * SECOND);
        world.server.fault(Fault::NotSent);
        assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::Network);
    }
    world.clock.advance(40 * SECOND);
    let loads = world.store.count("load");
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-1");
    assert_eq!(world.store.count("load"), loads + 1, "the store was asked");
    assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(world.server.refreshes(), 8);
}

/// It is sent again only under a lease that is held still.
#[tokio::test]
async fn r7_a_refresh_is_not_repeated_without_its_lease() {
    let (world, connections, key) = World::connected(Rotates::WithGrace).await;
    world.expire();
    world.server.fault(Fault::LoseAnswer);
    world.store.loses_leases.store(true, Ordering::SeqCst);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(world.server.refreshes(), 1);
}

/// The lease's own mark comes back: what it was written over is not known, so it counts as an attempt, which began when the
/// record was looked at and no later.
#[tokio::test]
async fn x6_r6_a_lease_whose_answer_was_lost_is_asked_for_again_and_marked_anew() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    let looked_at = world.clock.now();
    world.store.lost_leases.store(1, Ordering::SeqCst);
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    let mark = world.store.inner.load(&key).await.unwrap().into_record().unwrap().mark.unwrap();
    assert_eq!((mark.attempt, mark.started_at), (2, looked_at));
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap(), "AT-2");
    assert_eq!(world.store.count("lease"), 2);
}

#[tokio::test]
async fn x6_nothing_is_sent_under_a_lease_that_cannot_be_marked_anew() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.lost_leases.store(1, Ordering::SeqCst);
    world.store.loses_leases.store(true, Ordering::SeqCst);
    let asked = tokio::spawn(async move { connections.token(&key).await.unwrap().expose().to_owned() });
    world.until(|| world.store.count("renew") == 1).await;
    world.clock.settle().await;
    assert_eq!(world.server.refreshes(), 0);
    world.store.loses_leases.store(false, Ordering::SeqCst);
    assert_eq!(world.clock.drive(async move { asked.await.unwrap() }).await, "AT-2");
}

#[tokio::test]
async fn x6_i6_a_store_that_gives_no_lease_is_not_asked_again_at_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.lost_leases.store(2, Ordering::SeqCst);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    let loads = world.store.count("load");
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    assert_eq!((world.store.count("load"), world.server.refreshes()), (loads, 0));
}

/// F5: it is known in this process, and asked for again only when the store is asked again.
#[tokio::test]
async fn f5_x14_a_refusal_that_the_store_does_not_take_is_not_asked_for_again_at_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.end_all();
    world.store.failing_saves.store(1000, Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NeedsReconnect);
    }
    assert_eq!(world.server.refreshes(), 1);
}

/// The lease was lost while the request was under way, and somebody else has marked the record since: it may be that one's
/// request that used the refresh token up.
#[tokio::test]
async fn r6_a_refusal_after_anothers_mark_is_a_lost_rotation() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.end_all();
    world.server.hold();
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    let own = world.store.inner.load(&key).await.unwrap().into_record().unwrap().mark.unwrap();
    world.store.end_lease(&key).await;
    let holder = LeaseHolder::random().unwrap();
    let mark = RefreshMark::new(holder, own.refresh_token_hash, own.started_at).attempt(2);
    world.store.inner.lease(&key, LeaseRequest::new(holder, SECOND).mark(mark)).await.unwrap();
    world.server.let_go();
    assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::RotationLost);
}
