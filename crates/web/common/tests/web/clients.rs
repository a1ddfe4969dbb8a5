//! What the application's own handlers get.

use std::sync::atomic::Ordering;
use std::time::Duration;

use authflow_core::{Error, ErrorKind, Health, Operation, ServerError};
use authflow_testkit::{Endpoint, ErrorCode, Fault};
use authflow_web::{Client, Missing, Refusal};
use http::request::Parts;
use http::{HeaderValue, Method, Request};

use crate::application::{Mark, Session, user_of};
use crate::browser::{Answer, Browser, From};
use crate::world::{Setup, World};

const NAVIGATION: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("accept", "text/html,*/*;q=0.8")];

fn request(session: &str, path: &str, headers: &[(&'static str, &'static str)]) -> Parts {
    let mut request = Request::get(path).extension(Mark);
    if !session.is_empty() {
        request = request.header("cookie", format!("session={session}"));
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    for (name, value) in headers {
        parts.headers.insert(*name, HeaderValue::from_static(value));
    }
    parts
}

fn answer(world: &World, missing: &Missing, parts: &Parts) -> Answer {
    let answer = Answer::new(missing.response(&world.accounts, parts));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    answer
}

fn kind(refusal: &Refusal) -> ErrorKind {
    let Missing::Failed(error) = refusal.missing() else { panic!("{refusal:?}") };
    error.kind()
}

/// The answer that a refusal has for its own request.
fn refused(refusal: &Refusal) -> Answer {
    let answer = Answer::new(refusal.response().clone());
    assert_eq!(answer.header("cache-control"), "no-store");
    answer
}

fn problem(answer: &Answer, status: u16) -> serde_json::Value {
    assert_eq!((answer.status, answer.header("content-type")), (status, "application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    problem
}

#[tokio::test]
async fn a_client_sends_with_the_users_token() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    let parts = request("alice", "/inbox", &[]);
    let client = world.accounts.client(&parts, "alpha").await.unwrap();
    assert_eq!((client.key().provider_id(), client.key().account()), ("alpha", Some("user-1")));
    let response = client.get("https://as.example/resource").await.unwrap();
    assert_eq!(response.status, 200);
    let url = "https://as.example/resource".parse().unwrap();
    let sent = client.send(authflow_core::HttpRequest::get(url)).await.unwrap();
    assert_eq!(sent.into_inner().body, response.body);
    let issued = world.server.ledger().token_requests()[0].issued()[0].value().to_owned();
    assert_eq!(client.token().await.unwrap().expose(), issued);
    assert!(!format!("{client:?}").contains(&issued));
    assert_eq!(kind(&client.get("/resource").await.unwrap_err()), ErrorKind::Usage);
    let foreign = client.get("https://evil.example/").await.unwrap_err();
    assert_eq!(kind(&foreign), ErrorKind::ForeignOrigin);
    let connection = client.connection();
    assert_eq!((&connection.key, connection.health), (client.key(), Health::Good));
    assert_eq!(connection.scopes.iter().collect::<Vec<_>>(), ["read"]);
    assert_eq!(client.clone().connections().providers().count(), 2);
    // Another user has none, and another provider is another.
    let bob = world.accounts.client(&request("bob", "/", &[]), "alpha").await;
    assert!(matches!(bob, Err(Missing::NotConnected { provider_id }) if &*provider_id == "alpha"));
    let beta = world.accounts.client(&parts, "beta").await;
    assert!(matches!(beta, Err(Missing::NotConnected { provider_id }) if &*provider_id == "beta"));
}

#[tokio::test]
async fn of_several_accounts_the_one_that_works_and_was_connected_last() {
    let world = World::new();
    let browser = Browser::of("alice");
    for account in ["one", "two", "three"] {
        world.server.sign_in(account);
        world.advance(1);
        world.connect(&browser, "alpha").await;
    }
    let parts = request("alice", "/", &[]);
    let account = async || {
        let client = world.accounts.client(&parts, "alpha").await?;
        Ok::<_, Missing>(client.key().account().unwrap_or_default().to_owned())
    };
    assert_eq!(account().await.unwrap(), "three");
    // It is over at the provider.
    for (gone, next) in [("three", "two"), ("two", "one")] {
        world.server.revoke_grants_of(gone);
        let client = world.accounts.client(&parts, "alpha").await.unwrap();
        let key = client.key().clone();
        world.accounts.connections().refresh_now(&key).await.unwrap_err();
        assert_eq!(account().await.unwrap(), next);
    }
    world.server.revoke_grants_of("one");
    let key = world.accounts.client(&parts, "alpha").await.unwrap().key().clone();
    let error = world.accounts.connections().refresh_now(&key).await.unwrap_err();
    assert!(matches!(Missing::from(error), Missing::NeedsReconnect { .. }));
    let Err(missing @ Missing::NeedsReconnect { .. }) = account().await else { panic!("it works still") };
    let found = problem(&answer(&world, &missing, &parts), 401);
    assert_eq!(found["type"], "urn:authflow:needs-reconnect");
    assert_eq!(found["connect"], "/auth/alpha/connect");
}

#[tokio::test]
async fn a_person_is_sent_to_connect_and_a_program_is_told() {
    let world = World::new();
    let connect = "/auth/alpha/connect?return_to=/inbox%3Fpage%3D2%26x%3D%25";
    for (headers, navigates) in [
        (&NAVIGATION[..], true),
        (&NAVIGATION[..1], true),
        (&NAVIGATION[1..], true),
        (&[("accept", "application/xhtml+xml, Text/HTML")], true),
        (&[("sec-fetch-mode", "cors"), ("accept", "text/html")], false),
        (&[("accept", "application/json")], false),
        (&[("accept", "*/*")], false),
        (&[], false),
    ] {
        let parts = request("alice", "/inbox?page=2&x=%", headers);
        let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
        let given = answer(&world, &missing, &parts);
        if navigates {
            assert_eq!(given.location(), connect, "{headers:?}");
        } else {
            let found = problem(&given, 401);
            assert_eq!(found["type"], "urn:authflow:not-connected");
            assert_eq!(
                (&found["connect"], &found["provider"]),
                (&"/auth/alpha/connect".into(), &"alpha".into())
            );
        }
        let mut posted = parts;
        posted.method = Method::POST;
        problem(&answer(&world, &missing, &posted), 401);
    }
    let parts = request("alice", "//evil.example/", &NAVIGATION);
    let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
    assert_eq!(answer(&world, &missing, &parts).location(), "/auth/alpha/connect", "b17");
}

/// It would go on to the provider, for nobody.
#[tokio::test]
async fn a12_what_a_browser_fetches_ahead_is_not_sent_to_connect() {
    let world = Setup::new().offers_sign_in().build();
    for (purpose, session) in
        [("sec-purpose", "alice"), ("purpose", "alice"), ("sec-purpose", ""), ("purpose", "")]
    {
        let ahead = [NAVIGATION[0], (purpose, "prefetch;prerender")];
        let parts = request(session, "/inbox", &ahead);
        let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
        answer(&world, &missing, &parts).is_page(503);
        let later = request(session, "/inbox", &NAVIGATION);
        assert_eq!(answer(&world, &missing, &later).location(), "/auth/alpha/connect?return_to=/inbox");
    }
    assert!(world.application.errors().is_empty());
}

#[tokio::test]
async fn nobody_is_signed_in() {
    let closed = World::new();
    let missing = closed.accounts.client(&request("", "/", &[]), "alpha").await.unwrap_err();
    assert!(matches!(&missing, Missing::SignedOut { provider_id } if &**provider_id == "alpha"));
    answer(&closed, &missing, &request("", "/", &NAVIGATION)).is_page(401);
    let found = problem(&answer(&closed, &missing, &request("", "/", &[])), 401);
    assert_eq!((&found["type"], found.get("connect")), (&"urn:authflow:signed-out".into(), None));
    let open = Setup::new().offers_sign_in().build();
    let location = answer(&open, &missing, &request("", "/x", &NAVIGATION));
    assert_eq!(location.location(), "/auth/alpha/connect?return_to=/x");
    let found = problem(&answer(&open, &missing, &request("", "/", &[])), 401);
    assert_eq!(found["connect"], "/auth/alpha/connect");
    let mut head = request("", "/x", &[]);
    head.method = Method::HEAD;
    let (looked, got) = (answer(&open, &missing, &head), answer(&open, &missing, &request("", "/x", &[])));
    assert_eq!(looked.body, "");
    assert_eq!(looked.header("content-length"), got.body.len().to_string());
}

/// T-A4: an error is never taken for an answer.
#[tokio::test]
async fn t_a4_what_is_not_known_is_not_connected_to_nobody() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    world.application.sessions_fail.store(true, Ordering::SeqCst);
    let parts = request("alice", "/", &[]);
    let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
    assert!(matches!(missing, Missing::Failed(_)));
    assert!(world.application.errors().is_empty(), "it is told with the answer");
    let found = problem(&answer(&world, &missing, &parts), 503);
    assert_eq!(found["type"], "urn:authflow:unavailable");
    assert_eq!(world.application.errors().len(), 1, "and once");
    let missing = world.accounts.current_user(&parts).await.unwrap_err();
    problem(&answer(&world, &missing, &parts), 503);
    assert_eq!(world.application.errors().len(), 2);
    answer(&world, &missing, &request("alice", "/", &NAVIGATION)).is_page(503);
    world.application.sessions_fail.store(false, Ordering::SeqCst);
    world.tokens.set_down(true);
    let missing = world.accounts.client(&parts, "alpha").await.unwrap_err();
    assert!(matches!(&missing, Missing::Failed(error) if error.kind() == ErrorKind::StoreUnavailable));
    problem(&answer(&world, &missing, &parts), 503);
    world.tokens.set_down(false);
    let unknown = world.accounts.client(&parts, "gone").await.unwrap_err();
    assert!(matches!(unknown, Missing::Failed(_)), "that nobody connected it would send people to connect");
    let found = problem(&answer(&world, &unknown, &parts), 500);
    assert_eq!(found.get("connect"), None);
    answer(&world, &unknown, &request("alice", "/", &NAVIGATION)).is_page(500);
    // Somebody names a provider that is not there.
    let odd = Missing::from(Error::new(ErrorKind::NotConnected, "x"));
    let told = world.application.errors().len();
    answer(&world, &odd, &request("alice", "/", &NAVIGATION)).is_page(500);
    assert_eq!(problem(&answer(&world, &odd, &parts), 500)["type"], "urn:authflow:failed");
    let errors = world.application.errors();
    assert_eq!(errors.len(), told + 2);
    assert!(errors.last().unwrap().contains("no provider with this id"));
}

/// A program is not told to come again either.
#[tokio::test]
async fn a_session_layer_that_is_missing_is_the_applications_mistake() {
    let world = World::new();
    world.application.sessions_are_missing.store(true, Ordering::SeqCst);
    let parts = request("alice", "/", &[]);
    let missing = [
        world.accounts.client(&parts, "alpha").await.unwrap_err(),
        world.accounts.current_user(&parts).await.unwrap_err(),
    ];
    for missing in missing {
        let found = problem(&answer(&world, &missing, &parts), 500);
        assert_eq!(found["type"], "urn:authflow:failed");
        assert!(world.application.errors().concat().contains("planted-session-mistake"));
        answer(&world, &missing, &request("alice", "/", &NAVIGATION)).is_page(500);
    }
}

/// What a handler answers with an error itself, and what the answer for a missing client says, are the same.
#[tokio::test]
async fn an_error_is_one_answer_wherever_it_is_made() {
    let world = World::new();
    let parts = request("alice", "/", &[]);
    for (kind, status, named) in [
        (ErrorKind::NotConnected, 401, "not-connected"),
        (ErrorKind::NeedsReconnect, 401, "needs-reconnect"),
        (ErrorKind::RotationLost, 401, "needs-reconnect"),
        (ErrorKind::AccountChanged, 401, "needs-reconnect"),
        (ErrorKind::InvalidGrant, 401, "needs-reconnect"),
        (ErrorKind::StateNotFound, 400, "not-accepted"),
        (ErrorKind::CallbackMalformed, 400, "not-accepted"),
        (ErrorKind::StoreOutcomeUnknown, 503, "begin-again"),
        (ErrorKind::NotDurable, 503, "begin-again"),
        (ErrorKind::StoreUnavailable, 503, "unavailable"),
        (ErrorKind::AccessDenied, 403, "denied"),
        (ErrorKind::InvalidResponse, 502, "provider"),
        (ErrorKind::Refused, 502, "provider"),
        (ErrorKind::StoreCorrupt, 500, "failed"),
        (ErrorKind::Configuration, 500, "failed"),
    ] {
        let error = || Error::new(kind, "planted-words").at("alpha", Operation::Token);
        let handlers = problem(&Answer::new(authflow_web::problem(&error())), status);
        assert_eq!(handlers["type"], format!("urn:authflow:{named}"), "{kind:?}");
        let mut missing = problem(&answer(&world, &Missing::from(error()), &parts), status);
        let members = missing.as_object_mut().unwrap();
        if members.remove("connect").is_some() {
            members["detail"] = handlers["detail"].clone();
        }
        assert_eq!(missing, handlers, "{kind:?}");
    }
}

#[tokio::test]
async fn when_to_come_again_is_said() {
    let world = World::new();
    let error = Error::new(ErrorKind::RateLimited, "planted-words")
        .with_retry_after(Some(Duration::from_millis(1500)));
    let missing = Missing::from(error);
    let parts = request("alice", "/", &[]);
    for parts in [&parts, &request("alice", "/", &NAVIGATION)] {
        let given = answer(&world, &missing, parts);
        assert_eq!((given.status, given.header("retry-after")), (503, "2"));
        assert!(!given.body.contains("planted-words"));
    }
    assert_eq!(world.application.errors().len(), 2);
    let whole = Error::new(ErrorKind::RateLimited, "x").with_retry_after(Some(Duration::from_secs(3)));
    assert_eq!(answer(&world, &Missing::from(whole), &parts).header("retry-after"), "3");
}

#[tokio::test]
async fn a_connection_that_goes_while_a_handler_runs() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    let parts = request("alice", "/", &[]);
    let client = world.accounts.client(&parts, "alpha").await.unwrap();
    world.post(&browser, From::Own, "/auth/alpha/disconnect", "").await.location();
    let refusal = client.get("https://as.example/resource").await.unwrap_err();
    let missing = refusal.missing();
    assert!(matches!(missing, Missing::NotConnected { provider_id } if &**provider_id == "alpha"));
    assert_eq!(problem(&refused(&refusal), 401)["connect"], "/auth/alpha/connect");
}

