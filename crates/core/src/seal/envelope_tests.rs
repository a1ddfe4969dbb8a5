//! That two neighbouring releases open each other's records, shown with made-up formats 2 and 3.

use std::collections::HashSet;

use super::*;

/// Format 2, were there one: the check first, and the id with a length of two bytes.
const FORMAT_2: Format = Format {
    number: 2,
    write: |header, out| {
        out.extend_from_slice(&header.key_check);
        out.extend_from_slice(&(header.key_id.len() as u16).to_be_bytes());
        out.extend_from_slice(header.key_id.as_bytes());
    },
    read: |rest| {
        let key_check = *take(rest)?;
        let length = u16::from_be_bytes(*take(rest)?);
        Some(Header { key_id: read_id(rest, length.into())?, key_check })
    },
};

const FORMAT_3: Format = Format { number: 3, ..FORMAT_2 };

const RELEASES: [Formats<'static>; 6] = [
    FORMATS,
    Formats { writes: &FORMAT_1, reads: &[FORMAT_1, FORMAT_2] },
    Formats { writes: &FORMAT_2, reads: &[FORMAT_1, FORMAT_2] },
    Formats { writes: &FORMAT_2, reads: &[FORMAT_2] },
    Formats { writes: &FORMAT_2, reads: &[FORMAT_2, FORMAT_3] },
    Formats { writes: &FORMAT_3, reads: &[FORMAT_2, FORMAT_3] },
];

fn context() -> SealContext<'static> {
    SealContext { user: "u", ..SealContext::new("p") }
}

#[test]
fn x28_neighbouring_releases_open_each_others_records() {
    let ring = KeyRing::generate().unwrap();
    for (one, other) in RELEASES.iter().zip(&RELEASES[1..]) {
        for (writer, reader) in [(one, other), (other, one), (one, one)] {
            let sealed = writer.seal(&ring, &context(), b"tokens").unwrap();
            let opened = reader.open(&ring, &context(), &sealed).unwrap();
            assert_eq!(opened.bytes().expose(), b"tokens");
            // The newer one brings the record to its format; the older one leaves it as it is.
            assert_eq!(opened.needs_reseal(), writer.writes.number < reader.writes.number);
            assert_eq!(reader.needs_reseal(&ring, &sealed).unwrap(), opened.needs_reseal());
        }
    }
}

#[test]
fn f14_a_format_of_the_future_or_of_long_ago_is_named_and_not_called_damage() {
    let ring = KeyRing::generate().unwrap();
    let future = RELEASES[2].seal(&ring, &context(), b"tokens").unwrap();
    let error = FORMATS.open(&ring, &context(), &future).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormatUnknown);
    assert!(error.to_string().contains("has format 2") && error.to_string().contains("reads 1"), "{error}");

    let past = FORMATS.seal(&ring, &context(), b"tokens").unwrap();
    let error = RELEASES[4].open(&ring, &context(), &past).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormatUnknown);
    assert!(
        error.to_string().contains("has format 1") && error.to_string().contains("reads 2 and 3"),
        "{error}"
    );
}

/// The layouts of 2 and 3 are the same here, so that only the number's place in the associated data tells them apart.
#[test]
fn a_record_does_not_open_as_another_format() {
    let ring = KeyRing::generate().unwrap();
    let mut sealed = RELEASES[4].seal(&ring, &context(), b"tokens").unwrap();
    assert_eq!(sealed[0], 2);
    sealed[0] = 3;
    let error = RELEASES[4].open(&ring, &context(), &sealed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreCorrupt);
}

#[test]
fn te2_no_nonce_comes_twice() {
    let ring = KeyRing::generate().unwrap();
    let mut seen = HashSet::new();
    for _ in 0..5_000 {
        let sealed = FORMATS.seal(&ring, &context(), b"").unwrap();
        let envelope = FORMATS.parse(&sealed).unwrap();
        assert!(seen.insert(*envelope.nonce));
    }
}

/// The bytes of format 1 as they were first released: a change of them is a new format.
#[test]
fn format_1_stays_as_it_is() {
    let ring = KeyRing::new("k1", Key::from_bytes(&std::array::from_fn(|at| at as u8))).unwrap();
    let cx = SealContext {
        purpose: "connection",
        tenant: "t",
        user: "user-42",
        provider_id: "stackexchange",
        account: "1",
        incarnation: &[1, 2, 3],
    };
    let sealed = FORMATS.seal(&ring, &cx, b"tokens").unwrap();
    assert_eq!(sealed.len(), 1 + 1 + 2 + 8 + 24 + 6 + 16);
    let first = hex(FIRST);
    assert_eq!(sealed[..12], first[..12]);
    assert_eq!(FORMATS.open(&ring, &cx, &first).unwrap().bytes().expose(), b"tokens");
}

/// Made by another program, from the description of the format.
const FIRST: &str = "01026b31ffeb03d648ac9e1b6465666768696a6b6c6d6e6f707172737475767778797a7b081c92d5915d87ebb1\
    baa10f93bec739696f699c0b5c";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
