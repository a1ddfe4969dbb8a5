use super::*;
use serde_json::json;

fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

fn full() -> TokenSet {
    let mut tokens = TokenSet::new("AT-\"1\"\\é", at(1_800_000_000, 123_456_700));
    tokens.token_type = Some("DPoP".into());
    tokens.refresh_token = Some("RT-1".into());
    tokens.expiry = Expiry::At(at(1_800_003_600, 500_000_000));
    tokens.refresh_expiry = Expiry::Never;
    tokens.scopes = Scopes::new(["read", "offline_access"]);
    tokens.scopes_assumed = true;
    tokens.id_token = Some("e30.e30.".into());
    tokens.account = Some("user@example.com".into());
    tokens.resources = vec!["https://api.example/a".into(), "urn:b".into()];
    tokens.callback = BTreeMap::from([("location".into(), "EU".into()), ("".into(), "".into())]);
    tokens.extra = match json!({
        "organization_uid": "org-1", "n": 0.1, "big": u64::MAX, "small": i64::MIN, "list": [1, null, {"a": []}],
        "access_token": "not the one", "user": {"id": "1"}, "": true,
    }) {
        Value::Object(map) => map,
        _ => unreachable!(),
    };
    tokens
}

/// Every field. Were one added to `TokenSet` and forgotten here, this would not compile.
fn assert_same(one: &TokenSet, other: &TokenSet) {
    let TokenSet {
        access_token,
        token_type,
        refresh_token,
        expiry,
        refresh_expiry,
        scopes,
        scopes_assumed,
        id_token,
        account,
        resources,
        callback,
        extra,
        received_at,
        unread,
    } = one;
    let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
    assert_eq!(access_token.expose(), other.access_token.expose());
    assert_eq!(token_type, &other.token_type);
    assert_eq!(exposed(refresh_token), exposed(&other.refresh_token));
    assert_eq!(expiry, &other.expiry);
    assert_eq!(refresh_expiry, &other.refresh_expiry);
    assert_eq!(scopes, &other.scopes);
    assert_eq!(scopes_assumed, &other.scopes_assumed);
    assert_eq!(exposed(id_token), exposed(&other.id_token));
    assert_eq!(account, &other.account);
    assert_eq!(resources, &other.resources);
    assert_eq!(callback, &other.callback);
    assert_eq!(extra, &other.extra);
    assert_eq!(received_at, &other.received_at);
    assert_eq!(unread, &other.unread);
}

fn write(tokens: &TokenSet) -> Vec<u8> {
    tokens.to_exposed_bytes().unwrap().expose().to_vec()
}

fn bytes(json: &str) -> Vec<u8> {
    [&[FORMAT], json.as_bytes()].concat()
}

#[test]
fn every_field_comes_back() {
    for tokens in [full(), TokenSet::new("", SystemTime::UNIX_EPOCH)] {
        let written = write(&tokens);
        let read = TokenSet::from_exposed_bytes(&written).unwrap();
        assert_same(&tokens, &read);
        assert_eq!(write(&read), written);
    }
}

#[test]
fn a_token_set_with_little_in_it_is_small() {
    let mut tokens = TokenSet::new("A".repeat(40), at(1_800_000_000, 0));
    tokens.refresh_token = Some("R".repeat(40).into());
    tokens.expiry = Expiry::At(at(1_800_003_600, 0));
    let text = String::from_utf8(write(&tokens)).unwrap();
    assert!(text.len() < 200, "{} bytes: {text}", text.len());
}

#[test]
fn every_time_comes_back() {
    let epoch = SystemTime::UNIX_EPOCH;
    // A system that counts in steps of 100 ns holds these too.
    for time in [
        epoch,
        epoch + Duration::from_nanos(100),
        epoch - Duration::from_nanos(100),
        epoch - Duration::new(1, 0),
        epoch - Duration::new(1, 999_999_900),
        crate::clock::far_future(),
    ] {
        for expiry in [Expiry::At(time), Expiry::Never, Expiry::Unknown] {
            let mut tokens = TokenSet::new("A", time);
            tokens.expiry = expiry;
            tokens.refresh_expiry = expiry;
            assert_same(&tokens, &TokenSet::from_exposed_bytes(&write(&tokens)).unwrap());
        }
    }
}

/// A floating-point number of a provider that drifted by a step with each save would go anywhere in a year.
#[test]
fn numbers_do_not_drift() {
    let mut tokens = full();
    let values: Vec<Value> = (1..2_000_u64)
        .map(|seed| {
            let bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            json!(f64::from_bits(bits & !(0x7ff << 52) | (((bits >> 60) + 1015) << 52)))
        })
        .collect();
    tokens.extra.insert("values".into(), values.into());
    let read = TokenSet::from_exposed_bytes(&write(&tokens)).unwrap();
    assert_same(&tokens, &read);
}

