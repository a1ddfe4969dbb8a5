//! Token sets as the program prints and reads them.

use std::time::{Duration, SystemTime};

use authflow::{Expiry, Scopes, Secret, TokenSet};
use serde_json::{Map, Value, json};

use crate::once;
use crate::terminal::{masked, printable, shortened};

/// What begins the names of the callback's parameters in `extra`.
const CALLBACK: &str = "callback.";

/// The JSON of `--json`, on one line, whole.
pub(crate) fn json(tokens: &TokenSet) -> String {
    let mut extra = tokens.extra.clone();
    for (name, value) in &tokens.callback {
        extra.insert(format!("{CALLBACK}{name}"), value.as_str().into());
    }
    if let Some(id_token) = &tokens.id_token {
        extra.insert("id_token".to_owned(), id_token.expose().into());
    }
    if let Some(account) = &tokens.account {
        extra.entry("account").or_insert_with(|| account.as_str().into());
    }
    let value = json!({
        "access_token": tokens.access_token.expose(),
        "token_type": tokens.token_type,
        "refresh_token": tokens.refresh_token.as_ref().map(Secret::expose),
        "expires_at": match tokens.expiry {
            Expiry::At(at) => Value::from(epoch_seconds(at)),
            Expiry::Never => Value::from("never"),
            Expiry::Unknown => Value::Null,
        },
        "scope": tokens.scopes.join(" "),
        "extra": extra,
    });
    ascii(&value.to_string())
}

/// Reads that JSON again. The error says what is wrong with it, and quotes nothing of it.
pub(crate) fn read_json(text: &str, now: SystemTime) -> Result<TokenSet, String> {
    let mut object = match once::read(text) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("it is not one JSON object".to_owned()),
        // Which of the two is meant, only the user knows, and a token must not be sent on a guess.
        Err(error) if error.is_data() => {
            return Err(format!("it has a member twice ({}), of which one has to go", place(&error)));
        }
        Err(error) => return Err(format!("it is not one JSON object ({})", place(&error))),
    };
    let string = |object: &mut Map<String, Value>, name: &str| match object.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is not a string with something in it")),
    };
    let access_token =
        string(&mut object, "access_token")?.ok_or_else(|| "it has no `access_token`".to_owned())?;
    let mut tokens = TokenSet::new(access_token, now);
    tokens.token_type = string(&mut object, "token_type")?;
    tokens.refresh_token = string(&mut object, "refresh_token")?.map(Secret::new);
    tokens.expiry = match object.get("expires_at") {
        None | Some(Value::Null) => Expiry::Unknown,
        Some(Value::String(word)) if word == "never" => Expiry::Never,
        Some(value) => value
            .as_u64()
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
            .map(Expiry::At)
            .ok_or("`expires_at` is neither seconds since 1970 nor \"never\" nor null")?,
    };
    tokens.scopes = match object.get("scope") {
        None | Some(Value::Null) => Scopes::none(),
        Some(Value::String(scope)) => Scopes::split(scope, " "),
        Some(_) => return Err("`scope` is not a string".to_owned()),
    };
    let extra = match object.remove("extra") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extra)) => extra,
        Some(_) => return Err("`extra` is not an object".to_owned()),
    };
    for (name, value) in extra {
        match (name.strip_prefix(CALLBACK), value) {
            (Some(name), Value::String(value)) => {
                tokens.callback.insert(name.to_owned(), value);
            }
            (None, Value::String(value)) if name == "id_token" => tokens.id_token = Some(Secret::new(value)),
            (_, value) => {
                if name == "account" {
                    tokens.account = value.as_str().map(str::to_owned);
                }
                tokens.extra.insert(name, value);
            }
        }
    }
    Ok(tokens)
}

/// serde_json's own words may hold a piece of the input.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column().max(1))
}

/// What a user sees of a token set: everything that tells something, nothing that could be used.
pub(crate) fn table(tokens: &TokenSet, now: SystemTime) -> Vec<(&'static str, String)> {
    let mut rows = vec![("access token", masked(tokens.access_token.expose()))];
    if let Some(token_type) = &tokens.token_type {
        rows.push(("token type", shortened(&printable(token_type), 40)));
    }
    rows.push(match &tokens.refresh_token {
        Some(token) => ("refresh token", masked(token.expose())),
        None => ("refresh token", "none".to_owned()),
    });
    if let Some(id_token) = &tokens.id_token {
        rows.push(("id token", format!("{}, not verified", masked(id_token.expose()))));
    }
    rows.push(("expires", expiry(tokens.expiry, now)));
    let scope = printable(&tokens.scopes.join(" "));
    rows.push((
        "scope",
        match (scope.is_empty(), tokens.scopes_assumed) {
            (true, _) => "none".to_owned(),
            (false, true) => format!("{scope} (as asked: the provider did not say)"),
            (false, false) => scope,
        },
    ));
    if let Some(account) = &tokens.account {
        rows.push(("account", shortened(&printable(account), 60)));
    }
    if !tokens.callback.is_empty() {
        let said: Vec<String> = tokens
            .callback
            .iter()
            .map(|(name, value)| format!("{}={}", printable(name), shortened(&printable(value), 40)))
            .collect();
        rows.push(("callback", said.join(", ")));
    }
    if !tokens.extra.is_empty() {
        // Their values may be secrets; which of them are, only the provider knows.
        let names: Vec<String> = tokens.extra.keys().map(|name| shortened(&printable(name), 40)).collect();
        rows.push(("extra fields", shortened(&names.join(", "), 200)));
    }
    rows
}