/// A provider that answers with errors is no reason to forget the connection.
#[tokio::test]
async fn x14_a_refused_refresh_is_not_the_end() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    let parts = request("alice", "/", &[]);
    let client = world.accounts.client(&parts, "alpha").await.unwrap();
    world.server.set_fault(Fault::ServerError(authflow_testkit::RetryAfter::Absent));
    let error = world.accounts.connections().refresh_now(client.key()).await.unwrap_err();
    assert!(matches!(Missing::from(error), Missing::Failed(_)));
    assert!(world.accounts.client(&parts, "alpha").await.is_ok());
}

#[tokio::test]
async fn x10_a_connection_that_cannot_be_read_is_not_one_that_is_missing() {
    // Sealed with a key that is gone: another instance with other keys over the same store.
    let store = std::sync::Arc::new(authflow_core::MemoryTokenStore::new());
    let build = |keys: authflow_core::KeyRing| {
        let store = std::sync::Arc::clone(&store);
        Setup::new().build_with(|builder| builder.token_store(store).keys(keys), |builder| builder)
    };
    let before = build(authflow_core::KeyRing::generate().unwrap());
    before.connect(&Browser::of("alice"), "alpha").await;
    let after = build(authflow_core::KeyRing::generate().unwrap());
    let parts = request("alice", "/", &[]);
    let missing = after.accounts.client(&parts, "alpha").await.unwrap_err();
    assert!(matches!(missing, Missing::Failed(_)), "{missing:?}");
    let page = after.get(&Browser::of("alice"), From::Typed, "/auth").await;
    page.is_page(200);
    // Connecting again replaces it.
    after.connect(&Browser::of("alice"), "alpha").await;
    assert!(after.accounts.client(&parts, "alpha").await.is_ok());
}

