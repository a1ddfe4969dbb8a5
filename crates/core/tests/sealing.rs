//! Sealing: what opens, what does not, and what is said about it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use authflow_core::{
    Error, ErrorKind, Expiry, Key, KeyRing, Recovery, Scopes, SealContext, Secret, TokenSet,
};

const TEXT: &[u8] = b"planted-plaintext: access token, refresh token";

fn ring(ids: &[&str]) -> KeyRing {
    let mut ring = KeyRing::new(ids[0], Key::generate().unwrap()).unwrap();
    for id in &ids[1..] {
        ring = ring.with(id, Key::generate().unwrap()).unwrap();
    }
    ring
}

fn context() -> SealContext<'static> {
    SealContext {
        purpose: "connection",
        tenant: "acme",
        user: "user-42",
        provider_id: "stackexchange",
        account: "1",
        incarnation: &[7; 16],
    }
}

/// No error says anything of what was sealed.
fn refused(result: authflow_core::Result<authflow_core::Opened>) -> Error {
    let error = result.map(|opened| opened.needs_reseal()).unwrap_err();
    let all = format!("{error} {error:?}");
    assert!(!all.contains("planted") && !all.contains("user-42"), "{all}");
    error
}

#[test]
fn what_was_sealed_opens_whatever_its_length() {
    let ring = ring(&["k1"]);
    for length in (0..200).chain([64 * 1024]) {
        let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let sealed = ring.seal(&context(), &text).unwrap();
        assert_eq!(sealed.len(), length + 50 + "k1".len());
        let opened = ring.open(&context(), &sealed).unwrap();
        assert_eq!(opened.bytes().expose(), text);
        assert!(!opened.needs_reseal());
        assert_eq!(opened.into_bytes().expose(), text);
    }
}

#[test]
fn x20_every_bit_flip_is_refused() {
    let ring = ring(&["k1", "k3", "k0", "i1"]);
    let sealed = ring.seal(&context(), TEXT).unwrap();
    let mut kinds = HashSet::new();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            let error = refused(ring.open(&context(), &changed));
            let expected: &[ErrorKind] = match at {
                0 => &[ErrorKind::FormatUnknown],
                // Another id, which may be in the ring; or no id at all. Of another length, it ends elsewhere.
                1..4 => &[ErrorKind::KeyUnknown, ErrorKind::KeyWrong, ErrorKind::StoreCorrupt],
                4..12 => &[ErrorKind::KeyWrong],
                _ => &[ErrorKind::StoreCorrupt],
            };
            assert!(expected.contains(&error.kind()), "byte {at} bit {bit}: {error}");
            kinds.insert(error.kind());
        }
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}

#[test]
fn x20_a_part_of_a_record_is_refused_and_so_is_more_than_it() {
    let ring = ring(&["k1"]);
    let sealed = ring.seal(&context(), TEXT).unwrap();
    for end in 0..sealed.len() {
        assert_eq!(refused(ring.open(&context(), &sealed[..end])).kind(), ErrorKind::StoreCorrupt);
        let _ = ring.open(&context(), &sealed[end + 1..]).map(|_| ()).unwrap_err();
    }
    let longer = [&*sealed, &[0]].concat();
    assert_eq!(refused(ring.open(&context(), &longer)).kind(), ErrorKind::StoreCorrupt);
    // Unsealed bytes are not taken for sealed ones: there is no fallback to plaintext.
    refused(ring.open(&context(), TEXT));
    refused(ring.open(&context(), b"{\"access_token\":\"planted\"}"));
}

/// An error names the key id: what stands in its place is no id unless it is made of what an id is made of.
#[test]
fn x20_no_error_repeats_what_a_record_has_for_a_key_id() {
    let ring = ring(&["k1"]);
    for id in ["", "planted id", "\x1b[2J", "a\nb", "\u{e9}", &"x".repeat(33)] {
        let length = u8::try_from(id.len()).unwrap();
        let record = [&[1, length], id.as_bytes(), &[0; 8 + 24 + 16]].concat();
        assert_eq!(refused(ring.open(&context(), &record)).kind(), ErrorKind::StoreCorrupt, "{id:?}");
        assert_eq!(ring.needs_reseal(&record).unwrap_err().kind(), ErrorKind::StoreCorrupt, "{id:?}");
    }
}

