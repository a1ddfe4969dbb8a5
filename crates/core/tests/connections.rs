//! Connections: what is checked when they are built, connect, list, handle, disconnect.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod connections_support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::quirks::{IssPolicy, RefreshInput};
use authflow_core::{
    AuthorizationResponse, Binding, Clock, ConnectionKey, Connections, EnvKeys, ErrorKind, EventKind, Expiry,
    FileKeys, Health, HttpRequest, KeyRing, Keys, MemoryTokenStore, Next, ReconnectReason, Recovery, Removal,
    Revocation, Scopes, User,
};
use connections_support::{Fault, Rotates, SECOND, World, ask, callback, user};

fn binding() -> Binding {
    Binding::user("tenant", "user-42")
}

#[tokio::test]
async fn a_durable_store_without_keys_is_refused() {
    let world = World::new(Rotates::Strictly);
    world.store.is_durable.store(true, Ordering::SeqCst);
    let builder = || {
        Connections::builder()
            .flow(world.flow("p", "https://app.example/callback"))
            .token_store(Arc::clone(&world.store))
    };
    let error = builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("keys"), "{error}");
    builder().unsealed().build().unwrap();
    builder().keys(KeyRing::generate().unwrap()).build().unwrap();
    world.store.is_durable.store(false, Ordering::SeqCst);
    builder().build().unwrap();
}

/// At the start of the program, and not when a user has consented.
#[tokio::test]
async fn keys_that_are_missing_or_malformed_are_found_when_connections_are_built() {
    let world = World::new(Rotates::Strictly);
    let build = |keys: Keys| {
        let connections = Connections::builder().flow(world.flow("p", "https://app.example/callback"));
        connections.token_store(Arc::clone(&world.store)).keys(keys).build().map(drop)
    };
    let directory = tempfile::tempdir().unwrap();
    let file = FileKeys::new(directory.path().join("keys"));
    let unset = "AUTHFLOW_TEST_KEYS_THAT_NOBODY_SETS";
    for (keys, named) in [
        (Keys::new(EnvKeys::new(unset)), unset),
        (Keys::new(Arc::new(EnvKeys::new(unset))), unset),
        (Keys::new(file.clone()), "keys: there is none"),
    ] {
        let error = build(keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(named), "{error}");
    }
    file.read_or_create().unwrap();
    build(Keys::new(file)).unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_found_when_it_is_built() {
    let world = World::new(Rotates::Strictly);
    let flow = || world.flow("p", "https://app.example/callback");
    let store = MemoryTokenStore::new;
    let errors = [
        Connections::builder().token_store(store()).build(),
        Connections::builder().flow(flow()).build(),
        Connections::builder()
            .flow(flow())
            .flow(world.flow("p", "https://app.example/other"))
            .token_store(store())
            .build(),
        Connections::builder().flow(flow()).token_store(store()).lease(SECOND / 2).build(),
        Connections::builder().flow(flow()).token_store(store()).lease(301 * SECOND).build(),
        Connections::builder().flow(flow()).token_store(store()).store_timeout(Duration::ZERO).build(),
        Connections::builder().flow(flow()).token_store(store()).max_refreshes(0).build(),
    ];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Configuration);
    }
}

/// With all that a second one of the same has in common with the first, its redirect URI above all.
#[tokio::test]
async fn a_provider_that_is_added_twice_is_named() {
    let world = World::new(Rotates::Strictly);
    for second in ["https://app.example/callback", "https://app.example/other"] {
        let builder = Connections::builder().flow(world.flow("q", "https://app.example/q"));
        let builder = builder.flow(world.flow("p", "https://app.example/callback"));
        let built = builder.flow(world.flow("p", second)).token_store(MemoryTokenStore::new()).build();
        let error = built.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let said = error.to_string();
        assert!(said.contains("`p` was added twice") && said.contains("`provider_id`"), "{said}");
    }
}