/// A client's failure knows the request that it is the answer to.
#[tokio::test]
async fn a_connection_that_turns_out_to_be_over_is_a_way_to_connect() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    world.server.revoke_grants_of("user-1");
    let connect = "/auth/alpha/connect?return_to=/inbox%3Fpage%3D2";
    for (headers, navigates) in [(&NAVIGATION[..], true), (&[("accept", "application/json")], false)] {
        let parts = request("alice", "/inbox?page=2", headers);
        let client = world.accounts.client(&parts, "alpha").await.unwrap();
        // What the provider's own reader would say, and what does not name the provider.
        let over = || Error::new(ErrorKind::InvalidGrant, "planted-words");
        let lacks = || Error::refused(ServerError::new("insufficient_scope", Some("planted-words"), None));
        for (error, status, named) in [(over(), 401, "needs-reconnect"), (lacks(), 403, "lacks-scopes")] {
            let given = refused(&client.refuse(error));
            assert!(!given.body.contains("planted-words"));
            if navigates {
                assert_eq!(given.location(), connect);
                continue;
            }
            let found = problem(&given, status);
            assert_eq!(found["type"], format!("urn:authflow:{named}"));
            assert_eq!(found["connect"], "/auth/alpha/connect");
        }
        assert_eq!(
            problem(&Answer::new(authflow_web::problem(&lacks())), 403)["type"],
            "urn:authflow:lacks-scopes"
        );
        // Of other codes nothing is known.
        let other = client.refuse(Error::refused(ServerError::new("access_denied", None, None)));
        assert_eq!(kind(&other), ErrorKind::Refused);
        let wrong = client.refuse(Error::new(ErrorKind::Usage, "x").with_server_error(ServerError::new(
            "insufficient_scope",
            None,
            None,
        )));
        assert_eq!(kind(&wrong), ErrorKind::Usage);
    }
    assert!(world.application.errors().is_empty());
}

