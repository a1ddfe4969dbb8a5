//! The scripted client answers as it is told, and never makes an answer up.

use std::error::Error as _;
use std::time::Duration;

use authflow_core::{Delivery, HttpClient as _, HttpErrorKind, HttpRequest, HttpResponse, Limits};
use authflow_testkit::ScriptedClient;
use http::StatusCode;

fn request(path: &str) -> HttpRequest {
    HttpRequest::get(format!("https://as.example/{path}?secret=planted").parse().unwrap())
}

#[tokio::test]
async fn answers_come_in_order_and_then_none() {
    let client = ScriptedClient::new();
    client.push_json("{}");
    client.push(Ok(HttpResponse::new(StatusCode::IM_A_TEAPOT, "")));
    client.push_error(HttpErrorKind::Tls, Delivery::NotSent);
    let limits = Limits::default().with_total(Duration::from_secs(7));

    let first = client.send(request("1"), &limits).await.unwrap();
    assert_eq!((first.status, first.media_type().as_deref()), (StatusCode::OK, Some("application/json")));
    assert_eq!(client.send(request("2"), &limits).await.unwrap().status, StatusCode::IM_A_TEAPOT);
    let third = client.send(request("3"), &limits).await.unwrap_err();
    assert_eq!((third.kind(), third.delivery()), (HttpErrorKind::Tls, Delivery::NotSent));
    assert_eq!(client.answers_left(), 0);

    let fourth = client.send(request("4"), &limits).await.unwrap_err();
    assert_eq!((fourth.kind(), fourth.delivery()), (HttpErrorKind::Transport, Delivery::Unknown));
    assert_eq!(fourth.source().unwrap().to_string(), "the script has no answer to request 4, a GET");

    let paths: Vec<_> = client.requests().iter().map(|request| request.url.path().to_owned()).collect();
    assert_eq!(paths, ["/1", "/2", "/3", "/4"]);
    assert_eq!(client.limits(), vec![limits; 4]);
    assert!(!format!("{client:?} {fourth:?}").contains("planted"));
}

#[tokio::test]
async fn a_closure_decides_what_the_script_does_not() {
    let client = ScriptedClient::answering(|request| {
        (request.url.path() == "/known").then(|| Ok(HttpResponse::new(StatusCode::OK, "known")))
    });
    client.push(Ok(HttpResponse::new(StatusCode::OK, "pushed")));
    let limits = Limits::default();
    assert_eq!(client.send(request("known"), &limits).await.unwrap().body, b"pushed");
    assert_eq!(client.send(request("known"), &limits).await.unwrap().body, b"known");
    client.send(request("unknown"), &limits).await.unwrap_err();
    assert_eq!(client.request_count(), 3);
}

#[tokio::test]
async fn the_form_of_the_last_request_is_read() {
    let client = ScriptedClient::new();
    assert!(client.last_request().is_none());
    assert!(client.last_form().is_empty());
    let form = request("token").with_body("a=1&b=x+y%26z");
    client.send(form, &Limits::default()).await.unwrap_err();
    let expected = [("a", "1"), ("b", "x y&z")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(client.last_form(), expected);
}
