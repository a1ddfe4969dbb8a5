//! F24: what held a secret is wiped when it is dropped, as far as a process can see its own memory.
//!
//! What this cannot show is what others copy: the HTTP client's buffers, and what the operating system writes to a swap.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs::File;
use std::hint::black_box;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use authflow_core::{KeyRing, PendingFlow, SealContext, Secret, SecretBytes, TokenSet};
use zeroize::Zeroize as _;

/// So long that what an allocator writes at both ends of memory it has back leaves the middle as it was.
const MARGIN: usize = 64;
const LENGTH: usize = 32;
const CHUNK: usize = 1 << 20;

/// A text that is nowhere in memory before it is made: it is known byte by byte only.
#[derive(Clone, Copy)]
struct Canary(u8);

impl Canary {
    fn byte(self, at: usize) -> u8 {
        if at == 0 {
            // Seldom enough in memory to look for.
            return b'~';
        }
        let mixed = (at as u8).wrapping_mul(29).wrapping_add(black_box(self.0)).rotate_left(3) ^ 0x5a;
        b'a' + mixed.wrapping_mul(at as u8 | 1) % 26
    }

    /// The only copy: it is filled in place, and never grows.
    fn text(self) -> String {
        let mut text = String::with_capacity(2 * MARGIN + LENGTH);
        text.extend(std::iter::repeat_n('-', MARGIN));
        (0..LENGTH).for_each(|at| text.push(char::from(self.byte(at))));
        text.extend(std::iter::repeat_n('-', MARGIN));
        text
    }

    fn secret(self) -> Secret {
        Secret::new(self.text())
    }

    fn is_at(self, bytes: &[u8]) -> bool {
        bytes.len() >= LENGTH && (0..LENGTH).all(|at| bytes[at] == self.byte(at))
    }
}

/// Looks through all memory that this process can write to. There is one at a time: another one's buffer is memory too.
struct Scan {
    maps: File,
    memory: File,
    /// Made beforehand, so that a look allocates nothing where a secret was.
    lines: String,
    chunk: Vec<u8>,
    _alone: MutexGuard<'static, ()>,
}

impl Scan {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            maps: File::open("/proc/self/maps").unwrap(),
            memory: File::open("/proc/self/mem").unwrap(),
            lines: String::with_capacity(CHUNK),
            chunk: vec![0; CHUNK],
            _alone: alone,
        }
    }

    /// Whether the canary is anywhere.
    fn finds(&mut self, canary: Canary) -> bool {
        self.lines.clear();
        self.maps.rewind().unwrap();
        self.maps.read_to_string(&mut self.lines).unwrap();
        let Self { memory, lines, chunk, .. } = self;
        let mut looked = 0;
        let mut found = false;
        for (from, to) in lines.lines().filter_map(writable) {
            let mut at = from;
            while at + LENGTH as u64 <= to {
                let wanted = CHUNK.min(usize::try_from(to - at).unwrap());
                // What the kernel keeps for itself cannot be read.
                let Ok(length) = memory.read_at(&mut chunk[..wanted], at) else { break };
                found |= is_in(canary, &chunk[..length]);
                looked += length;
                // Or the next look finds what this one has read.
                black_box(&mut chunk[..length]).fill(0);
                if length <= LENGTH {
                    break;
                }
                // The last bytes are looked at again: a secret may lie across.
                at += (length - LENGTH + 1) as u64;
            }
        }
        assert!(looked > CHUNK, "there is more memory than {looked} bytes");
        found
    }
}

fn is_in(canary: Canary, bytes: &[u8]) -> bool {
    memchr::memchr_iter(canary.byte(0), bytes).any(|at| canary.is_at(&bytes[at..]))
}

fn writable(line: &str) -> Option<(u64, u64)> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let address = |hex| u64::from_str_radix(hex, 16).ok();
    if rest.starts_with("rw") { Some((address(from)?, address(to)?)) } else { None }
}

/// The scan finds what is there, and while it holds, is gone with `held`.
fn is_gone_with<T>(scan: &mut Scan, canary: Canary, held: T, what: &str) {
    assert!(scan.finds(canary), "{what}: it is there, or the scan sees nothing");
    drop(held);
    assert!(!scan.finds(canary), "{what}: it is in memory still");
}

