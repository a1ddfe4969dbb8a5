//! Removals that the store did not take, and that are made up for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::{
    Binding, Call, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections, ErrorKind, EventKind,
    FlowManager, HttpClient, Next, Provider, Removal, Result, Revocation, Scopes, StateStore, TokenSet,
    async_trait, rfc,
};
use connections_support::{REDIRECT_URI, Rotates, SECOND, World, user};

fn binding() -> Binding {
    Binding::user("tenant", "user-42")
}

/// Whether the connection was in memory when the store went down, or not.
async fn disconnected_while_the_store_is_down(is_at_hand: bool) -> (World, Connections, ConnectionKey) {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let connections = if is_at_hand { connections } else { world.process() };
    world.store.down(true);
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap_err().kind(), ErrorKind::StoreUnavailable);
    let revoked = disconnected.revocation.map(|revoked| revoked.unwrap());
    assert_eq!(revoked, is_at_hand.then_some(Revocation::Revoked));
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected, "here it is gone");
    (world, connections, key)
}

#[tokio::test]
async fn a_disconnect_while_the_store_is_down_says_so_and_revokes_what_is_at_hand() {
    for is_at_hand in [true, false] {
        let (world, connections, key) = disconnected_while_the_store_is_down(is_at_hand).await;
        let mut events = connections.subscribe();
        world.store.down(false);
        // Nor is it back when the store is: the next look into the store removes it.
        world.clock.advance(10 * SECOND);
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(world.server.revoked(), ["RT-1"], "once");
        let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
        assert_eq!((&event.key, event.kind), (&key, EventKind::Disconnected));
        assert_eq!(connections.disconnect(&key).await.unwrap().removal.unwrap(), Removal::WasAbsent);
    }
}