#[test]
fn without_a_runtime_they_are_not_built() {
    let world = World::new(Rotates::Strictly);
    let built = world.builder().build();
    assert_eq!(built.unwrap_err().kind(), ErrorKind::Configuration);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    world.builder().runtime(runtime.handle().clone()).build().unwrap();
}

/// RFC 9700 §4.4: mix-up.
#[tokio::test]
async fn b3_two_providers_at_one_redirect_uri_are_refused_without_iss() {
    let world = World::new(Rotates::Strictly);
    let shared = "https://app.example/callback";
    let build = |one, other| {
        let builder = Connections::builder().flow(world.flow("p", one)).flow(world.flow("q", other));
        builder.token_store(MemoryTokenStore::new()).build()
    };
    assert_eq!(build(shared, shared).unwrap_err().kind(), ErrorKind::Configuration);
    build(shared, "https://app.example/other").unwrap();
    // Each of the two has an issuer, and says which it is.
    let flow = |id, issuer: &str, iss| {
        let mut quirks = world.quirks.clone();
        quirks.authorization_response.iss = iss;
        world.flow_of(world.provider(id).issuer(issuer).quirks(quirks), shared)
    };
    let build = |one, other| {
        let flows = flow("p", "https://one.example", one);
        let builder = Connections::builder().flow(flows).flow(flow("q", "https://other.example", other));
        builder.token_store(MemoryTokenStore::new()).build()
    };
    build(IssPolicy::Required, IssPolicy::Required).unwrap();
    for (one, other) in
        [(IssPolicy::Required, IssPolicy::IfPresent), (IssPolicy::IfPresent, IssPolicy::Required)]
    {
        assert_eq!(build(one, other).unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn connect_saves_and_tells_what_was_granted() {
    let world = World::new(Rotates::Strictly);
    world.server.scope("read");
    world.server.account("account-1");
    let connections = world.process();
    let mut events = connections.subscribe();
    let begin = connections.begin("p", &binding()).unwrap().return_to("/settings");
    let query = callback(begin.await.unwrap().url());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let connected = connections.complete("p", &response, &binding()).await.unwrap();
    assert_eq!(connected.key, ConnectionKey::new(&user(), "p").with_account("account-1"));
    assert_eq!(connected.scopes, Scopes::new(["read"]));
    assert_eq!(connected.missing_scopes, Scopes::new(["write"]));
    assert_eq!(connected.return_to.as_deref(), Some("/settings"));
    let Some(Next::Event(event)) = events.next().await else { panic!("an event") };
    assert_eq!(event.kind, EventKind::Connected);
    assert_eq!(world.process().token(&connected.key).await.unwrap().expose(), "AT-1");
    let error = connections.complete("p", &response, &binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound, "a code is sent once");
}

#[tokio::test]
async fn x26_no_code_is_sent_while_the_store_is_down_and_the_callback_works_later() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let query = world.callback(&connections, &binding()).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    world.store.down(true);
    let error = connections.complete("p", &response, &binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(matches!(error.recovery(), Recovery::Retry { .. }));
    assert_eq!(world.server.exchanges(), 0);
    world.store.down(false);
    connections.complete("p", &response, &binding()).await.unwrap();
}

#[tokio::test]
async fn x26_a_store_that_fails_after_the_exchange_gives_the_tokens_back() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    world.server.hold();
    let asked = world.complete(&connections).await;
    world.until(|| world.server.exchanges() == 1).await;
    world.store.down(true);
    world.server.let_go();
    let error = world.clock.drive(asked).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::NotDurable, Recovery::Reconnect));
    assert_eq!(world.server.revoked(), ["RT-1"]);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_found() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    world.store.lost_writes.store(1, Ordering::SeqCst);
    let key = world.connect(&connections).await;
    assert_eq!(connections.token(&key).await.unwrap().version().counter(), 1);
    assert_eq!(world.store.count("put"), 1);
}

#[tokio::test]
async fn f3_a_caller_that_goes_away_during_complete_loses_nothing() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    world.server.hold();
    let asked = world.complete(&connections).await;
    world.until(|| world.server.exchanges() == 1).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    world.server.let_go();
    world.clock.settle().await;
    let key = ConnectionKey::new(&user(), "p");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-1");
}

