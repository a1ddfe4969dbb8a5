//! actix-web: the routes, the extractors, and what goes in and out of the application's session.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(clippy::future_not_send, reason = "a worker of actix-web is one thread")]

#[path = "../../axum/tests/support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex};

use actix_web::body::{BodySize, MessageBody as _, to_bytes};
use actix_web::dev::Service as _;
use actix_web::error::ErrorServiceUnavailable;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, Bytes};
use actix_web::{App, Error, HttpRequest, HttpResponse};
use authflow_actix::{AllConnected, Connected, CurrentUser, Failure, IfConnected, Refusal, Routes};
use authflow_core::MemoryTokenStore;
use authflow_core::http::{Extensions, HeaderName, HeaderValue, Request, Response, header};
use authflow_web::{ClientAddress, Missing};
use support::{Example, Peer, SignedIn, Web, World, cookies, get, location, suite, with};

struct Actix<F>(F);

impl<F> Web for Actix<F>
where
    F: AsyncFn(TestRequest) -> HttpResponse,
{
    async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let mut sent = TestRequest::with_uri(&parts.uri.to_string());
        sent = sent.method(parts.method.as_str().parse().unwrap()).set_payload(body);
        for (name, value) in &parts.headers {
            sent = sent.append_header((name.as_str(), value.as_bytes()));
        }
        if let Some(Peer(address)) = parts.extensions.get() {
            sent = sent.peer_addr(*address);
        }
        let answer = (self.0)(sent).await;
        let mut response = Response::builder().status(answer.status().as_u16());
        for (name, value) in answer.headers() {
            let name = HeaderName::from_bytes(name.as_ref()).unwrap();
            response = response.header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        // As a server does, which sends what a body says of itself.
        if let BodySize::Sized(length) = answer.body().size() {
            response = response.header(header::CONTENT_LENGTH, length);
        }
        let body = to_bytes(answer.into_body()).await.unwrap();
        // A server sends none of it; a test that calls the service has to do so itself.
        let is_head = parts.method == "HEAD";
        response.body(if is_head { Bytes::new() } else { body }).unwrap()
    }
}

fn proxy(request: &HttpRequest, extensions: &mut Extensions) -> Result<(), Error> {
    if let Some(from) = request.headers().get("x-from") {
        extensions.insert(ClientAddress(from.to_str().unwrap().parse().unwrap()));
    }
    Ok(())
}

async fn app(routes: Routes) -> impl Web {
    let part = web::scope("/app")
        .route("/mine", web::route().to(mine))
        .route("/accounts", web::get().to(all))
        .route("/me", web::get().to(me));
    let app = App::new()
        .service(part)
        .configure(|config| routes.configure(config))
        .route("/mine", web::route().to(mine))
        .route("/maybe", web::get().to(maybe))
        .route("/accounts", web::route().to(all))
        .route("/me", web::get().to(me))
        .route("/why", web::get().to(why))
        .route("/failure/{kind}", web::get().to(failure))
        .default_service(web::to(async || "application"));
    let service = init_service(app).await;
    Actix(async move |request: TestRequest| match service.call(request.to_request()).await {
        Ok(answer) => answer.into_parts().1,
        Err(error) => error.error_response(),
    })
}

async fn mine(client: Connected<Example>) -> Result<Vec<u8>, Refusal> {
    let url = client.connections().flow("example").unwrap().provider().endpoints().issuer.clone().unwrap();
    Ok(client.get(&format!("{url}/resource")).await?.read(support::body)?)
}

async fn all(AllConnected(clients): AllConnected<Example>) -> String {
    support::accounts(clients.iter().map(|client| client.connection()))
}

async fn maybe(IfConnected(client): IfConnected<Example>) -> &'static str {
    if client.is_some() { "yes" } else { "no" }
}

async fn me(CurrentUser(user): CurrentUser) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.id.to_string())
}

async fn why(client: Result<Connected<Example>, Error>) -> &'static str {
    match client.as_ref().map_err(|error| error.as_error::<Refusal>().map(Refusal::missing)) {
        Ok(_) => "connected",
        Err(Some(Missing::SignedOut { .. })) => "signed out",
        Err(_) => "something else",
    }
}

async fn failure(kind: web::Path<String>) -> Result<String, Failure> {
    Err(support::failure(&kind).into())
}

async fn rig() -> (World, impl Web) {
    let world = World::new().await;
    let web = app(Routes::new(world.accounts.clone()).before(proxy)).await;
    (world, web)
}

#[actix_web::test]
async fn a_user_connects_and_the_handler_gets_a_client() {
    suite::a_user_connects_and_the_handler_gets_a_client(&rig().await.1).await;
}