/// What failed is told to the application once, and only where it is the answer.
#[tokio::test]
async fn a_refusal_is_told_when_it_is_answered() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    let parts = request("alice", "/", &[]);
    let client = world.accounts.client(&parts, "alpha").await.unwrap();
    world.tokens.set_down(true);
    world.advance(3600);
    let refusal = client.token().await.unwrap_err();
    assert!(world.application.errors().is_empty());
    problem(&refused(&refusal), 503);
    problem(&refused(&refusal), 503);
    assert_eq!(world.application.errors().len(), 1);
    let source = std::error::Error::source(&refusal).unwrap().to_string();
    assert!(source.contains("alpha"), "{source}");
}

/// A provider that refuses what it gave a moment ago would have the browser go in circles.
#[tokio::test]
async fn who_comes_from_connecting_is_not_sent_there_again() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    let over = || Error::new(ErrorKind::InvalidGrant, "x");
    let at = async |site: &'static str, mode: &'static str| {
        let headers = [("sec-fetch-site", site), ("sec-fetch-mode", mode)];
        world.accounts.client(&request("alice", "/x", &headers), "alpha").await.unwrap().refuse(over())
    };
    refused(&at("cross-site", "navigate").await).is_page(500);
    assert_eq!(world.application.errors().len(), 1);
    // Who opens the page is, and so is a program told where to.
    for site in ["none", "same-origin"] {
        refused(&at(site, "navigate").await).location();
    }
    assert_eq!(problem(&refused(&at("cross-site", "cors").await), 401)["connect"], "/auth/alpha/connect");
    world.advance(60);
    refused(&at("cross-site", "navigate").await).location();
}