/// Without this, the others would hold for memory that nobody wipes.
#[test]
fn f24_the_scan_finds_what_an_ordinary_string_leaves_behind() {
    let mut scan = Scan::new();
    let canary = Canary(1);
    assert!(!scan.finds(canary), "before it is made it is nowhere");
    let text = black_box(canary.text());
    assert!(scan.finds(canary));
    drop(text);
    assert!(scan.finds(canary), "the allocator wipes nothing by itself");
}

#[test]
fn f24_a_secret_is_wiped() {
    let mut scan = Scan::new();
    let canary = Canary(2);
    assert!(!scan.finds(canary));
    is_gone_with(&mut scan, canary, canary.secret(), "a secret");
    let secret = canary.secret();
    let copies = [secret.clone(), secret.clone()];
    drop(secret);
    is_gone_with(&mut scan, canary, copies, "copies of a secret");
    is_gone_with(&mut scan, canary, SecretBytes::new(canary.text().into_bytes()), "bytes");
}

fn tokens(canaries: [Canary; 3]) -> TokenSet {
    let [access, refresh, id] = canaries;
    let received = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut tokens = TokenSet::new(access.secret(), received);
    tokens.refresh_token = Some(refresh.secret());
    tokens.id_token = Some(id.secret());
    tokens
}

#[test]
fn f24_a_token_set_and_its_bytes_are_wiped() {
    let mut scan = Scan::new();
    let canaries = [Canary(3), Canary(4), Canary(5)];
    for canary in canaries {
        is_gone_with(&mut scan, canary, tokens(canaries), "a token set");
        let copied = tokens(canaries);
        let copied = [copied.clone(), copied];
        is_gone_with(&mut scan, canary, copied, "two of them");
        let bytes = tokens(canaries).to_exposed_bytes().unwrap();
        is_gone_with(&mut scan, canary, bytes, "its bytes");
        let bytes = tokens(canaries).to_exposed_bytes().unwrap();
        let read = TokenSet::from_exposed_bytes(bytes.expose()).unwrap();
        drop(bytes);
        is_gone_with(&mut scan, canary, read, "what was read of them");
    }
}

#[test]
fn f24_a_sealed_record_holds_nothing_in_the_clear() {
    let mut scan = Scan::new();
    let canaries = [Canary(6), Canary(7), Canary(8)];
    let ring = KeyRing::generate().unwrap();
    let cx = SealContext { user: "user-42", ..SealContext::new("connection") };
    let sealed = {
        let bytes = tokens(canaries).to_exposed_bytes().unwrap();
        ring.seal(&cx, bytes.expose()).unwrap()
    };
    for canary in canaries {
        assert!(!scan.finds(canary), "sealing leaves nothing");
        is_gone_with(&mut scan, canary, ring.open(&cx, &sealed).unwrap(), "what was opened");
    }
    let opened = ring.open(&cx, &sealed).unwrap().into_bytes();
    let read = TokenSet::from_exposed_bytes(opened.expose()).unwrap();
    drop(opened);
    for canary in canaries {
        assert!(scan.finds(canary));
    }
    drop(read);
    for canary in canaries {
        assert!(!scan.finds(canary), "reading it leaves nothing");
    }
}

/// A record that was tampered with is decrypted for nobody.
#[test]
fn f24_a_record_that_does_not_open_shows_nothing() {
    let mut scan = Scan::new();
    let canary = Canary(9);
    let ring = KeyRing::generate().unwrap();
    let cx = SealContext { user: "user-42", ..SealContext::new("connection") };
    let mut sealed = ring.seal(&cx, SecretBytes::new(canary.text().into_bytes()).expose()).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    let error = ring.open(&cx, &sealed).unwrap_err();
    assert!(!scan.finds(canary), "{error}");
}

#[test]
fn f24_a_pending_flows_verifier_is_wiped() {
    let mut scan = Scan::new();
    let canary = Canary(10);
    let pending = |verifier| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let mut pending =
            PendingFlow::new("p", "https://app.example/callback", now, Duration::from_secs(600));
        pending.code_verifier = Some(verifier);
        pending
    };
    is_gone_with(&mut scan, canary, pending(canary.secret()), "a pending flow");
    let copied = pending(canary.secret());
    is_gone_with(&mut scan, canary, [copied.clone(), copied], "two of them");
    let mut bytes = pending(canary.secret()).to_bytes();
    let read = PendingFlow::from_bytes(&bytes).unwrap();
    // These are the caller's to wipe, as the docs say.
    bytes.zeroize();
    is_gone_with(&mut scan, canary, read, "what was read of its bytes");
}