async fn signed_in<E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static>(
    world: &World,
    connections: &Connections,
    user: Result<User, E>,
) -> authflow_core::Result<authflow_core::Connected> {
    world.server.account("account-1");
    let begun = connections.begin_in_browser("p").unwrap().await.unwrap();
    let query = callback(begun.url());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let complete = connections.complete("p", &response, begun.binding());
    complete
        .sign_in(move |who| async move {
            assert_eq!(who.tokens.account.as_deref(), Some("account-1"));
            user
        })
        .await
}

#[tokio::test]
async fn who_signs_in_is_named_by_the_application_after_the_exchange() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let connected = signed_in::<String>(&world, &connections, Ok(User::new("", "found"))).await.unwrap();
    assert_eq!(connected.key, ConnectionKey::new(&User::new("", "found"), "p").with_account("account-1"));
    assert_eq!(connections.token(&connected.key).await.unwrap().expose(), "AT-1");
}

#[tokio::test]
async fn a_sign_in_that_finds_nobody_gives_the_tokens_back() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let error = signed_in(&world, &connections, Err("no such user")).await.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "no such user");
    assert_eq!(world.server.revoked(), ["RT-1"]);
    assert_eq!(world.store.count("put"), 0);
}

#[tokio::test]
async fn f17_of_two_logins_the_last_one_stays_whole() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let again = world.connect(&connections).await;
    assert_eq!(again, key);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
    world.expire();
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-3");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3");
}

/// The refresh of the connection before must not undo a new login.
#[tokio::test]
async fn x22_a_new_login_beats_the_refresh_under_way() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.store.saves_open.send_replace(false);
    let asked = ask(&connections, &key);
    world.until(|| world.server.refreshes() == 1).await;
    world.clock.settle().await;
    world.connect(&world.process()).await;
    world.store.saves_open.send_replace(true);
    assert_eq!(asked.await.unwrap().unwrap(), "AT-3", "that of the login");
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-3");
    assert!(world.server.takes("AT-3"), "what came too late is not revoked: it could take the login with it");
}

#[tokio::test]
async fn a_user_has_several_accounts_and_sees_no_other_users() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    for account in ["account-1", "account-2"] {
        world.server.account(account);
        world.connect(&connections).await;
    }
    world.connect_as(&connections, "user-43").await;
    let listing = connections.list(&user()).await.unwrap();
    let mut accounts: Vec<_> = listing.connections.iter().map(|it| it.key.account().unwrap()).collect();
    accounts.sort_unstable();
    assert_eq!(accounts, ["account-1", "account-2"]);
    assert_eq!(listing.unreadable, 0);
    assert!(listing.connections.iter().all(|connection| connection.health == Health::Good));
    assert!(!format!("{listing:?}").contains("AT-"), "never a token");
    assert!(connections.list(&User::new("other", "user-42")).await.unwrap().connections.is_empty());
}

#[tokio::test]
async fn a_token_tells_what_the_provider_said_of_it() {
    let world = World::new(Rotates::Strictly);
    world.server.scope("read write");
    let connections = world.process();
    let key = world.connect(&connections).await;
    let token = connections.token(&key).await.unwrap();
    assert_eq!((token.expose(), token.token_type(), token.key()), ("AT-1", Some("Bearer"), &key));
    assert_eq!(token.scopes().iter().collect::<Vec<_>>(), ["read", "write"]);
    assert_eq!(token.expiry(), Expiry::At(world.clock.now() + Duration::from_secs(3600)));
    assert_eq!(connections.list(&user()).await.unwrap().connections[0].scopes, *token.scopes());
}