/// The same over a page of our own, to which all is of the same origin: what the browser remembers of the flow tells.
#[tokio::test]
async fn who_comes_from_connecting_by_a_page_of_our_own_is_not_sent_there_again() {
    // A place of any length, and one that a browser writes otherwise.
    for place in ["/inbox?page=2&q='", &format!("/inbox?{}", "x".repeat(600))] {
        for is_strict in [true, false] {
            for refreshable in [true, false] {
                let world = World::new();
                let browser = if is_strict { Browser::strict("alice") } else { Browser::of("alice") };
                let code = if refreshable {
                    ErrorCode::Other("insufficient_scope".to_owned())
                } else {
                    world.server.fault_next(Endpoint::Token, Fault::MissingRefreshToken);
                    ErrorCode::InvalidToken
                };
                *world.api_refuses.lock().unwrap() = Some(code);
                let journey = world.travel(&browser, From::Own, place).await;
                journey.end().is_page(500);
                let pages = usize::from(is_strict);
                assert_eq!((journey.count("the callback"), journey.pages), (1, pages), "{journey:?}");
                let told = world.application.errors();
                assert_eq!(told.len(), 1, "{told:?}");
                assert!(!told[0].contains("comes from connecting"), "what the API said: {told:?}");
                // A page that goes on by itself is none that somebody opens.
                world.open(&browser, From::Refresh, place).await.is_page(500);
                for from in [From::Own, From::Safari, From::Typed] {
                    world.open(&browser, from, place).await.location();
                }
                world.open(&browser, From::Refresh, "/inbox").await.location();
                world.advance(60);
                world.open(&browser, From::Refresh, place).await.location();
            }
        }
    }
}