#[actix_web::test]
async fn a16_each_of_several_cookies_arrives_and_bytes_stay_bytes() {
    suite::a16_each_of_several_cookies_arrives_and_bytes_stay_bytes(&rig().await.1).await;
}

#[actix_web::test]
async fn headers_reach_the_application_as_they_were_sent() {
    let (world, web) = rig().await;
    suite::headers_reach_the_application_as_they_were_sent(&web, &world).await;
}

#[actix_web::test]
async fn a12_the_peer_is_who_a_flow_is_counted_for() {
    let (world, web) = rig().await;
    suite::a12_the_peer_is_who_a_flow_is_counted_for(&web, &world).await;
}

#[actix_web::test]
async fn b12_a_body_over_the_limit_is_413() {
    suite::b12_a_body_over_the_limit_is_413(&rig().await.1).await;
}

#[actix_web::test]
async fn only_the_routes_are_taken() {
    suite::only_the_routes_are_taken(&rig().await.1).await;
}

#[actix_web::test]
async fn at_the_root_only_the_routes_are_taken() {
    let world = World::at("", MemoryTokenStore::new()).await;
    suite::at_the_root_only_the_routes_are_taken(&app(Routes::new(world.accounts.clone())).await).await;
}

#[actix_web::test]
async fn b13_the_method_is_handed_on() {
    suite::b13_the_method_is_handed_on(&rig().await.1).await;
}

#[actix_web::test]
async fn head_has_the_content_length_of_get() {
    suite::head_has_the_content_length_of_get(&rig().await.1).await;
}

#[actix_web::test]
async fn a_missing_connection_is_a_way_to_connect() {
    let (_world, web) = rig().await;
    suite::a_missing_connection_is_a_way_to_connect(&web).await;
    assert_eq!(web.send(support::get("/why")).await.body(), "signed out");
}

#[actix_web::test]
async fn a_connection_that_turns_out_to_be_over_is_a_way_to_connect() {
    let (world, web) = rig().await;
    suite::a_connection_that_turns_out_to_be_over_is_a_way_to_connect(&web, &world).await;
}

#[actix_web::test]
async fn a_handler_below_a_prefix_is_come_back_to() {
    let (world, web) = rig().await;
    suite::a_handler_below_a_prefix_is_come_back_to(&web, &world).await;
}

#[actix_web::test]
async fn a_handler_below_a_prefix_is_come_back_to_after_the_sign_in() {
    let world = World::with_its_own_sign_in().await;
    let web = app(Routes::new(world.accounts.clone())).await;
    suite::a_handler_below_a_prefix_is_come_back_to_after_the_sign_in(&web).await;
}

#[actix_web::test]
async fn all_accounts_are_there_to_choose_from() {
    let (world, web) = rig().await;
    suite::all_accounts_are_there_to_choose_from(&web, &world).await;
}

#[actix_web::test]
async fn a_store_that_is_down_is_503() {
    let world = World::down().await;
    suite::a_store_that_is_down_is_503(&app(Routes::new(world.accounts.clone())).await).await;
}

#[actix_web::test]
async fn a_session_that_is_down_is_503() {
    suite::a_session_that_is_down_is_503(&rig().await.1).await;
}

#[actix_web::test]
async fn a_handler_is_told_who_is_signed_in() {
    suite::a_handler_is_told_who_is_signed_in(&rig().await.1).await;
}

#[actix_web::test]
async fn b11_an_error_of_a_handler_says_its_kind_and_no_strangers_words() {
    suite::b11_an_error_of_a_handler_says_its_kind_and_no_strangers_words(&rig().await.1).await;
    support::is_an_error_like(&Failure(support::failure("refused")));
}

