//! What has to come back, whatever the framework. Each function is one test.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use authflow_core::http::{HeaderValue, Request, Response, StatusCode, header};
use authflow_testkit::ScriptedUser;
use authflow_web::ClientAddress;
use bytes::Bytes;

use super::{ORIGIN, Peer, Web, World, cookies, get, head, location, with};

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn problem(response: &Response<Bytes>) -> serde_json::Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
    serde_json::from_slice(response.body()).unwrap()
}

/// Whatever the answer is, it stays out of caches, and its address out of `Referer`.
pub fn a18_b20_an_error_has_the_headers(headers: &header::HeaderMap) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [value], "{name}");
    }
}

/// Connects in a browser. The answer to the callback, and what the browser's cookies were at it.
async fn connect_in_browser(web: &impl Web, begin: Request<Bytes>, user: Option<&str>) -> Response<Bytes> {
    let begun = web.send(begin).await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER, "{}", text(&begun));
    let callback = ScriptedUser::new().approve(location(&begun)).await.unwrap();
    let path = callback.strip_prefix(ORIGIN).unwrap();
    let mut request = with(get(path), "cookie", &cookies(&begun));
    if let Some(user) = user {
        request = with(request, "x-user", user);
    }
    web.send(request).await
}

/// Links an account, through the routes alone, and finds it in the extractor.
pub async fn a_user_connects_and_the_handler_gets_a_client(web: &impl Web) {
    let begin = with(get("/auth/example/connect?return_to=/settings"), "x-user", "ann");
    let done = connect_in_browser(web, with(begin, "sec-fetch-site", "same-origin"), Some("ann")).await;
    assert_eq!((done.status(), location(&done)), (StatusCode::SEE_OTHER, "/settings"));

    let mine = web.send(with(get("/mine"), "x-user", "ann")).await;
    assert_eq!(mine.status(), StatusCode::OK);
    assert!(text(&mine).contains("user-1"), "{}", text(&mine));
    assert_eq!(text(&web.send(with(get("/maybe"), "x-user", "ann")).await), "yes");
    // Somebody else's is nobody's.
    assert_eq!(text(&web.send(with(get("/maybe"), "x-user", "ben")).await), "no");
    assert_eq!(web.send(with(get("/mine"), "x-user", "ben")).await.status(), StatusCode::UNAUTHORIZED);
}

