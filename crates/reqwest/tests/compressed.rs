//! What comes compressed, with or without saying so, is decoded under the cap.

#![cfg(feature = "decompression")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io::Write as _;
use std::sync::OnceLock;

use authflow_core::{Delivery, HttpClient as _, HttpError, HttpErrorKind, HttpResponse, Limits};
use authflow_reqwest::ReqwestClient;
use common::server::{answer, answering, serve};
use common::{get, what};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use tokio::io::AsyncWriteExt as _;

const JSON: &[u8] = br#"{"access_token":"a","expires_in":3600}"#;
const DECODE: (HttpErrorKind, Delivery) = (HttpErrorKind::Decode, Delivery::Answered);
const TOO_LARGE: (HttpErrorKind, Delivery) = (HttpErrorKind::TooLarge, Delivery::Answered);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn get_with(limits: &Limits, headers: &str, body: &[u8]) -> Result<HttpResponse, HttpError> {
    // One for all: reading the system's root certificates takes its time.
    static CLIENT: OnceLock<ReqwestClient> = OnceLock::new();
    let client = CLIENT.get_or_init(|| ReqwestClient::new().unwrap());
    let seen = answering(answer(200, headers, body)).await;
    client.send(get(&seen.url("/")), limits).await
}

async fn get_body(headers: &str, body: &[u8]) -> Result<HttpResponse, HttpError> {
    get_with(&Limits::default(), headers, body).await
}

#[tokio::test]
async fn what_says_that_it_is_compressed_is_decoded() {
    for (encoding, body) in [
        ("gzip", gzip(JSON)),
        ("GZIP", gzip(JSON)),
        ("x-gzip", gzip(JSON)),
        ("identity, gzip", gzip(JSON)),
        ("deflate", zlib(JSON, 6)),
        ("deflate", deflate(JSON)),
    ] {
        let response = get_body(&format!("Content-Encoding: {encoding}\r\n"), &body).await.unwrap();
        assert_eq!(response.body, JSON, "{encoding}");
        assert!(!response.headers.contains_key("content-encoding"), "it describes what came");
        assert!(!response.headers.contains_key("content-length"), "it describes what came");
    }
}

