//! Raw bytes on the socket of the loopback listener.

#![no_main]

#[path = "../../tests/oracle/callback_http.rs"]
mod callback_http;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| callback_http::check(bytes));
