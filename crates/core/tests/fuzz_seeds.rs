//! H6: replays the seeds of every fuzz target, and small changes of each. Overflow panics in a test, too.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, missing_docs, reason = "tests")]

#[path = "../fuzz/harness.rs"]
mod harness;

use std::path::Path;

#[test]
fn h6_every_seed_and_its_neighbours_hold() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in harness::TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(seeds.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")) {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            target(&seed);
            for at in 0..seed.len().min(200) {
                target(&seed[..at]);
                for flip in [0x01, 0x20, 0x80, 0xff] {
                    let mut changed = seed.clone();
                    changed[at] ^= flip;
                    target(&changed);
                }
            }
            count += 1;
        }
        assert!(count >= 5, "{name} has {count} seeds");
    }
}
