//! Replays the seeds of the fuzz targets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "oracle/callback_http.rs"]
mod callback_http;

#[test]
fn z2_the_seeds_of_the_listener_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/z02_callback_http");
    let mut seeds = 0;
    for entry in
        std::fs::read_dir(folder).expect("the seeds are in the repository, under crates/cli/fuzz/seeds")
    {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        // Each seed, each beginning of it, and each with one byte turned.
        for end in 0..=bytes.len() {
            callback_http::check(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut turned = bytes.clone();
                turned[at] ^= bit;
                callback_http::check(&turned);
            }
        }
        seeds += 1;
    }
    assert!(seeds >= 10, "only {seeds} seeds");
}
