//! A planted secret is found in every form, and nothing else is.

use authflow_testkit::{LeakDetector, LeakForm};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

const SECRET: &str = "planted/secret+value?=~ü\"1";

fn detector() -> LeakDetector {
    let leaks = LeakDetector::new();
    leaks.plant("the token", SECRET);
    leaks
}

fn forms(text: impl AsRef<[u8]>) -> Vec<LeakForm> {
    detector().scan(text).iter().map(authflow_testkit::Leak::form).collect()
}

#[test]
fn h1_a_secret_is_found_as_it_is() {
    assert_eq!(forms(format!("a line\nBearer {SECRET};")), [LeakForm::Plain]);
    let leak = detector().scan_named("stderr", format!("one\ntwo\n{SECRET}")).remove(0);
    assert_eq!((leak.label(), leak.line(), leak.place()), ("the token", 3, "stderr"));
    assert_eq!(leak.to_string(), "the token, as it is, in line 3 of stderr");
}

#[test]
fn h1_a_secret_is_found_percent_encoded_in_whole_or_in_part() {
    let all: String = SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let lower: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let form: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    for encoded in [all, lower, form.replace('+', "%20"), SECRET.replace('/', "%2f")] {
        assert_eq!(
            forms(format!("GET /?q=100%&token={encoded}&x=%zz")),
            [LeakForm::PercentEncoded],
            "{encoded}"
        );
    }
}

#[test]
fn h1_a_secret_is_found_in_base64_at_every_offset() {
    for before in ["", "a", "ab", "abc", "client-1:"] {
        for after in ["", "z", "zy", "zyx"] {
            let text = format!("{before}{SECRET}{after}");
            for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                assert_eq!(forms(format!("Basic {encoded}")), [LeakForm::Base64], "{before} {after}");
            }
        }
    }
}

#[test]
fn h1_a_secret_is_found_in_the_credentials_of_rfc_6749() {
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    assert_eq!(forms(format!("Basic {}", STANDARD.encode(format!("client:{encoded}")))), [LeakForm::Base64]);
}

#[test]
fn h1_a_secret_is_found_in_hexadecimal_and_as_bytes() {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(forms(&hex), [LeakForm::Hex]);
    assert_eq!(forms(hex.to_uppercase()), [LeakForm::Hex]);
    assert_eq!(forms(format!("body: {:?}", format!("x{SECRET}y").into_bytes())), [LeakForm::ByteList]);
}

#[test]
fn h1_a_secret_is_found_with_escapes() {
    assert_eq!(forms(format!("{:?}", SECRET)), [LeakForm::Escaped]);
    assert_eq!(forms(serde_json::Value::from(SECRET).to_string()), [LeakForm::Escaped]);
    assert_eq!(forms(SECRET.escape_default().to_string()), [LeakForm::Escaped]);
}

#[test]
fn h1_a_secret_is_found_in_the_sources_of_an_error() {
    let source = authflow_core::StoreError::new(authflow_core::StoreErrorKind::Corrupt)
        .with_source(format!("at {SECRET}"));
    let error = authflow_core::Error::configuration("a message").with_source(source);
    assert!(!detector().scan_error("the error", &error).is_empty());
}

#[test]
fn h1_what_is_not_text_is_looked_through_too() {
    let mut bytes = vec![0xff, 0xfe, 0x00];
    bytes.extend_from_slice(SECRET.as_bytes());
    bytes.push(0xc3);
    assert_eq!(forms(bytes), [LeakForm::Plain]);
    let leaks = LeakDetector::new();
    leaks.plant("the key", [0xde, 0xad, 0xbe, 0xef, 0x00, 0xff, 0x80, 0x01]);
    assert_eq!(leaks.scan("StateKey(DEADBEEF00FF8001)").len(), 1);
}

#[test]
fn what_only_looks_alike_is_no_leak() {
    for text in
        ["", "planted/secret", "planted secret value", "%", "%7", "aGVsbG8gd29ybGQ=", "112, 108, 97, 110"]
    {
        assert!(forms(text).is_empty(), "{text}");
    }
    detector().assert_clean_after("nothing here");
}

trait After {
    fn assert_clean_after(&self, text: &str);
}

impl After for LeakDetector {
    fn assert_clean_after(&self, text: &str) {
        self.scan(text);
        self.assert_clean();
    }
}

#[test]
#[should_panic(
    expected = "secrets were shown:\n  the token, as it is, in line 1 of a log\n  the token, in hexadecimal"
)]
fn h1_what_was_found_fails_the_test() {
    let leaks = detector();
    leaks.scan_named("a log", SECRET);
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    leaks.scan(hex);
    leaks.assert_clean();
}

#[test]
#[should_panic(expected = "nothing was looked through")]
fn a_test_that_looks_at_nothing_fails() {
    detector().assert_clean();
}

#[test]
#[should_panic(expected = "no secret was planted")]
fn a_test_that_plants_nothing_fails() {
    let leaks = LeakDetector::new();
    leaks.scan("text");
    leaks.assert_clean();
}

#[test]
#[should_panic(expected = "fewer than 8 bytes")]
fn a_secret_that_is_too_short_is_refused() {
    LeakDetector::new().plant("the token", "short");
}

#[test]
fn neither_detector_nor_leak_show_the_secret() {
    let leaks = detector();
    let found = leaks.scan(SECRET);
    let shown = format!("{leaks:?} {found:?} {}", found[0]);
    let second = detector();
    second.scan(shown);
    second.assert_clean();
}

#[cfg(feature = "tracing")]
#[test]
fn h1_everything_that_is_logged_is_captured() {
    use authflow_testkit::LogCapture;

    let log = LogCapture::new();
    tracing::subscriber::with_default(log.subscriber(), || {
        let span = tracing::trace_span!("request", token = SECRET);
        span.in_scope(|| tracing::trace!(target: "another_crate::deep", "sent"));
    });
    assert!(log.text().contains("another_crate::deep"), "{}", log.text());
    let leaks = detector();
    assert!(!log.scan(&leaks).is_empty());
}
