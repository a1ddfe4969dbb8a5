//! Its five traps, which are none here.

use authflow::{Delivery, ErrorKind, HttpError, HttpErrorKind};

use crate::common::{pairs, value};
use crate::{CODE, Rig, SECRET, TOKENS, code_grant, credentials, names, provider, query, user};

#[tokio::test]
async fn acf_trap_a_a_code_is_never_sent_twice() {
    for answer in [429, 500, 502, 503, 504, 0] {
        let rig = Rig::new(provider());
        if answer == 0 {
            rig.http.push(Err(HttpError::new(HttpErrorKind::Transport, Delivery::Unknown)));
        } else {
            rig.http.answer(answer, "text/html", "<h1>later</h1>");
        }
        let (_, callback) = rig.begin().await;
        rig.finish(&callback).await.unwrap_err();
        assert_eq!(rig.http.requests().len(), 1, "{answer}");
        // Nor by the same callback once more: the state is used up.
        assert_eq!(rig.finish(&callback).await.unwrap_err().kind(), ErrorKind::StateNotFound);
        assert_eq!(rig.http.requests().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn acf_trap_b_no_debug_shows_a_secret() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    let authorization = rig.flow.begin(&user()).await.unwrap();
    let completed = rig.whole_flow().await.unwrap();
    let request = rig.http.last();
    let shown = format!(
        "{:?} {:?} {authorization:?} {completed:?} {request:?} {:?}",
        credentials(),
        rig.flow,
        code_grant()
    );
    let state = value(&query(authorization.url()), "state").unwrap();
    for secret in [SECRET, CODE, "planted-access-token", state.as_str()] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test]
async fn acf_trap_c_the_default_body_is_the_rfcs_form() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    rig.whole_flow().await.unwrap();
    let request = rig.http.last();
    assert_eq!(request.headers[http::header::CONTENT_TYPE], "application/x-www-form-urlencoded");
    assert_eq!(value(&pairs(&request.body), "code").unwrap(), CODE);
}

#[tokio::test]
async fn acf_trap_d_an_error_says_what_the_provider_answered() {
    let rig = Rig::new(provider());
    rig.http.answer(
        400,
        "application/json",
        r#"{"error":"invalid_grant","error_description":"code expired"}"#,
    );
    let shown = rig.whole_flow().await.unwrap_err().to_string();
    assert!(shown.contains("invalid_grant: code expired") && shown.contains("HTTP 400"), "{shown}");
    // Where the body is none of the protocol's, its beginning is there for those who ask, and not in the text.
    rig.http.answer(403, "text/html", "<title>Blocked by the proxy</title>");
    let error = rig.whole_flow().await.unwrap_err();
    assert!(error.body_prefix().unwrap().contains("Blocked by the proxy"));
    assert!(!format!("{error} {error:?}").contains("Blocked"));
}

#[tokio::test]
async fn acf_trap_e_the_state_is_not_sent_to_the_token_endpoint() {
    let rig = Rig::new(provider());
    rig.http.json(TOKENS);
    let (url, callback) = rig.begin().await;
    let state = value(&query(&url), "state").unwrap();
    rig.finish(&callback).await.unwrap();
    let request = rig.http.last();
    assert!(
        !String::from_utf8_lossy(&request.body).contains(&state) && !request.url.as_str().contains(&state)
    );
    assert_eq!(names(&pairs(&request.body)), ["grant_type", "code", "redirect_uri", "code_verifier"]);
}