#[test]
fn f14_a_record_opens_only_where_it_was_sealed() {
    let ring = ring(&["k1"]);
    let base = context();
    let places = [
        base,
        SealContext { purpose: "client_secret", ..base },
        SealContext { purpose: "", ..base },
        SealContext { tenant: "other", ..base },
        SealContext { tenant: "", ..base },
        SealContext { user: "user-43", ..base },
        SealContext { user: "USER-42", ..base },
        SealContext { provider_id: "contentstack", ..base },
        SealContext { account: "", ..base },
        SealContext { account: "2", ..base },
        SealContext { incarnation: &[8; 16], ..base },
        SealContext { incarnation: &[], ..base },
        SealContext { incarnation: &[7; 15], ..base },
        // The same characters, in other parts.
        SealContext { tenant: "user-42", user: "acme", ..base },
        SealContext { tenant: "acmeu", user: "ser-42", ..base },
        SealContext { tenant: "", user: "acmeuser-42", ..base },
        SealContext { provider_id: "stackexchange1", account: "", ..base },
        SealContext { purpose: "connectionacme", tenant: "", ..base },
    ];
    let sealed: Vec<_> = places.iter().map(|cx| ring.seal(cx, TEXT).unwrap()).collect();
    for (from, record) in sealed.iter().enumerate() {
        for (to, cx) in places.iter().enumerate() {
            match from == to {
                true => assert_eq!(ring.open(cx, record).unwrap().bytes().expose(), TEXT),
                false => {
                    let error = refused(ring.open(cx, record));
                    assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "{from} as {to}");
                }
            }
        }
    }
}

/// Headers of one record before another's ciphertext, both of one context.
#[test]
fn x20_halves_of_two_records_make_no_third() {
    let ring = ring(&["k1"]);
    let one = ring.seal(&context(), TEXT).unwrap();
    let other = ring.seal(&context(), &[b'x'; TEXT.len()]).unwrap();
    for cut in 0..one.len() {
        let mixed = [&one[..cut], &other[cut..]].concat();
        if mixed != one && mixed != other {
            refused(ring.open(&context(), &mixed));
        }
    }
}

#[test]
fn te2_two_seals_of_one_text_differ_everywhere() {
    let ring = ring(&["k1"]);
    let sealed: Vec<_> = (0..50).map(|_| ring.seal(&context(), TEXT).unwrap()).collect();
    let nonces: HashSet<_> = sealed.iter().map(|record| &record[12..36]).collect();
    let ciphertexts: HashSet<_> = sealed.iter().map(|record| &record[36..]).collect();
    assert_eq!((nonces.len(), ciphertexts.len()), (50, 50));
    assert!(
        sealed.iter().all(|record| !record.windows(8).any(|part| TEXT.windows(8).any(|own| own == part)))
    );
}

#[test]
fn f15_a_rotation_from_the_first_step_to_the_last() {
    let old = ring(&["old"]);
    let record = old.seal(&context(), TEXT).unwrap();
    assert!(!old.needs_reseal(&record).unwrap());

    // The new key opens everywhere before it seals anywhere.
    let new_key = Key::generate().unwrap();
    let both = old.with("new", new_key.clone()).unwrap();
    assert_eq!(both.writing_id(), "old");
    assert!(!both.open(&context(), &record).unwrap().needs_reseal());

    let rotated =
        KeyRing::parse(&format!("new:{},{}", new_key.to_base64().expose(), old.to_text().expose())).unwrap();
    let opened = rotated.open(&context(), &record).unwrap();
    assert_eq!(opened.bytes().expose(), TEXT);
    assert!(opened.needs_reseal() && rotated.needs_reseal(&record).unwrap());

    let again = rotated.seal(&context(), opened.bytes().expose()).unwrap();
    assert!(!rotated.open(&context(), &again).unwrap().needs_reseal());
    assert!(!rotated.needs_reseal(&again).unwrap());
    // A machine that has not made the second step yet.
    assert!(both.open(&context(), &again).unwrap().needs_reseal());

    // The old key goes too early: its record is refused by name, and opens once the key is back.
    let without = rotated.without("old").unwrap();
    assert_eq!(without.open(&context(), &again).unwrap().bytes().expose(), TEXT);
    let error = refused(without.open(&context(), &record));
    assert_eq!(error.kind(), ErrorKind::KeyUnknown);
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    let text = error.to_string();
    assert!(text.contains("sealed with the key old,") && text.contains("it has new)"), "{text}");
    assert!(rotated.open(&context(), &record).is_ok());
}