fn expiry(expiry: Expiry, now: SystemTime) -> String {
    match expiry {
        Expiry::Never => "never".to_owned(),
        Expiry::Unknown => "unknown: the provider gave none that can be used".to_owned(),
        Expiry::At(at) => match at.duration_since(now) {
            Ok(left) => format!("in {} ({} in seconds since 1970)", rough(left), epoch_seconds(at)),
            Err(_) => format!("expired ({} in seconds since 1970)", epoch_seconds(at)),
        },
    }
}

pub(crate) fn rough(left: Duration) -> String {
    // A token of an hour has some milliseconds less of it by now.
    let seconds = (left + Duration::from_millis(999)).as_secs();
    let (number, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7199 => (seconds / 60, "minute"),
        7200..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// JSON in ASCII: what a terminal would obey is escaped. Outside strings JSON is ASCII anyway.
pub(crate) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use authflow::{Expiry, Scopes, Secret, TokenSet};
    use serde_json::{Value, json};

    use super::{read_json, table};

    const TOKEN: &str = "access-token-that-nobody-may-see";
    const REFRESH: &str = "refresh-token-that-nobody-may-see";

    fn tokens() -> TokenSet {
        let mut tokens = TokenSet::new(TOKEN, SystemTime::UNIX_EPOCH);
        tokens.refresh_token = Some(Secret::new(REFRESH));
        tokens.token_type = Some("Bearer".to_owned());
        tokens.expiry = Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(3600));
        tokens.scopes = Scopes::new(["read", "write"]);
        tokens.callback.insert("location".to_owned(), "EU".to_owned());
        tokens.extra.insert("organization_uid".to_owned(), "org-secret-1".into());
        tokens
    }

    #[test]
    fn the_json_has_the_documented_shape() {
        let value: Value = serde_json::from_str(&super::json(&tokens())).unwrap();
        assert_eq!(
            value,
            json!({
                "access_token": TOKEN,
                "token_type": "Bearer",
                "refresh_token": REFRESH,
                "expires_at": 3600,
                "scope": "read write",
                "extra": { "organization_uid": "org-secret-1", "callback.location": "EU" },
            })
        );
    }

    #[test]
    fn the_json_comes_back_as_it_was() {
        for expiry in
            [Expiry::At(SystemTime::UNIX_EPOCH + Duration::from_secs(7)), Expiry::Never, Expiry::Unknown]
        {
            let mut before = tokens();
            before.expiry = expiry;
            before.account = Some("17".to_owned());
            before.id_token = Some(Secret::new("a.b.c"));
            let text = super::json(&before);
            let after = read_json(&text, SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(after.expiry, expiry);
            assert_eq!(after.scopes, before.scopes);
            assert_eq!(after.callback, before.callback);
            assert_eq!(after.account, before.account);
            assert_eq!(super::json(&after), text);
        }
    }

    #[test]
    fn b11_the_json_has_nothing_that_a_terminal_obeys() {
        let mut tokens = tokens();
        tokens.token_type = Some("\u{1b}[2J\u{9b}\u{202e}\u{1f600}é".to_owned());
        let text = super::json(&tokens);
        assert!(text.chars().all(|c| (' '..='~').contains(&c)), "{text:?}");
        let back: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["token_type"], "\u{1b}[2J\u{9b}\u{202e}\u{1f600}é");
    }

    #[test]
    fn h1_the_table_shows_no_secret() {
        let mut tokens = tokens();
        tokens.extra.insert("\u{1b}[2J".to_owned(), "x".into());
        let text = format!("{:?}", table(&tokens, SystemTime::UNIX_EPOCH));
        for secret in [TOKEN, REFRESH, "org-secret-1", "\u{1b}"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("in 60 minutes"), "{text}");
        assert!(text.contains("location=EU"), "{text}");
    }

    #[test]
    fn a_member_that_comes_twice_is_refused_at_any_depth() {
        for text in [
            "{\"access_token\":\"a\",\"access_token\":\"b\"}",
            "{\"access_token\":\"a\",\"scope\":null,\"scope\":null}",
            "{\"access_token\":\"a\",\"extra\":{\"x\":[{\"y\":1,\"\\u0079\":2}]}}",
        ] {
            let error = read_json(text, SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(error.starts_with("it has a member twice (line 1, "), "{text}: {error}");
        }
        let text = "{\"access_token\":\"a\",\"extra\":{\"access_token\":[1,-1,0.5,true,null]}}";
        let tokens = read_json(text, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(tokens.extra["access_token"], json!([1, -1, 0.5, true, null]));
    }

    #[test]
    fn h1_an_error_quotes_nothing_of_the_input() {
        for text in [
            TOKEN.to_owned(),
            format!("[\"{TOKEN}\"]"),
            format!("{{\"access_token\": [\"{TOKEN}\"]}}"),
            format!("{{\"access_token\": \"a\", \"expires_at\": \"{TOKEN}\"}}"),
            format!("{{\"access_token\": \"a\", \"scope\": [\"{TOKEN}\"]}}"),
            format!("{{\"access_token\": \"a\", \"extra\": \"{TOKEN}\"}}"),
            "{}".to_owned(),
            "{\"access_token\": \"\"}".to_owned(),
        ] {
            let error = read_json(&text, SystemTime::UNIX_EPOCH).unwrap_err();
            assert!(!error.contains(TOKEN), "{error}");
        }
    }
}
