//! Each fault that can be seen without a connection.

use std::{collections::HashSet, io::Read as _, time::Duration};

use authflow_testkit::{
    AuthorizationServer, BadExpiresIn, Coding, Declared, Delivery, Endpoint, ErrorCode, Fault, FaultSpan,
    Outcome, Personality, RetryAfter,
};
use serde_json::json;

use crate::support::{
    Answer, Hands, approving, authorization_query, challenge, code, exchange, get, refresh, resource, server,
    tokens, verifier,
};

/// An exchange that is right in every way, under a fault.
async fn under(server: &AuthorizationServer, fault: Fault) -> Answer {
    let (code, verifier) = code(server).await;
    server.fault_next(Endpoint::Token, fault);
    exchange(server, &code, &verifier, &[]).await
}

async fn callback_under(server: &AuthorizationServer, fault: Fault) -> Vec<(String, String)> {
    server.fault_next(Endpoint::Authorization, fault);
    let query = authorization_query("public-client", &challenge(&verifier()), &[]);
    get(server, &format!("/authorize?{query}")).await.redirect().1
}

fn names(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn each_fault_has_a_name_of_its_own_and_says_what_it_does() {
    let all = Fault::all();
    let names: HashSet<&str> = all.iter().map(Fault::name).collect();
    assert_eq!(names.len(), all.len(), "two faults share a name");
    assert!(all.len() > 80, "{}", all.len());
    for fault in all {
        assert!(fault.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        assert!(!fault.about().is_empty() && fault.about().len() < 80);
        assert_eq!(fault.name().parse::<Fault>().unwrap(), fault);
        assert_eq!(fault.to_string(), fault.name());
    }
    assert!("no-such-fault".parse::<Fault>().unwrap_err().to_string().contains("Fault::all()"));
}

#[tokio::test]
async fn x13_overload_comes_with_every_shape_of_retry_after() {
    let hands = Hands::default();
    let server = approving().clock(hands.clock()).build().unwrap();
    let shapes = [
        (RetryAfter::Seconds(7), Some("7")),
        (RetryAfter::Date(Duration::from_secs(60)), Some("Sun, 15 Jun 2025 15:07:40 GMT")),
        (RetryAfter::Garbage, Some("in a little while")),
        (RetryAfter::TenYears, Some("315360000")),
        (RetryAfter::Absent, None),
    ];
    for (shape, header) in shapes {
        for (fault, status) in [
            (Fault::TooManyRequests(shape), 429),
            (Fault::ServerError(shape), 500),
            (Fault::Unavailable(shape), 503),
        ] {
            let reply = under(&server, fault).await;
            assert_eq!(reply.status, status);
            assert_eq!(reply.headers.get("retry-after").map(|value| value.to_str().unwrap()), header);
        }
    }
    assert!(server.ledger().token_requests().iter().all(|entry| entry.outcome() == &Outcome::Faulted));
}

#[tokio::test]
async fn faults_that_come_instead_change_nothing() {
    let server = server();
    for fault in [
        Fault::ServerError(RetryAfter::Absent),
        Fault::BadGateway,
        Fault::HtmlPage,
        Fault::ErrorOn200,
        Fault::ResetBeforeResponse,
        Fault::Redirect { status: 307, location: None },
        Fault::DecompressionBomb(1 << 20),
        Fault::TooManyRequests(RetryAfter::Absent),
    ] {
        let (code, verifier) = code(&server).await;
        server.fault_next(Endpoint::Token, fault.clone());
        exchange(&server, &code, &verifier, &[]).await;
        let entry = server.ledger().last().unwrap();
        assert_eq!((entry.outcome(), entry.fault()), (&Outcome::Faulted, Some(&fault)));
        assert!(entry.issued().is_empty());
        assert_eq!(
            exchange(&server, &code, &verifier, &[]).await.status,
            200,
            "{fault}: the code is still good"
        );
    }
}

#[tokio::test]
async fn faults_that_come_after_have_used_the_code_up() {
    let server = server();
    for fault in [
        Fault::SlowHeaders(Duration::ZERO),
        Fault::StallHeaders,
        Fault::ResetAfterCommit(authflow_testkit::Sent::Nothing),
        Fault::EmptyBody,
        Fault::InvalidJson,
        Fault::WrongContentType,
        Fault::MissingAccessToken,
        Fault::TruncatedBody,
    ] {
        let (code, verifier) = code(&server).await;
        server.fault_next(Endpoint::Token, fault.clone());
        exchange(&server, &code, &verifier, &[]).await;
        let entry = server.ledger().last().unwrap();
        assert_eq!((entry.outcome(), entry.fault()), (&Outcome::CodeRedeemed, Some(&fault)));
        assert!(entry.access_token().is_some() && entry.refresh_token().is_some());
        assert_eq!(exchange(&server, &code, &verifier, &[]).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn pages_instead_of_replies_are_html() {
    let server = server();
    for (fault, status) in
        [(Fault::ServerError(RetryAfter::Absent), 500), (Fault::BadGateway, 502), (Fault::HtmlPage, 200)]
    {
        let reply = under(&server, fault).await;
        assert_eq!(reply.status, status);
        assert!(reply.header("content-type").starts_with("text/html"));
        assert!(reply.text().contains("<h1>"));
    }
}

#[tokio::test]
async fn c4_redirects_lead_elsewhere_and_the_ledger_would_show_it() {
    let server = server();
    for status in [301, 302, 303, 307, 308] {
        let reply = under(&server, Fault::Redirect { status, location: None }).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("location"), format!("{}/elsewhere", server.base_url()));
        let there = Fault::Redirect { status, location: Some("https://attacker.example/".to_owned()) };
        assert_eq!(under(&server, there).await.header("location"), "https://attacker.example/");
    }
    assert_eq!(server.ledger().count(Endpoint::Other), 0);
    assert_eq!(get(&server, "/elsewhere").await.status, 200);
    assert_eq!(server.ledger().count(Endpoint::Other), 1);
}

#[tokio::test]
async fn c3_compressed_bodies_are_what_they_were() {
    let server = server();
    for coding in [Coding::Gzip, Coding::Deflate, Coding::RawDeflate] {
        for declared in [Declared::Yes, Declared::No] {
            let reply = under(&server, Fault::Compressed { coding, declared }).await;
            let name = if coding == Coding::Gzip { "gzip" } else { "deflate" };
            assert_eq!(reply.header("content-encoding"), if declared == Declared::Yes { name } else { "" });
            let mut plain = String::new();
            let body = reply.body.as_ref();
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(body).read_to_string(&mut plain),
                Coding::Deflate => flate2::read::ZlibDecoder::new(body).read_to_string(&mut plain),
                Coding::RawDeflate => flate2::read::DeflateDecoder::new(body).read_to_string(&mut plain),
            }
            .unwrap();
            assert!(plain.contains("\"token_type\":\"Bearer\""), "{plain}");
        }
    }
}

#[tokio::test]
async fn c3_the_bomb_is_small_whole_and_huge() {
    let server = server();
    let reply = under(&server, Fault::DecompressionBomb(64 << 20)).await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert!(reply.body.len() < 512 * 1024, "{}", reply.body.len());
    // Reading to the end also checks length and checksum.
    let mut decoder = flate2::read::GzDecoder::new(reply.body.as_ref());
    let size = std::io::copy(&mut decoder, &mut std::io::sink()).unwrap();
    assert!(size >= 64 << 20);
    let whole = under(&server, "decompression-bomb".parse().unwrap()).await;
    assert!(whole.body.len() < 8 << 20, "a gigabyte in {} bytes", whole.body.len());
}

#[tokio::test]
async fn c6_types_and_bodies_can_be_wrong() {
    let server = server();
    let plain = under(&server, Fault::WrongContentType).await;
    assert!(plain.header("content-type").starts_with("text/plain"));
    assert!(plain.json()["access_token"].is_string());
    let bare = under(&server, Fault::MissingContentType).await;
    assert_eq!(bare.header("content-type"), "");
    assert!(bare.json()["access_token"].is_string());
    assert_eq!(under(&server, Fault::EmptyBody).await.body.len(), 0);
    for fault in [Fault::InvalidJson, Fault::DeepJson, Fault::TrailingGarbage, Fault::InvalidUtf8] {
        let reply = under(&server, fault.clone()).await;
        assert_eq!(reply.status, 200);
        assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err(), "{fault}");
    }
    assert!(std::str::from_utf8(&under(&server, Fault::InvalidUtf8).await.body).is_err());
    assert!(under(&server, Fault::JsonArray).await.json().is_array());
    let error = under(&server, Fault::ErrorOn200).await;
    assert_eq!((error.status, error.error().as_str()), (200, "bad_verification_code"));
}

#[tokio::test]
async fn c8_to_c17_fields_can_be_wrong() {
    let server = server();
    let missing = [
        (Fault::MissingAccessToken, "access_token"),
        (Fault::MissingExpiresIn, "expires_in"),
        (Fault::MissingTokenType, "token_type"),
        (Fault::MissingScope, "scope"),
        (Fault::MissingRefreshToken, "refresh_token"),
    ];
    for (fault, field) in missing {
        let json = under(&server, fault).await.json();
        assert_eq!(json.as_object().unwrap().len(), 4);
        assert!(json.get(field).is_none());
    }
    let changed = [
        (Fault::EmptyAccessToken, "access_token", json!("")),
        (Fault::NullAccessToken, "access_token", json!(null)),
        (Fault::TokenWithCrLf, "access_token", json!("access\r\nX-Injected: 1")),
        (Fault::WrongTokenType, "token_type", json!("mac")),
        (Fault::EmptyScope, "scope", json!("")),
        (Fault::OtherScope, "scope", json!("something-else")),
        (Fault::BadExpiresIn(BadExpiresIn::NumberAsText), "expires_in", json!("3599")),
        (Fault::BadExpiresIn(BadExpiresIn::Fraction), "expires_in", json!(3599.5)),
        (Fault::BadExpiresIn(BadExpiresIn::Zero), "expires_in", json!(0)),
        (Fault::BadExpiresIn(BadExpiresIn::Negative), "expires_in", json!(-1)),
        (Fault::BadExpiresIn(BadExpiresIn::Overflow), "expires_in", json!(u64::MAX)),
        (Fault::BadExpiresIn(BadExpiresIn::Huge), "expires_in", json!(1e300)),
        (Fault::BadExpiresIn(BadExpiresIn::Word), "expires_in", json!("soon")),
        (Fault::BadExpiresIn(BadExpiresIn::Boolean), "expires_in", json!(true)),
        (Fault::BadExpiresIn(BadExpiresIn::Null), "expires_in", json!(null)),
        (Fault::BadExpiresIn(BadExpiresIn::Array), "expires_in", json!([])),
    ];
    for (fault, field, value) in changed {
        let json = under(&server, fault).await.json();
        assert_eq!(json.as_object().unwrap().len(), 5);
        assert_eq!(json[field], value);
    }
}

#[tokio::test]
async fn c14_the_same_member_comes_twice() {
    let server = server();
    let reply = under(&server, Fault::DuplicateMember).await;
    assert_eq!(reply.text().matches("\"access_token\":").count(), 2);
}

#[tokio::test]
async fn faults_of_fields_reach_form_replies() {
    let server = approving().personality(Personality::StackExchange).build().unwrap();
    let exchange = async |fault: &str| {
        let verifier = verifier();
        let query = authorization_query("1001", &challenge(&verifier), &[("scope", "")]);
        let code = get(&server, &format!("/oauth?{query}")).await.callback().remove("code").unwrap();
        server.fault_next(Endpoint::Token, fault.parse().unwrap());
        let form = [
            ("client_id", "1001"),
            ("redirect_uri", crate::support::REDIRECT),
            ("code", &code),
            ("code_verifier", &verifier),
        ];
        crate::support::post(&server, "/oauth/access_token", &form).await.text().to_owned()
    };
    assert!(exchange("missing-access-token").await.starts_with("expires="));
    assert!(!exchange("missing-expires-in").await.contains("expires"));
    assert!(exchange("expires-in-word").await.ends_with("&expires=soon"));
    assert_eq!(exchange("duplicate-member").await.matches("access_token=").count(), 2);
    assert!(exchange("token-with-crlf").await.contains("access%0D%0AX-Injected"));
    assert!(exchange("missing-token-type").await.starts_with("access_token="));
    assert_eq!(server.ledger().last().unwrap().fault(), None, "there was nothing to leave out");
}

#[tokio::test]
async fn x14_refusals_come_on_request() {
    let server = server();
    for (code, status) in [
        (ErrorCode::InvalidRequest, 400),
        (ErrorCode::InvalidClient, 401),
        (ErrorCode::InvalidGrant, 400),
        (ErrorCode::UnauthorizedClient, 400),
        (ErrorCode::UnsupportedGrantType, 400),
        (ErrorCode::InvalidScope, 400),
        (ErrorCode::Other("out_of_coffee".to_owned()), 400),
    ] {
        let reply = under(&server, Fault::Refuse(code.clone())).await;
        assert_eq!((reply.status, reply.error().as_str()), (status, code.as_str()));
        assert_eq!(!reply.header("www-authenticate").is_empty(), status == 401);
    }
    let (access, _) = tokens(&server).await;
    server.set_fault(Fault::Refuse(ErrorCode::InvalidToken));
    for _ in 0..2 {
        let reply = resource(&server, &access).await;
        assert_eq!(reply.status, 401);
        assert!(reply.header("www-authenticate").starts_with("Bearer "));
    }
    server.clear_faults();
    assert_eq!(resource(&server, &access).await.status, 200);
}

#[tokio::test]
async fn c23_descriptions_can_be_hostile_and_huge() {
    let server = server();
    let hostile = under(&server, Fault::HostileDescription).await;
    let description = hostile.json()["error_description"].as_str().unwrap().to_owned();
    for needle in ["\u{1b}", "\r\n", "<script>", "\u{202e}", "\0"] {
        assert!(description.contains(needle));
    }
    let huge = under(&server, Fault::HugeDescription).await;
    assert!(huge.body.len() > 1_000_000);
    assert_eq!(huge.error(), "invalid_request");
}

#[tokio::test]
async fn errors_come_in_other_shapes() {
    let server = server();
    let contentstack = under(&server, Fault::ContentstackError).await;
    assert_eq!(contentstack.status, 422);
    assert_eq!(contentstack.json()["error_code"], 118);
    assert!(contentstack.json()["error_message"].is_string());
    let message = under(&server, Fault::MessageError).await;
    assert_eq!(message.json().as_object().unwrap().len(), 1);
    assert!(message.json()["message"].is_string());
}

#[tokio::test]
async fn f5_a_refresh_token_can_count_as_used() {
    let server = server();
    let (access, token) = tokens(&server).await;
    server.fault_next(Endpoint::Token, Fault::RotationReuse);
    assert_eq!(refresh(&server, &token).await.error(), "invalid_grant");
    let entry = server.ledger().last().unwrap();
    assert_eq!((entry.outcome(), entry.fault()), (&Outcome::RefreshReused, Some(&Fault::RotationReuse)));
    assert_eq!(resource(&server, &access).await.status, 401);
}

#[tokio::test]
async fn b1_to_b14_callbacks_can_be_wrong() {
    let server = server();
    let right = ["code", "state", "iss"];
    let state = |pairs: &[(String, String)]| pairs[1].1.clone();
    assert_ne!(state(&callback_under(&server, Fault::WrongState).await), "state-1");
    assert_eq!(names(&callback_under(&server, Fault::MissingState).await), ["code", "iss"]);
    assert_eq!(
        names(&callback_under(&server, Fault::DuplicateState).await),
        [&right[..], &["state"]].concat()
    );
    assert_eq!(names(&callback_under(&server, Fault::DuplicateCode).await), [&right[..], &["code"]].concat());
    assert_eq!(names(&callback_under(&server, Fault::MissingCode).await), ["state", "iss"]);
    assert_eq!(callback_under(&server, Fault::WrongIss).await[2].1, "https://attacker.example");
    assert_eq!(names(&callback_under(&server, Fault::MissingIss).await), ["code", "state"]);
    assert_eq!(names(&callback_under(&server, Fault::DuplicateIss).await), [&right[..], &["iss"]].concat());
    assert_eq!(names(&callback_under(&server, Fault::CodeAndError).await), [&right[..], &["error"]].concat());
    let with_token = callback_under(&server, Fault::TokenInCallback).await;
    assert_eq!(names(&with_token), [&right[..], &["access_token"]].concat());
    for entry in server.ledger().of(Endpoint::Authorization) {
        assert!(entry.fault().is_some());
        assert_eq!(entry.outcome(), &Outcome::CodeIssued);
    }
}

#[tokio::test]
async fn b9_the_server_can_refuse_at_the_authorization_endpoint() {
    let server = server();
    let denied = callback_under(&server, Fault::DenyByServer).await;
    assert_eq!(names(&denied), ["error", "error_description", "state", "iss"]);
    assert_eq!(denied[0].1, "access_denied");
    assert_eq!(server.ledger().last().unwrap().outcome(), &Outcome::Denied);
    let failed = callback_under(&server, Fault::ServerErrorAtAuthorize).await;
    assert_eq!(failed[0].1, "server_error");
    let hostile = callback_under(&server, Fault::HostileCallbackError).await;
    assert_eq!(names(&hostile)[2], "error_uri");
    assert!(hostile[1].1.contains("\r\n") && hostile[2].1.starts_with("javascript:"));
    assert!(server.ledger().entries().iter().all(|entry| entry.code().is_none()));
}

#[tokio::test]
async fn a_fault_of_the_callback_waits_for_the_form() {
    let server = AuthorizationServer::builder().build().unwrap();
    server.fault_next(Endpoint::Authorization, Fault::WrongState);
    assert_eq!(get(&server, "/authorize?client_id=nobody").await.status, 400);
    assert_eq!(crate::support::post(&server, "/consent", &[("decision", "approve")]).await.status, 400);
    assert_eq!(server.faults().len(), 1, "no callback left");
    let query = authorization_query("public-client", &challenge(&verifier()), &[]);
    let page = get(&server, &format!("/authorize?{query}")).await;
    assert_eq!(page.status, 200);
    let (_, after) = page.text().split_once("name=\"ticket\" value=\"").unwrap();
    let ticket = after.split_once('"').unwrap().0;
    let form = [("ticket", ticket), ("decision", "approve")];
    let callback = crate::support::post(&server, "/consent", &form).await.callback();
    assert_ne!(callback["state"], "state-1");
    assert!(server.faults().is_empty());
}

#[tokio::test]
async fn metadata_can_name_another_issuer() {
    let server = server();
    server.set_fault(Fault::WrongMetadataIssuer);
    let metadata = get(&server, "/.well-known/oauth-authorization-server").await.json();
    assert_ne!(metadata["issuer"], server.issuer());
    assert_eq!(server.ledger().last().unwrap().fault(), Some(&Fault::WrongMetadataIssuer));
}

#[tokio::test]
async fn faults_wait_in_line_and_lasting_ones_stay() {
    let server = server();
    server.fault_next(Endpoint::Token, Fault::ServerError(RetryAfter::Absent));
    server.fault_next(Endpoint::Token, Fault::BadGateway);
    server.fault_all(Endpoint::Token, Fault::Unavailable(RetryAfter::Absent));
    server.fault_all(Endpoint::Token, Fault::HtmlPage);
    server.fault_all(Endpoint::Resource, Fault::EmptyBody);
    let set = || server.faults().into_iter().map(|set| (set.fault.name(), set.span)).collect::<Vec<_>>();
    let lasting = [("html-page", FaultSpan::Every), ("empty-body", FaultSpan::Every)];
    assert_eq!(
        set(),
        [&[("server-error", FaultSpan::Next), ("bad-gateway", FaultSpan::Next)], &lasting[..]].concat()
    );
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(refresh(&server, "x").await.status);
    }
    assert_eq!(statuses, [500, 502, 200, 200]);
    assert_eq!(set(), lasting);
    server.clear_faults();
    assert_eq!(set(), []);
    assert_eq!(refresh(&server, "x").await.status, 400);
}

#[tokio::test]
async fn a_fault_belongs_to_its_endpoint_and_leaves_others_alone() {
    let server = server();
    server.fault_all(Endpoint::Resource, Fault::MissingAccessToken);
    let (access, _) = tokens(&server).await;
    assert_eq!(resource(&server, &access).await.status, 200);
    assert_eq!(server.ledger().last().unwrap().fault(), None, "a resource has no such field");
}

#[tokio::test]
async fn without_a_socket_the_delivery_is_told() {
    let server = server();
    server.fault_next(Endpoint::Other, Fault::StallBody);
    let response = server.handle(http::Request::get("/elsewhere").body(bytes::Bytes::new()).unwrap()).await;
    assert_eq!(response.extensions().get::<Delivery>(), Some(&Delivery::Stalled));
    assert_eq!(response.body().as_ref(), b"elsewhere");
}
