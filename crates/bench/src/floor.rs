//! The floor: the same work by hand, with reqwest and serde and no OAuth library. Everything else is compared to this file,
//! so it does what is needed and nothing more: no hooks, no quirks, no other provider, no error a person could act on.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded::{byte_serialize, parse};

use crate::registration::{
    AUTHORIZATION_ENDPOINT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPE, STATE_TTL, TOKEN_REPLY_CAP,
};

/// 32 random bytes as base64url.
pub(crate) type Random = [u8; 43];

/// What the single steps give: where to send the user, and the two values to remember.
pub(crate) struct Authorization {
    pub(crate) url: String,
    pub(crate) state: Random,
    pub(crate) verifier: Random,
}

/// State, PKCE with S256, URL: one read of system randomness, one `String`.
pub(crate) fn authorize() -> Authorization {
    let mut bytes = [0; 64];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    let (mut state, mut verifier, mut challenge) = ([0; 43], [0; 43], [0; 43]);
    encode(&bytes[..32], &mut state);
    encode(&bytes[32..], &mut verifier);
    encode(&Sha256::digest(verifier), &mut challenge);

    let mut url = String::with_capacity(512);
    url.push_str(AUTHORIZATION_ENDPOINT);
    url.push_str("?response_type=code&client_id=");
    url.extend(byte_serialize(CLIENT_ID.as_bytes()));
    url.push_str("&redirect_uri=");
    url.extend(byte_serialize(REDIRECT_URI.as_bytes()));
    url.push_str("&scope=");
    url.extend(byte_serialize(SCOPE.as_bytes()));
    url.push_str("&state=");
    url.push_str(text(&state));
    url.push_str("&code_challenge=");
    url.push_str(text(&challenge));
    url.push_str("&code_challenge_method=S256");
    Authorization { url, state, verifier }
}

fn encode(bytes: &[u8], into: &mut Random) {
    URL_SAFE_NO_PAD.encode_slice(bytes, into).expect("32 bytes are 43 characters");
}

pub(crate) fn text(random: &Random) -> &str {
    std::str::from_utf8(random).expect("base64url is ASCII")
}

/// What is remembered until the callback. An application with one registration has the rest as constants.
#[derive(Clone)]
pub(crate) struct Pending {
    pub(crate) browser: String,
    pub(crate) verifier: String,
    pub(crate) return_to: String,
    pub(crate) expires_at: SystemTime,
}

/// The pending flows: one mutex, one map of strings.
#[derive(Default)]
pub(crate) struct Pendings(Mutex<HashMap<String, Pending>>);

impl Pendings {
    pub(crate) fn store(&self, state: String, pending: Pending) {
        self.0.lock().expect("no thread panicked").insert(state, pending);
    }

    pub(crate) fn check(&self, state: &str, now: SystemTime) -> Option<Pending> {
        let found = self.0.lock().expect("no thread panicked").remove(state)?;
        (now < found.expires_at).then_some(found)
    }
}

/// The token response (RFC 6749 §5.1).
#[derive(Deserialize)]
#[allow(dead_code, reason = "an application reads it")]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) token_type: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) expires_in: Option<u64>,
    pub(crate) scope: Option<String>,
}

/// The whole flow for one application.
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) token_endpoint: String,
    pub(crate) pendings: Pendings,
}

impl Client {
    pub(crate) fn begin(&self, browser: &str, return_to: &str) -> String {
        let Authorization { url, state, verifier } = authorize();
        let pending = Pending {
            browser: browser.to_owned(),
            verifier: text(&verifier).to_owned(),
            return_to: return_to.to_owned(),
            expires_at: now() + Duration::from_secs(STATE_TTL),
        };
        self.pendings.store(text(&state).to_owned(), pending);
        url
    }

    pub(crate) async fn finish(&self, query: &str, browser: &str) -> Option<(Tokens, String)> {
        let (mut state, mut code) = (None, None);
        for (name, value) in parse(query.as_bytes()) {
            match &*name {
                "state" => state = Some(value),
                "code" => code = Some(value),
                _ => {}
            }
        }
        let pending = self.pendings.check(&state?, now()).filter(|pending| pending.browser == browser)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code?),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", &*pending.verifier),
        ];
        let request = self.http.post(&self.token_endpoint).basic_auth(CLIENT_ID, Some(CLIENT_SECRET));
        let response = request.header("accept", "application/json").form(&form).send().await.ok()?;
        if !response.status().is_success() || response.content_length()? > TOKEN_REPLY_CAP {
            return None;
        }
        let tokens = serde_json::from_slice(&response.bytes().await.ok()?).ok()?;
        Some((tokens, pending.return_to))
    }
}

#[allow(clippy::disallowed_methods, reason = "the floor has no clock to be moved")]
fn now() -> SystemTime {
    SystemTime::now()
}