#[test]
fn x28_what_a_newer_release_wrote_is_kept_and_written_again() {
    let newer = bytes(
        r#"{"access_token":"A","dpop_key":{"kty":"EC","d":"secret"},"received_at":1800000000,"zone":[1.5,null]}"#,
    );
    let read = TokenSet::from_exposed_bytes(&newer).unwrap();
    assert_eq!(read.access_token.expose(), "A");
    assert!(read.extra.is_empty(), "it is not the provider's");
    assert!(!format!("{read:?}").contains("secret"));
    let again: Value = serde_json::from_slice(&write(&read)[1..]).unwrap();
    assert_eq!(again, serde_json::from_slice::<Value>(&newer[1..]).unwrap());
}

#[test]
fn x28_a_release_reads_two_formats_and_names_a_third() {
    /// Format 2, were there one.
    fn read_2(bytes: &[u8]) -> Option<TokenSet> {
        let text = std::str::from_utf8(bytes).ok()?;
        Some(TokenSet::new(text, SystemTime::UNIX_EPOCH))
    }
    let both: &[(u8, Reader)] = &[(1, read_1), (2, read_2)];
    assert_eq!(read(both, b"\x02AT").unwrap().access_token.expose(), "AT");
    assert_same(&full(), &read(both, &write(&full())).unwrap());

    let error = TokenSet::from_exposed_bytes(b"\x02AT").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormatUnknown);
    assert!(error.to_string().contains("the token set has format 2"), "{error}");
    let error = read(both, b"\x03AT").unwrap_err();
    assert!(error.to_string().contains("reads 1 and 2"), "{error}");
}

#[test]
fn f14_what_is_no_token_set_is_refused_without_a_word_of_it() {
    let good = write(&full());
    for end in 0..good.len() {
        assert!(TokenSet::from_exposed_bytes(&good[..end]).is_err(), "{end}");
    }
    for json in [
        "",
        "null",
        "[]",
        r#""hunter2""#,
        r#"{"access_token":"hunter2"}"#,
        r#"{"received_at":1}"#,
        r#"{"access_token":1,"received_at":1}"#,
        r#"{"access_token":"hunter2","access_token":"hunter2","received_at":1}"#,
        r#"{"access_token":"hunter2","received_at":1,"new":1,"new":2}"#,
        r#"{"access_token":"hunter2","received_at":1}x"#,
        r#"{"access_token":"hunter2","received_at":1,"scopes":"hunter2"}"#,
        r#"{"access_token":"hunter2","received_at":1,"expiry":"hunter2"}"#,
        r#"{"access_token":"hunter2","received_at":1,"expiry":null}"#,
        r#"{"access_token":"hunter2","received_at":1,"extra":["hunter2"]}"#,
        r#"{"access_token":"hunter2","received_at":[1,0]}"#,
        r#"{"access_token":"hunter2","received_at":[1,1000000000]}"#,
        r#"{"access_token":"hunter2","received_at":[1,-1]}"#,
        r#"{"access_token":"hunter2","received_at":[9223372036854775807,999999999]}"#,
        r#"{"access_token":"hunter2","received_at":9223372036854775808}"#,
        r#"{"access_token":"hunter2","received_at":1.5}"#,
    ] {
        match TokenSet::from_exposed_bytes(&bytes(json)) {
            // The farthest second that there is may be one that this system can hold.
            Ok(_) => assert!(json.contains("9223372036854775807"), "{json}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "{json}");
                assert!(!format!("{error} {error:?}").contains("hunter2"));
            }
        }
    }
}

#[test]
fn z17_a_changed_byte_is_another_token_set_or_none() {
    let good = write(&full());
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[at] ^= 1 << bit;
            if let Ok(tokens) = TokenSet::from_exposed_bytes(&changed) {
                let once = write(&tokens);
                assert_eq!(write(&TokenSet::from_exposed_bytes(&once).unwrap()), once);
            }
        }
    }
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let mut tokens = full();
    tokens.extra.insert("deep".into(), nested(126));
    let written = write(&tokens);
    assert_same(&tokens, &TokenSet::from_exposed_bytes(&written).unwrap());
    tokens.extra.insert("deep".into(), nested(127));
    assert_eq!(tokens.to_exposed_bytes().unwrap_err().kind(), ErrorKind::InvalidResponse);

    let newer = |levels| bytes(&format!(r#"{{"access_token":"","received_at":1,"new":{}}}"#, nested(levels)));
    let read = TokenSet::from_exposed_bytes(&newer(127)).unwrap();
    assert_eq!(TokenSet::from_exposed_bytes(&write(&read)).unwrap().unread, read.unread);
    assert!(TokenSet::from_exposed_bytes(&newer(128)).is_err());
}