/// What the hooks hand in is who is signed in, for the routes and for the extractors; what they hand out is the session's new
/// user. Only the hook renews the session, so it has to hear of it.
#[actix_web::test]
async fn a15_who_signs_in_is_handed_out_to_the_session_and_in_again() {
    let world = World::new().await;
    let session: Arc<Mutex<Option<String>>> = Arc::default();
    let (read, written) = (Arc::clone(&session), Arc::clone(&session));
    let routes = Routes::new(world.accounts.clone())
        .before(move |_, extensions| {
            extensions.extend(
                read.lock()
                    .unwrap()
                    .clone()
                    .map(SignedIn)
                    .map(|user| {
                        let mut handed = Extensions::new();
                        handed.insert(user);
                        handed
                    })
                    .unwrap_or_default(),
            );
            Ok(())
        })
        .after(move |request, extensions| {
            if let Some(SignedIn(user)) = extensions.get() {
                assert_eq!(request.path(), "/auth/example/callback");
                *written.lock().unwrap() = Some(user.clone());
            }
            Ok(())
        });
    let web = app(routes).await;
    assert_eq!(web.send(get("/me")).await.body(), "nobody");

    let begun = web.send(get("/auth/example/connect")).await;
    assert_eq!(*session.lock().unwrap(), None);
    let callback = authflow_testkit::ScriptedUser::new().approve(location(&begun)).await.unwrap();
    let callback = with(get(callback.strip_prefix(support::ORIGIN).unwrap()), "cookie", &cookies(&begun));
    let done = web.send(callback).await;
    assert_eq!(done.status().as_u16(), 303);
    assert_eq!(session.lock().unwrap().as_deref(), Some("new-user"));

    assert_eq!(web.send(get("/me")).await.body(), "new-user");
    assert_eq!(web.send(get("/maybe")).await.body(), "yes");
}

/// Nothing is done for nobody because the session could not be read, and no answer hides that it could not be written.
#[actix_web::test]
async fn a_hook_that_fails_is_the_answer() {
    let world = World::new().await;
    let down = || ErrorServiceUnavailable("the session store is down");
    let before = app(Routes::new(world.accounts.clone()).before(move |_, _| Err(down()))).await;
    for path in ["/mine", "/maybe", "/me"] {
        assert_eq!(before.send(get(path)).await.status().as_u16(), 503, "{path}");
    }
    for path in ["/auth", "/auth/example/callback?code=c&state=s"] {
        let answer = before.send(get(path)).await;
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_ref()),
            (503, &b"the session store is down"[..])
        );
        suite::a18_b20_an_error_has_the_headers(answer.headers());
    }
    assert!(world.seen.is_empty());
    let after = app(Routes::new(world.accounts.clone()).after(move |_, _| Err(down()))).await;
    assert_eq!(after.send(get("/auth")).await.status().as_u16(), 503);
}

/// The flow has ended in the browser all the same: what comes of the callback is not asked for again.
#[actix_web::test]
async fn x33_a_hook_that_fails_after_a_callback_leaves_the_flow_ended() {
    let world = World::new().await;
    let failing = Routes::new(world.accounts.clone())
        .after(|_, _| Err(ErrorServiceUnavailable("the session store is down")));
    let (web, failing) = (app(Routes::new(world.accounts.clone())).await, app(failing).await);
    let begun = web.send(get("/auth/example/connect")).await;
    let callback = authflow_testkit::ScriptedUser::new().approve(location(&begun)).await.unwrap();
    let callback = callback.strip_prefix(support::ORIGIN).unwrap();
    let failed = failing.send(with(get(callback), "cookie", &cookies(&begun))).await;
    assert_eq!((failed.status().as_u16(), failed.body().as_ref()), (503, &b"the session store is down"[..]));
    suite::a18_b20_an_error_has_the_headers(failed.headers());
    let set: Vec<_> =
        failed.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap()).collect();
    assert!(!set.is_empty() && set.iter().all(|set| set.contains("authflow-")), "{set:?}");
    let again = web.send(with(get(callback), "cookie", &cookies(&failed))).await;
    assert_eq!(again.status().as_u16(), 410);
}

/// Each keeps to its own accounts; the extractors find those that were configured last.
#[actix_web::test]
async fn two_sets_of_routes_do_not_answer_for_each_other() {
    let (one, two) = (World::new().await, World::at("/two", MemoryTokenStore::new()).await);
    let (first, second) = (Routes::new(one.accounts.clone()), Routes::new(two.accounts.clone()));
    let app =
        App::new().configure(|config| first.configure(config)).configure(|config| second.configure(config));
    let service = init_service(app).await;
    for path in ["/auth", "/two"] {
        let answer = service.call(TestRequest::with_uri(path).to_request()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

#[actix_web::test]
async fn an_extractor_without_routes_says_what_to_do() {
    let world = World::new().await;
    let routes = Routes::new(world.accounts.clone());
    // In a scope they are not those of a handler that is elsewhere.
    let scope = web::scope("/auth").configure(|config| routes.configure(config));
    let service = init_service(App::new().service(scope).route("/mine", web::get().to(mine))).await;
    let answer = service.call(TestRequest::with_uri("/mine").to_request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = to_bytes(answer.into_body()).await.unwrap();
    let said = String::from_utf8_lossy(&body);
    assert!(said.contains("`Routes` or `configure`") && said.contains("not in a scope"), "{said}");
}
