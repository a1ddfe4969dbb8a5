//! Certificates and CAs that change while a client runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;

use authflow_core::{
    Delivery, Error, ErrorKind, HttpClient as _, HttpError, HttpErrorKind, HttpResponse, Limits, Recovery,
};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{Seen, answer, hold, serve};
use common::tls::{Ca, expired, https};
use common::{all_text, post, what};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "127.0.0.1";

/// A server that shows with each connection the next of `acceptors`, and serves one request there.
async fn showing(acceptors: Vec<TlsAcceptor>) -> Arc<Seen> {
    serve(move |seen, stream, number| {
        let acceptor = acceptors[number].clone();
        async move {
            match acceptor.accept(stream).into_fallible().await {
                Ok(mut stream) => {
                    if seen.request(&mut stream).await.is_some() {
                        stream.write_all(&answer(200, "Connection: close\r\n", b"{}")).await.unwrap();
                    }
                }
                // A close could overtake the alert that says why.
                Err((_, stream)) => hold(stream).await,
            }
        }
    })
    .await
}

/// A client that trusts `cas`. Pauses before a resend would end at once.
fn trusting(cas: &[&Ca]) -> ReqwestClient {
    let builder = ReqwestClient::builder().clock(ManualClock::without_pauses());
    cas.iter().fold(builder, |builder, ca| builder.root_certificates_pem(ca.pem())).build().unwrap()
}

async fn send(client: &ReqwestClient, seen: &Seen) -> Result<HttpResponse, HttpError> {
    client.send(post(&https(seen, "/token")), &Limits::default()).await
}

#[tokio::test]
async fn x16_a_new_certificate_of_the_same_ca_needs_no_new_client() {
    let ca = Ca::new();
    let seen = showing(vec![ca.acceptor(HOST, |_| {}), ca.acceptor(HOST, |_| {})]).await;
    let client = trusting(&[&ca]);
    for count in 1..=2 {
        assert_eq!(send(&client, &seen).await.unwrap().body, b"{}");
        assert_eq!((seen.connections(), seen.requests()), (count, count));
    }
}

#[tokio::test]
async fn x16_a_certificate_that_goes_bad_while_the_client_runs_is_refused_until_it_is_mended() {
    let (ca, other) = (Ca::new(), Ca::new());
    for (bad, cause) in [
        (ca.acceptor(HOST, expired), "expired"),
        (ca.acceptor("provider.example", |_| {}), "not valid for name"),
        (other.acceptor(HOST, |_| {}), "UnknownIssuer"),
    ] {
        let good = || ca.acceptor(HOST, |_| {});
        let seen = showing(vec![good(), bad, good()]).await;
        let client = trusting(&[&ca]);
        assert_eq!(send(&client, &seen).await.unwrap().body, b"{}");

        let error = send(&client, &seen).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent), "{cause}");
        assert_eq!((seen.connections(), seen.requests()), (2, 1), "{cause}: no second try, and nothing sent");
        assert!(all_text(&error).contains(cause), "{}", all_text(&error));
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Network);
        assert_eq!(error.recovery(), Recovery::Retry { after: None }, "the connection is not lost");

        assert_eq!(send(&client, &seen).await.unwrap().body, b"{}", "{cause}");
    }
}

#[tokio::test]
async fn x16_who_trusts_both_cas_sees_no_move_from_one_to_the_other() {
    let (old, new) = (Ca::new(), Ca::new());
    let move_over = || showing(vec![old.acceptor(HOST, |_| {}), new.acceptor(HOST, |_| {})]);
    for (trusted, before, after) in
        [(&[&old][..], true, false), (&[&old, &new], true, true), (&[&new], false, true)]
    {
        let (client, seen) = (trusting(trusted), move_over().await);
        for works in [before, after] {
            match send(&client, &seen).await {
                Ok(_) => assert!(works),
                Err(error) => {
                    assert!(!works, "{error:?}");
                    assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent));
                }
            }
        }
        assert_eq!(seen.connections(), 2);
        assert_eq!(seen.requests(), usize::from(before) + usize::from(after));
    }
}

#[tokio::test]
async fn x16_a_client_certificate_that_has_expired_is_tls_and_sent_once_at_most() {
    let ca = Ca::new();
    let known = || ca.acceptor_of_known_clients(HOST);
    let with = |change: fn(&mut rcgen::CertificateParams)| {
        let (certificate, key) = ca.certificate("client.example", change);
        let pem = certificate.pem() + &key.serialize_pem();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap()])
            .identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
            .build()
            .unwrap();
        ReqwestClient::from_client(client).with_clock(ManualClock::without_pauses())
    };
    let seen = showing(vec![known()]).await;
    assert_eq!(send(&with(|_| {}), &seen).await.unwrap().body, b"{}");

    let seen = showing(vec![known()]).await;
    let error = send(&with(expired), &seen).await.unwrap_err();
    // In TLS 1.3 the server looks at it when the request may be on its way already (RFC 8446 §2).
    assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::Unknown));
    assert_eq!((seen.connections(), seen.requests()), (1, 0));
    assert!(all_text(&error).contains("CertificateExpired"), "{}", all_text(&error));
}