/// Nothing has come of it, whatever the reason: the application does not find the session that it was to keep, or the connection.
#[tokio::test]
async fn what_is_missing_after_connecting_is_said_and_not_connected_again() {
    for form_post in [false, true] {
        let mut setup = Setup::new().offers_sign_in();
        setup = if form_post { setup.form_post() } else { setup };
        setup.application.session = Session::Absent;
        let world = setup.build();
        let browser = Browser::default();
        let journey = world.travel(&browser, From::Typed, "/inbox").await;
        journey.end().is_page(500);
        assert_eq!(journey.count("the callback"), 1, "{journey:?}");
        let told = world.application.errors();
        assert!(told.len() == 1 && told[0].contains("alpha") && told[0].contains("signed in"), "{told:?}");
        // Another provider is another flow, and so is another page.
        for path in ["/inbox-beta", "/inbox?page=2"] {
            world.open(&browser, From::Refresh, path).await.location();
        }
        world.open(&browser, From::Own, "/inbox").await.location();
    }
    for browser in [Browser::of("alice"), Browser::strict("alice")] {
        let world = World::new();
        let callback = world.until_callback(&browser, "alpha", "/inbox").await;
        let arrival = world.arrive(&browser, &callback).await;
        let from = if arrival.pages == 0 { From::Foreign } else { From::Refresh };
        let alice = user_of("alice");
        let key = world.accounts.connections().list(&alice).await.unwrap().connections[0].key.clone();
        world.accounts.connections().disconnect(&key).await.unwrap();
        world.open(&browser, From::Own, "/inbox").await.location();
        if from == From::Refresh {
            world.open(&browser, from, "/inbox").await.is_page(500);
            assert!(world.application.errors()[0].contains("connected"));
            world.open(&browser, from, "/inbox-beta").await.location();
        }
    }
}