#[tokio::test]
async fn the_list_does_not_show_what_was_disconnected_while_the_store_was_down() {
    let (world, connections, key) = disconnected_while_the_store_is_down(true).await;
    world.store.down(false);
    let listing = connections.list(&user()).await.unwrap();
    assert_eq!((listing.connections.len(), listing.unreadable), (0, 0));
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

/// Not even where so many others are asked for that what is not in use has to go.
#[tokio::test]
async fn i6_a_removal_that_the_store_did_not_take_is_not_forgotten_for_others() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let connections = world.builder().max_cached(1).build().unwrap();
    world.store.down(true);
    connections.disconnect(&key).await.unwrap().removal.unwrap_err();
    world.store.down(false);
    for other in 0..1000 {
        connections.token(&key.with_account(other.to_string())).await.unwrap_err();
    }
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

/// As long as the store does not take it, it is asked for again, and no call gets a token.
#[tokio::test]
async fn a_removal_that_the_store_does_not_take_is_tried_again_and_again() {
    let (world, connections, key) = disconnected_while_the_store_is_down(true).await;
    let handle = connections.handle(&key).unwrap();
    for round in 0..20 {
        world.clock.advance(10 * SECOND);
        // Now and then it can be read and not written.
        world.store.down(round % 2 == 0);
        world.store.failing_removals.store(1000, Ordering::SeqCst);
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(connections.refresh_now(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        assert_eq!(handle.token().await.unwrap_err().kind(), ErrorKind::NotConnected);
        let more = connections.begin_with_more(&key, &binding(), &Scopes::none()).await;
        assert_eq!(more.map(drop).unwrap_err().kind(), ErrorKind::NotConnected);
        if round % 2 != 0 {
            assert!(connections.list(&user()).await.unwrap().connections.is_empty());
        }
    }
    world.store.failing_removals.store(0, Ordering::SeqCst);
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-1", "elsewhere it is there still");
    assert_eq!(connections.disconnect(&key).await.unwrap().removal.unwrap(), Removal::Removed);
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
}

/// A later connect, here or by another process, is not what was to be removed.
#[tokio::test]
async fn x22_a_removal_that_is_made_up_for_spares_the_next_connect() {
    for (is_at_hand, is_elsewhere) in [(true, true), (true, false), (false, true), (false, false)] {
        let (world, connections, key) = disconnected_while_the_store_is_down(is_at_hand).await;
        world.store.down(false);
        // Here it is known which came first, however fast.
        world.clock.advance(if is_elsewhere { SECOND } else { Duration::ZERO });
        let by = if is_elsewhere { world.process() } else { connections.clone() };
        world.connect(&by).await;
        for _ in 0..2 {
            world.clock.advance(31 * SECOND);
            assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
        }
        assert_eq!(connections.list(&user()).await.unwrap().connections.len(), 1);
        assert!(world.server.takes("AT-2"));
    }
}

/// Two machines' clocks differ: a connect that came after the removal may seem to have come before it. Where it is known to be
/// another one, that is allowed for.
#[tokio::test]
async fn x17_x22_a_removal_spares_a_later_connect_by_a_clock_that_is_behind() {
    for (behind, is_spared) in [(0, true), (30, true), (59, true), (60, false), (3600, false)] {
        let (world, connections, key) = disconnected_while_the_store_is_down(true).await;
        world.store.down(false);
        let behind = behind * SECOND;
        world.clock.step_back(behind);
        world.connect(&world.process()).await;
        world.clock.sleep_through(behind);
        world.clock.advance(31 * SECOND);
        let served = connections.token(&key).await.map(|token| token.expose().to_owned());
        assert_eq!(served.ok().as_deref(), is_spared.then_some("AT-2"), "{behind:?}");
        assert_eq!(world.server.takes("AT-2"), is_spared, "{behind:?}");
        let listed = connections.list(&user()).await.unwrap().connections.len();
        assert_eq!(listed, usize::from(is_spared), "{behind:?}");
    }
}

/// Once it is made up for it is over: a later connect is not meant, however far behind the clock by which it came.
#[tokio::test]
async fn x17_x22_a_removal_that_was_made_up_for_is_done() {
    let (world, connections, key) = disconnected_while_the_store_is_down(true).await;
    world.store.down(false);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(world.store.inner_record(&key).await.is_none(), "it is removed");
    world.clock.step_back(600 * SECOND);
    world.connect(&world.process()).await;
    world.clock.sleep_through(600 * SECOND);
    world.clock.advance(31 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    assert!(world.server.takes("AT-2"));
}

/// The user connected anew elsewhere before, and this process knew the connect of before: both are to go.
#[tokio::test]
async fn x22_a_removal_is_of_a_connect_that_came_before_it_too() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.connect(&world.process()).await;
    world.clock.advance(60 * SECOND);
    world.store.down(true);
    connections.disconnect(&key).await.unwrap().removal.unwrap_err();
    world.store.down(false);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.process().token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!(!world.server.takes("AT-2"));
}

/// Revokes, and says that it was a part.
#[derive(Debug)]
struct InPart(ConfiguredProvider);

#[async_trait]
impl FlowManager for InPart {
    fn provider(&self) -> &Provider {
        self.0.provider()
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        self.0.credentials()
    }

    fn state_store(&self) -> &dyn StateStore {
        self.0.state_store()
    }

    async fn revoke(&self, cx: &Call<'_>, http: &dyn HttpClient, tokens: &TokenSet) -> Result<Revocation> {
        rfc::revoke(cx, http, tokens).await.map(|_| Revocation::Partial)
    }
}

#[tokio::test]
async fn what_was_revoked_in_part_is_revoked_again_with_the_removal() {
    let world = World::new(Rotates::Strictly);
    let manager = world.manager(world.provider("p"), REDIRECT_URI, Arc::clone(&world.states));
    let connections = world.process_over(InPart(manager));
    let key = world.connect(&connections).await;
    world.store.down(true);
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.revocation.unwrap().unwrap(), Revocation::Partial);
    world.store.down(false);
    world.clock.advance(10 * SECOND);
    assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    assert_eq!(world.server.revoked(), ["RT-1", "RT-1"]);
}