#[tokio::test]
async fn the_list_tells_when_it_was_connected_and_refreshed_and_for_what() {
    let world = World::new(Rotates::Strictly);
    world.server.scope("read");
    let connections = world.process();
    let connected_at = world.clock.now();
    let key = world.connect(&connections).await;
    let good_from = |at| Expiry::At(at + Duration::from_secs(3600));
    let row = async || {
        let mut listed = world.process().list(&user()).await.unwrap().connections;
        let connection = listed.pop().unwrap();
        assert_eq!((&connection.key, connection.connected_at), (&key, connected_at));
        assert_eq!(connection.scopes, Scopes::new(["read"]));
        assert_eq!(connection.missing_scopes, Scopes::new(["write"]));
        (connection.refreshed_at, connection.expiry)
    };
    assert_eq!(row().await, (None, good_from(connected_at)));
    world.clock.advance(1000 * SECOND);
    let refreshed_at = world.clock.now();
    connections.refresh_now(&key).await.unwrap();
    assert_eq!(row().await, (Some(refreshed_at), good_from(refreshed_at)));
}

#[tokio::test]
async fn a_list_goes_through_page_after_page() {
    let world = World::new(Rotates::Strictly);
    world.store.has_short_pages.store(true, Ordering::SeqCst);
    let connections = world.process();
    let accounts = ["account-1", "account-2", "account-3"];
    for account in accounts {
        world.server.account(account);
        world.connect(&connections).await;
    }
    let listing = connections.list(&user()).await.unwrap();
    let mut listed: Vec<_> = listing.connections.iter().map(|it| it.key.account().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!((listed, listing.unreadable), (accounts.to_vec(), 0));
    assert!(world.store.count("list") >= accounts.len());
}

#[tokio::test]
async fn the_list_tells_what_goes_on_without_its_user() {
    for (input, expected) in [(RefreshInput::RefreshToken, true), (RefreshInput::None, false)] {
        let mut world = World::new(Rotates::Strictly);
        world.quirks.refresh_policy.input = input;
        let connections = world.process();
        world.connect(&connections).await;
        let listing = connections.list(&user()).await.unwrap();
        assert_eq!(listing.connections[0].is_refreshable, expected, "{input:?}");
        // What cannot be refreshed is over with its token, and nobody has to ask for one before that is seen.
        world.expire();
        let over = Health::NeedsReconnect { reason: ReconnectReason::Expired, since: None };
        let listing = world.process().list(&user()).await.unwrap();
        assert_eq!(listing.connections[0].health, if expected { Health::Good } else { over }, "{input:?}");
    }
    // It has a refresh token still, and nothing is done with that any more.
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.end_all();
    connections.refresh_now(&key).await.unwrap_err();
    let listing = connections.list(&user()).await.unwrap();
    let connection = &listing.connections[0];
    assert!(matches!(connection.health, Health::NeedsReconnect { .. }));
    assert!(!connection.is_refreshable);
}

#[tokio::test]
async fn the_list_tells_who_needs_to_connect_again_and_what_cannot_be_read() {
    let (mut world, connections, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    world.server.end_all();
    connections.token(&key).await.unwrap_err();
    let listing = connections.list(&user()).await.unwrap();
    assert!(matches!(listing.connections[0].health, Health::NeedsReconnect { since: Some(_), .. }));
    world.ring = KeyRing::generate().unwrap();
    let listing = world.process().list(&user()).await.unwrap();
    assert_eq!((listing.connections.len(), listing.unreadable), (0, 1));
}

/// F15: the record stays as it is, and opens again once the key is back.
#[tokio::test]
async fn f15_a_lost_key_costs_nothing_but_time() {
    let (mut world, _, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    let ring = std::mem::replace(
        &mut world.ring,
        KeyRing::new("another", authflow_core::Key::generate().unwrap()).unwrap(),
    );
    let error = world.process().token(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnknown);
    assert_eq!((world.server.refreshes(), world.store.count("save")), (0, 0));
    world.ring = ring;
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn more_scopes_are_asked_for_beside_those_that_were_granted() {
    let world = World::new(Rotates::Strictly);
    world.server.scope("read");
    let connections = world.process();
    let key = world.connect(&connections).await;
    let more = Scopes::new(["admin"]);
    let begin = connections.begin_with_more(&key, &binding(), &more).await.unwrap();
    let authorization = begin.await.unwrap();
    assert!(authorization.url().contains("scope=read+admin"), "{}", authorization.url());
    let other = Binding::user("tenant", "user-43");
    let error = connections.begin_with_more(&key, &other, &more).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

/// A connect replaces the whole record: with `more` alone the scopes of before would be lost.
#[tokio::test]
async fn more_scopes_are_not_asked_for_where_those_of_before_are_not_known() {
    let (mut world, connections, key) = World::connected(Rotates::Strictly).await;
    let more = Scopes::new(["admin"]);
    let kind = async |connections: &Connections, key: &ConnectionKey| {
        connections.begin_with_more(key, &binding(), &more).await.map(drop).unwrap_err().kind()
    };
    world.store.down(true);
    assert_eq!(kind(&connections, &key).await, ErrorKind::StoreUnavailable);
    world.store.down(false);
    assert_eq!(kind(&connections, &key.with_account("another")).await, ErrorKind::NotConnected);
    assert_eq!(kind(&connections, &ConnectionKey::new(key.user(), "q")).await, ErrorKind::Usage);
    world.ring = KeyRing::new("another", authflow_core::Key::generate().unwrap()).unwrap();
    assert_eq!(kind(&world.process(), &key).await, ErrorKind::KeyUnknown);
    connections.disconnect(&key).await.unwrap();
    assert_eq!(kind(&connections, &key).await, ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_handle_serves_what_the_registry_serves() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let handle = connections.handle(&key).unwrap();
    assert_eq!(handle.token().await.unwrap().expose(), "AT-1");
    let loads = world.store.count("load");
    assert_eq!(handle.token().await.unwrap().expose(), "AT-1");
    assert_eq!(world.store.count("load"), loads);
    assert_eq!(connections.refresh_now(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(handle.token().await.unwrap().expose(), "AT-2", "a change is seen at once");
    world.expire();
    assert_eq!(handle.token().await.unwrap().expose(), "AT-3");
    connections.disconnect(&key).await.unwrap();
    assert_eq!(handle.token().await.unwrap_err().kind(), ErrorKind::NotConnected);
    world.connect(&connections).await;
    assert_eq!(handle.token().await.unwrap().expose(), "AT-4");
}

/// That there is none is known for a second, however often it was asked for: who connects elsewhere is not kept waiting.
#[tokio::test]
async fn what_is_not_connected_is_looked_for_again_after_a_second() {
    let (world, connections, _) = World::connected(Rotates::Strictly).await;
    let key = ConnectionKey::new(&User::new("tenant", "user-43"), "p");
    for times in 1..=8 {
        let loads = world.store.count("load");
        for _ in 0..2 {
            assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
        }
        assert_eq!(world.store.count("load"), loads + 1, "for the {times}. time");
        world.clock.advance(SECOND);
    }
    assert_eq!(world.connect_as(&world.process(), "user-43").await, key);
    assert_eq!(connections.token(&key).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn a_disconnect_revokes_and_forgets() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let disconnected = connections.disconnect(&key).await.unwrap();
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    assert_eq!(disconnected.revocation.unwrap().unwrap(), Revocation::Revoked);
    assert_eq!(world.server.revoked(), ["RT-1"]);
    for connections in [&connections, &world.process()] {
        assert_eq!(connections.token(&key).await.unwrap_err().kind(), ErrorKind::NotConnected);
    }
    let again = connections.disconnect(&key).await.unwrap();
    assert_eq!(again.removal.unwrap(), Removal::WasAbsent);
    assert!(again.revocation.is_none());
    let new = world.connect(&connections).await;
    assert_eq!(connections.token(&new).await.unwrap().expose(), "AT-2");
}

#[tokio::test]
async fn i6_a_disconnect_comes_to_an_end_although_the_provider_never_answers() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    world.server.hold();
    let asked = async move { connections.disconnect(&key).await.unwrap() };
    let disconnected = world.clock.drive(asked).await;
    assert_eq!(disconnected.removal.unwrap(), Removal::Removed);
    assert_eq!(disconnected.revocation.unwrap().unwrap_err().kind(), ErrorKind::Network);
}

#[tokio::test]
async fn h1_no_debug_shows_a_token() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let token = connections.token(&key).await.unwrap();
    let handle = connections.handle(&key).unwrap();
    handle.token().await.unwrap();
    let shown = format!("{connections:?} {token:?} {handle:?} {:?}", world.store);
    for secret in ["AT-1", "RT-1", "planted-secret", "user-42"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    world.expire();
    world.server.fault(Fault::Answer(400, &[], r#"{"error":"invalid_request","error_description":"RT-1"}"#));
    let error = connections.token(&key).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("RT-1"), "{error}");
}

#[tokio::test]
async fn b11_a_provider_id_that_is_not_known_is_cleaned_before_it_is_shown() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let response = AuthorizationResponse::from_query("code=c&state=s").unwrap();
    let error = connections.complete("p\r\nplanted", &response, &binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(connections.begin("p\r\nplanted", &binding()).is_err());
    assert!(!error.to_string().contains('\n'), "{error}");
}

/// X33: what the application does between the exchange and the save may panic; the tokens are not left in force.
#[tokio::test]
async fn x33_a_sign_in_that_panics_gives_the_tokens_back() {
    let world = World::new(Rotates::Strictly);
    let connections = world.process();
    let begun = connections.begin_in_browser("p").unwrap().await.unwrap();
    let query = callback(begun.url());
    let response = AuthorizationResponse::from_query(&query).unwrap();
    let complete = connections.complete("p", &response, begun.binding());
    let error = complete.sign_in(|_| async { panics().await }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(world.server.revoked(), ["RT-1"]);
}

async fn panics() -> Result<User, String> {
    panic!("planted")
}

/// That there is no such connection is known for a moment: a page that asks a hundred times makes one call of the store.
#[tokio::test]
async fn i6_what_is_not_there_is_not_asked_for_again_at_once() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let other = key.with_account("other");
    let loads = world.store.count("load");
    for _ in 0..100 {
        assert_eq!(connections.token(&other).await.unwrap_err().kind(), ErrorKind::NotConnected);
    }
    assert!(world.store.count("load") <= loads + 1, "{}", world.store.count("load"));
    let binding = binding();
    world.server.account("other");
    let query = world.callback(&connections, &binding).await;
    let response = AuthorizationResponse::from_query(&query).unwrap();
    assert_eq!(connections.complete("p", &response, &binding).await.unwrap().key, other);
    assert_eq!(connections.token(&other).await.unwrap().expose(), "AT-2", "a connect is seen at once");
    assert_eq!(connections.refresh_now(&other).await.unwrap().expose(), "AT-3");
}

/// All who have no id would be one user.
#[tokio::test]
async fn an_empty_user_or_provider_id_is_refused() {
    let (world, connections, key) = World::connected(Rotates::Strictly).await;
    let nobody = User::new("tenant", "");
    let request = || HttpRequest::get("https://api.example/me".parse().unwrap());
    for key in [ConnectionKey::new(&nobody, "p"), ConnectionKey::new(key.user(), "")] {
        let calls = [
            connections.token(&key).await.map(drop),
            connections.refresh_now(&key).await.map(drop),
            connections.handle(&key).map(drop),
            connections.send(&key, request()).await.map(drop),
            connections.disconnect(&key).await.map(drop),
        ];
        for (at, call) in calls.into_iter().enumerate() {
            assert_eq!(call.unwrap_err().kind(), ErrorKind::Usage, "{at}");
        }
    }
    assert_eq!(connections.list(&nobody).await.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(connections.begin("", &binding()).map(drop).unwrap_err().kind(), ErrorKind::Usage);
    let begun = connections.begin("p", &Binding::user("tenant", "")).unwrap().await;
    assert_eq!(begun.unwrap_err().kind(), ErrorKind::Usage);
    let signed_in = signed_in::<String>(&world, &connections, Ok(User::new("t", ""))).await;
    assert_eq!(signed_in.unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(world.server.revoked().len(), 1, "what nobody holds is given back");
}