/// RFC 6750 §3.1, without a function of the provider's.
#[tokio::test]
async fn what_an_api_says_of_the_token_is_read() {
    let world = World::new();
    let refuses = async |client: &Client, code: ErrorCode| {
        world.server.fault_next(Endpoint::Resource, Fault::Refuse(code.clone()));
        world.server.fault_next(Endpoint::Resource, Fault::Refuse(code));
        let answer = client.get("https://as.example/resource").await.unwrap();
        world.server.clear_faults();
        answer.read(|_| Ok(())).err()
    };
    world.connect(&Browser::of("alice"), "alpha").await;
    let client = world.accounts.client(&request("alice", "/", &[]), "alpha").await.unwrap();
    let good = client.get("https://as.example/resource").await.unwrap();
    assert_eq!(good.read(|answer| Ok(answer.status)).unwrap(), 200);
    let read = good.read::<()>(|_| Err(Error::new(ErrorKind::RotationLost, "x"))).unwrap_err();
    assert!(matches!(read.missing(), Missing::NeedsReconnect { provider_id } if &**provider_id == "alpha"));
    let lacks = refuses(&client, ErrorCode::Other("insufficient_scope".to_owned())).await.unwrap();
    assert!(matches!(lacks.missing(), Missing::LacksScopes { provider_id } if &**provider_id == "alpha"));
    // An API that refuses what was refreshed just now says something else than that the connection is over.
    assert!(client.connection().is_refreshable);
    assert!(refuses(&client, ErrorCode::InvalidToken).await.is_none());

    world.server.fault_next(Endpoint::Token, Fault::MissingRefreshToken);
    world.connect(&Browser::of("bob"), "alpha").await;
    let client = world.accounts.client(&request("bob", "/", &[]), "alpha").await.unwrap();
    assert!(!client.connection().is_refreshable);
    let over = refuses(&client, ErrorCode::InvalidToken).await.unwrap();
    assert!(matches!(over.missing(), Missing::NeedsReconnect { .. }));
    assert!(refuses(&client, ErrorCode::InvalidRequest).await.is_none());
    // The provider knows better what its API means.
    world.server.fault_next(Endpoint::Token, Fault::MissingRefreshToken);
    world.connect(&Browser::of("bob"), "beta").await;
    let client = world.accounts.client(&request("bob", "/", &[]), "beta").await.unwrap();
    assert!(!client.connection().is_refreshable);
    assert!(refuses(&client, ErrorCode::InvalidToken).await.is_none());
}

#[tokio::test]
async fn all_accounts_are_there_to_choose_from() {
    let world = World::new();
    let browser = Browser::of("alice");
    let parts = request("alice", "/", &[]);
    let accounts = async || {
        let clients = world.accounts.clients(&parts, "alpha").await?;
        Ok::<_, Missing>(
            clients.iter().map(|one| one.key().account().unwrap().to_owned()).collect::<Vec<_>>(),
        )
    };
    assert!(accounts().await.unwrap().is_empty());
    for account in ["one", "two", "three"] {
        world.server.sign_in(account);
        world.advance(1);
        world.connect(&browser, "alpha").await;
    }
    world.connect(&browser, "beta").await;
    assert_eq!(accounts().await.unwrap(), ["three", "two", "one"]);
    let clients = world.accounts.clients(&parts, "alpha").await.unwrap();
    let sent = clients[1].get("https://as.example/resource").await.unwrap();
    assert!(String::from_utf8_lossy(&sent.body).contains("two"));
    world.server.revoke_grants_of("three");
    world.accounts.connections().refresh_now(clients[0].key()).await.unwrap_err();
    assert_eq!(accounts().await.unwrap(), ["two", "one", "three"]);
    let last = world.accounts.clients(&parts, "alpha").await.unwrap().pop().unwrap();
    assert!(matches!(last.connection().health, Health::NeedsReconnect { .. }));
    let nobody = world.accounts.clients(&request("", "/", &[]), "alpha").await.unwrap_err();
    assert!(matches!(nobody, Missing::SignedOut { .. }));
    world.tokens.set_down(true);
    assert!(matches!(accounts().await, Err(Missing::Failed(_))));
}

/// A request has a session in it: who prints a client or a refusal does not print that.
#[tokio::test]
async fn nothing_of_the_request_is_printed() {
    let world = World::new();
    world.connect(&Browser::of("alice"), "alpha").await;
    let mut parts = request("alice", "/?planted-query", &[]);
    parts.headers.insert("authorization", HeaderValue::from_static("Bearer planted-bearer"));
    let client = world.accounts.client(&parts, "alpha").await.unwrap();
    let sent = client.get("https://as.example/resource").await.unwrap();
    let url = "https://as.example/resource".parse().unwrap();
    let request = client.send(authflow_core::HttpRequest::get(url));
    let refusal = client.refuse(Error::new(ErrorKind::Usage, "x"));
    refusal.response();
    for printed in
        [format!("{client:?}"), format!("{sent:?}"), format!("{request:?}"), format!("{refusal:?} {refusal}")]
    {
        assert!(!printed.contains("planted") && !printed.contains("session="), "{printed}");
    }
}
