//! Without the feature `decompression`, compressed answers are refused with words that say what to do.

#![cfg(not(feature = "decompression"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use authflow_core::{Delivery, HttpClient as _, HttpErrorKind, Limits};
use authflow_reqwest::ReqwestClient;
use common::server::{answer, answering};
use common::{all_text, get, what};

#[tokio::test]
async fn what_comes_compressed_names_the_feature() {
    for (headers, body) in [
        ("Content-Encoding: gzip\r\n", b"\x1f\x8b\x08rest".as_slice()),
        ("Content-Encoding: deflate\r\n", b"\x78\x9crest"),
        ("Content-Type: application/json\r\n", b"\x1f\x8b\x08rest"),
        ("Content-Type: application/json\r\n", b"\x78\x9crest"),
    ] {
        let seen = answering(answer(200, headers, body)).await;
        let client = ReqwestClient::new().unwrap();
        let error = client.send(get(&seen.url("/")), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Decode, Delivery::Answered));
        assert!(all_text(&error).contains("enable the feature `decompression`"), "{error:?}");
    }
}

#[tokio::test]
async fn what_comes_plain_is_read() {
    for (headers, body) in
        [("", b"{}".as_slice()), ("Content-Type: application/gzip\r\n", b"\x1f\x8b\x08rest")]
    {
        let seen = answering(answer(200, headers, body)).await;
        let client = ReqwestClient::new().unwrap();
        assert_eq!(client.send(get(&seen.url("/")), &Limits::default()).await.unwrap().body, body);
    }
}