#[test]
fn x20_the_wrong_key_under_the_right_id_is_told_from_damage() {
    let record = ring(&["k1"]).seal(&context(), TEXT).unwrap();
    let error = refused(ring(&["k0", "k1"]).open(&context(), &record));
    assert_eq!(error.kind(), ErrorKind::KeyWrong);
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    assert!(error.to_string().contains("under the id k1;"), "{error}");
}

/// What was sealed before a restart opens after it, also if the keys were rotated meanwhile.
#[test]
fn x27_a_restart_with_rotated_keys_loses_nothing() {
    let before = ring(&["2026-01"]);
    let record = before.seal(&context(), TEXT).unwrap();
    let saved = before.rotate("2026-07", Key::generate().unwrap()).unwrap().to_text();
    let after = KeyRing::parse(saved.expose()).unwrap();
    let opened = after.open(&context(), &record).unwrap();
    assert_eq!(opened.bytes().expose(), TEXT);
    assert!(opened.needs_reseal());
}

#[test]
fn a_ring_refuses_what_is_no_ring() {
    let key = Key::generate().unwrap();
    for id in ["", "a b", "a:b", "a,b", "é", "a\n", &"x".repeat(33)] {
        let error = KeyRing::new(id, key.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{id:?}");
    }
    let ring = KeyRing::new(&"x".repeat(32), key.clone()).unwrap();
    let sealed = ring.seal(&context(), TEXT).unwrap();
    assert!(ring.open(&context(), &sealed).is_ok());
    assert!(ring.rotate("y", key).unwrap_err().to_string().contains("the same"));
    assert!(ring.with(&"x".repeat(32), Key::generate().unwrap()).unwrap_err().to_string().contains("twice"));
    assert!(ring.without("y").unwrap_err().to_string().contains("there is no key y"));
    assert!(ring.without(&"x".repeat(32)).unwrap_err().to_string().contains("put another first"));
}

/// All that a provider said is under the seal: the id_token and the extra fields too.
#[test]
fn no_field_of_a_token_set_is_readable_in_its_record() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut tokens = TokenSet::new("planted-access", now);
    tokens.refresh_token = Some("planted-refresh".into());
    tokens.id_token = Some("planted-id".into());
    tokens.account = Some("planted-account".into());
    tokens.expiry = Expiry::At(now + Duration::from_secs(3600));
    tokens.scopes = Scopes::new(["planted-scope"]);
    tokens.resources = vec!["planted-resource".into()];
    tokens.callback.insert("planted-name".into(), "planted-value".into());
    tokens.extra.insert("planted-field".into(), "planted-extra".into());

    let ring = ring(&["k1"]);
    let exposed = tokens.to_exposed_bytes().unwrap();
    assert_eq!(exposed.expose().windows(8).filter(|part| part == b"planted-").count(), 10);
    assert!(!format!("{exposed:?}").contains("planted"));
    let sealed = ring.seal(&context(), exposed.expose()).unwrap();
    assert!(!sealed.windows(7).any(|part| part == b"planted"));

    let opened = ring.open(&context(), &sealed).unwrap();
    assert!(!format!("{opened:?} {ring:?} {:?}", context()).contains("planted"));
    let read = TokenSet::from_exposed_bytes(opened.bytes().expose()).unwrap();
    assert_eq!(read.id_token.as_ref().map(Secret::expose), Some("planted-id"));
    assert_eq!(read.extra_str("planted-field"), Some("planted-extra"));
}

/// A release behind refreshes a token set of a release ahead.
#[tokio::test]
async fn x28_a_refresh_keeps_what_a_newer_release_wrote() {
    let newer =
        b"\x01{\"access_token\":\"A\",\"refresh_token\":\"R\",\"received_at\":1,\"dpop_key\":\"K-1\"}";
    let rig = common::Rig::new();
    rig.tokens();
    let fresh = rig.flow.refresh(&TokenSet::from_exposed_bytes(newer).unwrap()).await.unwrap();
    assert_eq!(fresh.access_token.expose(), "planted-access-1");
    let written = fresh.to_exposed_bytes().unwrap();
    assert!(written.expose().windows(16).any(|part| part == b"\"dpop_key\":\"K-1\""));
}