/// A callback answers with the removal of its own cookie and with those of the application.
pub async fn a16_each_of_several_cookies_arrives_and_bytes_stay_bytes(web: &impl Web) {
    let begin = with(with(get("/auth/example/connect"), "x-user", "ann"), "sec-fetch-site", "same-origin");
    let done = connect_in_browser(web, begin, Some("ann")).await;
    let set: Vec<_> = done.headers().get_all(header::SET_COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let place = |cookie: &[u8]| set.iter().position(|set| *set == cookie);
    assert!(
        place(b"one=1; Path=/").is_some() && place(b"one=1; Path=/") < place(b"two=2; Path=/"),
        "{set:?}"
    );
    let own = set.iter().filter(|cookie| cookie.starts_with(b"authflow-")).count();
    assert_eq!(set.len(), own + 2, "{set:?}");
    assert!(own >= 1, "{set:?}");
    assert_eq!(done.headers()["x-bytes"].as_bytes(), b"caf\xe9");
}

/// Headers that come twice, and headers that are no text, are what the application sees.
pub async fn headers_reach_the_application_as_they_were_sent(web: &impl Web, world: &World) {
    let mut request = with(with(get("/auth?a=%2F&b=%C3%A9"), "x-twice", "first"), "x-twice", "second");
    request.headers_mut().append("x-bytes", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    web.send(request).await;
    let (headers, _, uri) = world.seen.last();
    assert_eq!(headers.get_all("x-twice").iter().collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(headers["x-bytes"].as_bytes(), b"caf\xe9");
    assert_eq!(uri, "/auth?a=%2F&b=%C3%A9");
}

/// The peer's address counts flows, unless the application knows better.
pub async fn a12_the_peer_is_who_a_flow_is_counted_for(web: &impl Web, world: &World) {
    for (peer, expected) in [
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        // A socket of both families: all of IPv4 would be one network.
        ("[::ffff:192.0.2.7]:4711", "192.0.2.7"),
    ] {
        let mut request = get("/auth");
        request.extensions_mut().insert(Peer(peer.parse::<SocketAddr>().unwrap()));
        web.send(request).await;
        let expected: IpAddr = expected.parse().unwrap();
        assert_eq!(world.seen.last().1, Some(ClientAddress(expected)), "{peer}");
    }
    // The application's own layer, where it sits behind a proxy, reads `x-from` in these tests.
    let mut request = with(get("/auth"), "x-from", "198.51.100.9");
    request.extensions_mut().insert(Peer("192.0.2.7:4711".parse::<SocketAddr>().unwrap()));
    web.send(request).await;
    let expected = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));
    assert_eq!(world.seen.last().1, Some(ClientAddress(expected)));
}

/// The limit is the builder's, 1000 bytes in these tests.
pub async fn b12_a_body_over_the_limit_is_413(web: &impl Web) {
    let post = |bytes: usize| {
        let request = Request::post("/auth/example/disconnect").header("x-user", "ann");
        let request = request.header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(Bytes::from(format!("account={}", "x".repeat(bytes - 8)))).unwrap()
    };
    assert_ne!(web.send(post(1000)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for bytes in [1001, 2 << 20] {
        assert_eq!(web.send(post(bytes)).await.status(), StatusCode::PAYLOAD_TOO_LARGE, "{bytes}");
    }
}

/// The routes are those of the configured providers, whatever the method; the rest stays the application's.
pub async fn only_the_routes_are_taken(web: &impl Web) {
    let delete = Request::delete("/auth/example/connect").body(Bytes::new()).unwrap();
    let refused = web.send(delete).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(refused.headers()[header::ALLOW].to_str().unwrap().contains("POST"));
    assert_eq!(web.send(get("/auth/example/nothing")).await.status(), StatusCode::NOT_FOUND);
    for path in ["/auth", "/auth/"] {
        let page = web.send(get(path)).await;
        assert_eq!((page.status(), text(&page) == "application"), (StatusCode::OK, false), "{path}");
    }
    for path in [
        "/",
        "/auth/ours",
        "/auth/example",
        "/auth/example/",
        "/auth/example/connect/more",
        "/auth/other/connect",
        "/authx",
    ] {
        assert_eq!(text(&web.send(get(path)).await), "application", "{path}");
    }
}

/// At the root there is a page and nothing else that could be the application's.
pub async fn at_the_root_only_the_routes_are_taken(web: &impl Web) {
    assert_eq!(text(&web.send(get("/auth/ours")).await), "application");
    assert_eq!(text(&web.send(get("/other/connect")).await), "application");
    let begun = web.send(get("/example/connect")).await;
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    assert_ne!(text(&web.send(get("/")).await), "application");
}

/// Where there is no connection: a person is sent to connect and comes back, a program is told where to.
pub async fn a_missing_connection_is_a_way_to_connect(web: &impl Web) {
    let navigation = with(with(get("/mine?tab=1"), "x-user", "ann"), "sec-fetch-mode", "navigate");
    let sent = web.send(navigation).await;
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
    assert_eq!(location(&sent), "/auth/example/connect?return_to=/mine%3Ftab%3D1");

    let program = web.send(with(with(get("/mine"), "x-user", "ann"), "accept", "application/json")).await;
    assert_eq!(program.status(), StatusCode::UNAUTHORIZED);
    let problem = problem(&program);
    assert_eq!((&problem["status"], &problem["connect"]), (&401.into(), &"/auth/example/connect".into()));

    let post = Request::post("/mine").header("x-user", "ann").header("accept", "text/html");
    let post = web.send(post.body(Bytes::new()).unwrap()).await;
    assert_eq!(post.status(), StatusCode::UNAUTHORIZED);

    assert_eq!(text(&web.send(with(get("/maybe"), "x-user", "ann")).await), "no");
    assert_eq!(text(&web.send(get("/maybe")).await), "no");
}

/// A handler below a prefix of the application's, `/app` in these tests, which some frameworks show it without: the way back is
/// the path that the browser asked for.
pub async fn a_handler_below_a_prefix_is_come_back_to(web: &impl Web, world: &World) {
    let connect = |place: &str| format!("/auth/example/connect?return_to={place}");
    let open = |path: &str| with(with(get(path), "x-user", "ann"), "sec-fetch-mode", "navigate");
    let mine = connect("/app/mine%3Ftab%3D1");
    assert_eq!(location(&web.send(open("/app/mine?tab=1")).await), mine);
    let nobody = web.send(with(get("/app/accounts?a=%2F"), "sec-fetch-mode", "navigate")).await;
    assert_eq!(location(&nobody), connect("/app/accounts%3Fa%3D%252F"));
    // So, too, where it is the handler that finds out.
    world.connect("ann").await;
    assert_eq!(web.send(open("/app/mine?tab=1")).await.status(), StatusCode::OK);
    world.server.revoke_grants_of("user-1");
    assert_eq!(location(&web.send(open("/app/mine?tab=1")).await), mine);
    // What fails is told with the request as it was sent.
    let program = web.send(with(get("/app/me"), "x-user", "ann")).await;
    assert_eq!((text(&program), &*world.seen.last().2), ("ann", "/app/me"));
}

/// The same on the way to the application's own sign-in, `/login?next=`, of [`World::with_its_own_sign_in`].
pub async fn a_handler_below_a_prefix_is_come_back_to_after_the_sign_in(web: &impl Web) {
    for (path, back) in [("/app/mine?tab=1", "/app/mine%3Ftab%3D1"), ("/mine", "/mine")] {
        let sent = web.send(with(get(path), "sec-fetch-mode", "navigate")).await;
        assert_eq!(location(&sent), format!("/login?next={back}"));
    }
}

/// Where the user took it back at the provider, the handler runs, and finds out.
pub async fn a_connection_that_turns_out_to_be_over_is_a_way_to_connect(web: &impl Web, world: &World) {
    let connect = "/auth/example/connect?return_to=/mine%3Ftab%3D1";
    let open = |mode: &str| with(with(get("/mine?tab=1"), "x-user", "ann"), "sec-fetch-mode", mode);
    let disconnected = async || {
        world.connect("ann").await;
        assert_eq!(web.send(open("navigate")).await.status(), StatusCode::OK);
        world.server.revoke_grants_of("user-1");
    };
    disconnected().await;
    let sent = web.send(open("navigate")).await;
    assert_eq!((sent.status(), location(&sent)), (StatusCode::SEE_OTHER, connect), "{}", text(&sent));
    // From now on it is known before the handler runs.
    assert_eq!(location(&web.send(open("navigate")).await), connect);

    disconnected().await;
    let told = web.send(open("cors")).await;
    assert_eq!(told.status(), StatusCode::UNAUTHORIZED);
    let problem = problem(&told);
    assert_eq!((&problem["status"], &problem["connect"]), (&401.into(), &"/auth/example/connect".into()));
}

pub async fn all_accounts_are_there_to_choose_from(web: &impl Web, world: &World) {
    let ask = async || web.send(with(get("/accounts"), "x-user", "ann")).await;
    assert_eq!(text(&ask().await), "");
    world.connect("ann").await;
    assert_eq!(text(&ask().await), "[\"profile\", \"offline_access\"] Good\n");
    // Nobody has none, and is sent to sign in.
    assert_eq!(web.send(get("/accounts")).await.status(), StatusCode::UNAUTHORIZED);
    let person = web.send(with(get("/accounts"), "sec-fetch-mode", "navigate")).await;
    assert_eq!(location(&person), "/auth/example/connect?return_to=/accounts");
}

/// T-A4 of the facts: what cannot be told is refused. It is neither "not connected" nor "nobody".
pub async fn a_store_that_is_down_is_503(web: &impl Web) {
    for path in ["/mine", "/maybe", "/accounts"] {
        let refused = web.send(with(get(path), "x-user", "ann")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(problem(&refused)["status"], 503);
    }
}

/// The same for the application's own session.
pub async fn a_session_that_is_down_is_503(web: &impl Web) {
    for path in ["/mine", "/maybe", "/me", "/accounts"] {
        let refused = web.send(with(with(get(path), "x-user", "ann"), "x-session-down", "1")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
}

pub async fn a_handler_is_told_who_is_signed_in(web: &impl Web) {
    assert_eq!(text(&web.send(with(get("/me"), "x-user", "ann")).await), "ann");
    assert_eq!(text(&web.send(get("/me")).await), "nobody");
}

/// `/failure/{kind}` answers with an error of that kind whose words are the provider's.
pub async fn b11_an_error_of_a_handler_says_its_kind_and_no_strangers_words(web: &impl Web) {
    for (kind, status) in [
        ("needs_reconnect", StatusCode::UNAUTHORIZED),
        ("not_connected", StatusCode::UNAUTHORIZED),
        ("rate_limited", StatusCode::SERVICE_UNAVAILABLE),
        ("store_unavailable", StatusCode::SERVICE_UNAVAILABLE),
        ("invalid_response", StatusCode::BAD_GATEWAY),
        ("refused", StatusCode::BAD_GATEWAY),
        ("access_denied", StatusCode::FORBIDDEN),
        ("state_not_found", StatusCode::BAD_REQUEST),
        ("usage", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let answer = web.send(get(&format!("/failure/{kind}"))).await;
        assert_eq!(answer.status(), status, "{kind}");
        let body = problem(&answer);
        assert_eq!(body["status"], status.as_u16(), "{kind}");
        assert!(!text(&answer).contains("stranger"), "{}", text(&answer));
        let waits = answer.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(waits.as_deref(), (kind == "rate_limited").then_some("7"), "{kind}");
    }
}

/// Whatever the method, it is handed on: a provider may post the callback.
pub async fn b13_the_method_is_handed_on(web: &impl Web) {
    let post = Request::post("/auth/example/callback").body(Bytes::from_static(b"state=s&code=c")).unwrap();
    let posted = web.send(post).await;
    assert_ne!(posted.status(), StatusCode::NOT_FOUND);
    let head = web.send(head("/auth")).await;
    assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
}

/// RFC 9110 §8.6: it is the one of GET, although nothing follows.
pub async fn head_has_the_content_length_of_get(web: &impl Web) {
    for (path, mode) in
        [("/auth", "navigate"), ("/mine", "navigate"), ("/mine", "cors"), ("/accounts", "cors")]
    {
        let ask = |request| with(with(request, "x-session-down", "1"), "sec-fetch-mode", mode);
        let (got, looked) = (web.send(ask(get(path))).await, web.send(ask(head(path))).await);
        assert_eq!(
            (got.status(), looked.status()),
            (StatusCode::SERVICE_UNAVAILABLE, got.status()),
            "{path}"
        );
        assert!(!got.body().is_empty() && looked.body().is_empty(), "{path} {mode}");
        let lengths = [&got, &looked].map(|answer| answer.headers().get_all(header::CONTENT_LENGTH));
        let [got_length, looked_length] = lengths.map(|all| all.iter().collect::<Vec<_>>());
        assert_eq!(got_length, [&*got.body().len().to_string()], "{path} {mode}");
        assert_eq!(looked_length, got_length, "{path} {mode}");
    }
    // Where GET leads elsewhere there is nothing, and this much is said.
    let away = with(with(head("/mine"), "x-user", "ann"), "sec-fetch-mode", "navigate");
    let away = web.send(away).await;
    assert_eq!(away.status(), StatusCode::SEE_OTHER);
    assert_eq!(away.headers()[header::CONTENT_LENGTH], "0");
}