#[tokio::test]
async fn what_does_not_say_so_is_decoded_all_the_same() {
    let bodies = [gzip(JSON), zlib(JSON, 0), zlib(JSON, 3), zlib(JSON, 6), zlib(JSON, 9)];
    for headers in [
        "",
        "Content-Encoding: identity\r\n",
        "Content-Type: application/json; charset=utf-8\r\n",
        "Content-Type: application/problem+json\r\n",
        "Content-Type: Text/Plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
    ] {
        for body in &bodies {
            assert_eq!(get_body(headers, body).await.unwrap().body, JSON, "{headers}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_compressed_on_purpose_stays_so() {
    for media_type in ["application/gzip", "application/octet-stream", "image/svgz"] {
        let body = gzip(JSON);
        let response = get_body(&format!("Content-Type: {media_type}\r\n"), &body).await.unwrap();
        assert_eq!(response.body, body);
        assert!(response.headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn what_is_not_compressed_is_left_alone() {
    for body in [b"".as_slice(), b"x", b"x^", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x09rest", b"x\x02rest", JSON] {
        if body != b"x^" {
            assert_eq!(get_body("", body).await.unwrap().body, body);
        }
    }
    // No body, no encoding, whatever the header says.
    for encoding in ["gzip", "deflate", "br", "gzip, gzip"] {
        let response = get_body(&format!("Content-Encoding: {encoding}\r\n"), b"").await.unwrap();
        assert_eq!(response.body, b"");
    }
}

#[tokio::test]
async fn it_may_come_byte_by_byte() {
    for (headers, body) in [
        ("Content-Encoding: gzip\r\n", gzip(JSON)),
        ("Content-Encoding: deflate\r\n", zlib(JSON, 6)),
        ("Content-Encoding: deflate\r\n", deflate(JSON)),
        ("", gzip(JSON)),
        ("", zlib(JSON, 6)),
        ("", JSON.to_vec()),
    ] {
        let seen = serve(move |seen, mut stream, _| {
            let body = body.clone();
            async move {
                seen.request(&mut stream).await.unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                for byte in body {
                    stream.write_all(&[b'1', b'\r', b'\n', byte, b'\r', b'\n']).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
        })
        .await;
        let client = ReqwestClient::new().unwrap();
        let response = client.send(get(&seen.url("/")), &Limits::default()).await.unwrap();
        assert_eq!(response.body, JSON);
    }
}

#[tokio::test]
async fn gzip_may_have_several_members() {
    let body = [gzip(&JSON[..10]), gzip(b""), gzip(&JSON[10..])].concat();
    assert_eq!(get_body("Content-Encoding: gzip\r\n", &body).await.unwrap().body, JSON);
}

#[tokio::test]
async fn c3_the_cap_holds_after_decoding() {
    let limits = Limits::default().with_max_body(100_000);
    for (encoding, encode) in
        [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("deflate", |body| zlib(body, 6)), ("deflate", deflate)]
    {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let exact = get_with(&limits, &headers, &encode(&[b' '; 100_000])).await.unwrap();
        assert_eq!(exact.body.len(), 100_000);
        let over = get_with(&limits, &headers, &encode(&[b' '; 100_001])).await.unwrap_err();
        assert_eq!(what(&over), TOO_LARGE, "{encoding}");
    }
}

#[tokio::test]
async fn raw_deflate_may_begin_almost_as_zlib_does() {
    // A stored block (RFC 1951 §3.2.4) whose padding makes the first byte that of zlib; the check of the two bytes fails.
    let length = u16::try_from(JSON.len()).unwrap();
    let head = [&[0x08][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    let body = [&head, JSON, &[0x01, 0x00, 0x00, 0xff, 0xff]].concat();
    assert_eq!(get_body("Content-Encoding: deflate\r\n", &body).await.unwrap().body, JSON);
}

#[tokio::test]
async fn what_does_not_compress_may_be_longer_on_the_wire() {
    let limits = Limits::default().with_max_body(100_000);
    let body = zlib(&[b' '; 100_000], 0);
    assert!(body.len() > limits.max_body);
    let response = get_with(&limits, "Content-Encoding: deflate\r\n", &body).await.unwrap();
    assert_eq!(response.body.len(), 100_000);
}

#[tokio::test]
async fn c3_a_bomb_is_cut_off() {
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    for headers in ["Content-Encoding: gzip\r\n", ""] {
        assert_eq!(what(&get_body(headers, &bomb).await.unwrap_err()), TOO_LARGE);
    }
}

#[tokio::test]
async fn c3_compressed_data_that_never_becomes_anything_is_cut_off() {
    // Empty stored blocks (RFC 1951 §3.2.4): five bytes each, and nothing comes out.
    let seen = serve(|seen, mut stream, _| async move {
        seen.request(&mut stream).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let blocks = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(1000);
        while stream.write_all(&blocks).await.is_ok() {}
    })
    .await;
    let client = ReqwestClient::new().unwrap();
    let error = client.send(get(&seen.url("/")), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), TOO_LARGE);
}

#[tokio::test]
async fn two_layers_are_refused() {
    let body = gzip(&gzip(JSON));
    for headers in [
        "Content-Encoding: gzip, gzip\r\n",
        "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
        "Content-Encoding: deflate,gzip\r\n",
        "Content-Encoding: gzip, br\r\n",
    ] {
        assert_eq!(what(&get_body(headers, &body).await.unwrap_err()), DECODE, "{headers}");
    }
}

#[tokio::test]
async fn an_encoding_that_nobody_asked_for_is_refused() {
    for encoding in ["br", "zstd", "compress", "gzipped", "nonsense"] {
        let error = get_body(&format!("Content-Encoding: {encoding}\r\n"), &gzip(JSON)).await.unwrap_err();
        assert_eq!(what(&error), DECODE, "{encoding}");
    }
}

#[tokio::test]
async fn corrupt_data_is_refused() {
    let valid = [
        ("gzip", gzip(JSON)),
        ("deflate", zlib(JSON, 6)),
        ("deflate", deflate(JSON)),
        // Longer than the decoder's buffers.
        ("gzip", gzip(&JSON.repeat(2000))),
        ("deflate", zlib(&JSON.repeat(2000), 6)),
        ("deflate", deflate(&JSON.repeat(2000))),
    ];
    for (encoding, body) in valid {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        for length in [1, 2, 5, 10, body.len() / 2, body.len() - 4, body.len() - 1] {
            let error = get_body(&headers, &body[..length]).await.unwrap_err();
            assert_eq!(what(&error), DECODE, "{encoding}, the first {length} of {} bytes", body.len());
        }
        let garbage = [body.as_slice(), b"garbage after the end"].concat();
        assert_eq!(what(&get_body(&headers, &garbage).await.unwrap_err()), DECODE, "{encoding}");
    }
    for (encoding, mut body) in [("gzip", gzip(JSON)), ("deflate", zlib(JSON, 6))] {
        // The checksum: the last four bytes of zlib's format, the last eight but four of gzip's.
        let position = body.len() - if encoding == "gzip" { 8 } else { 4 };
        body[position] ^= 1;
        let headers = format!("Content-Encoding: {encoding}\r\n");
        assert_eq!(what(&get_body(&headers, &body).await.unwrap_err()), DECODE, "{encoding}");
    }
    assert_eq!(what(&get_body("Content-Encoding: gzip\r\n", JSON).await.unwrap_err()), DECODE);
}
