//! The part of the API that is about tokens, and the object around every answer.

use std::time::{Duration, SystemTime};

use authflow_core::quirks::ResponseFormat;
use authflow_core::{
    Error, ErrorKind, Expiry, HttpClient, HttpRequest, HttpResponse, Limits, Result, Scopes, Secret,
    TokenSet, is_secure, rfc,
};
use http::header::ACCEPT;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use crate::error::ApiError;

/// The most tokens that one request may name.
pub const MAX_TOKENS: usize = 20;

/// One to twenty access tokens that can be named in a path.
#[derive(Clone, Debug)]
pub struct TokenList(Vec<Secret>);

impl TokenList {
    /// Takes the tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for none, for more than [`MAX_TOKENS`], and for a token that is not visible ASCII or holds a
    /// `;`, which would be read as two.
    pub fn new<I>(tokens: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<Secret>,
    {
        let tokens: Vec<Secret> = tokens.into_iter().map(Into::into).collect();
        if tokens.is_empty() {
            return Err(Error::usage("the list of tokens is empty; name 1 to 20 access tokens"));
        }
        if tokens.len() > MAX_TOKENS {
            return Err(Error::usage("one request names 20 access tokens at most; split the list"));
        }
        if !tokens.iter().all(|token| fits_a_path(token.expose())) {
            return Err(Error::usage(
                "an access token is visible ASCII without `;`; this text is none, and would name others",
            ));
        }
        Ok(Self(tokens))
    }

    /// The access token of a token set.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of(tokens: &TokenSet) -> Result<Self> {
        Self::new([tokens.access_token.clone()])
    }

    fn joined(&self) -> String {
        self.0.iter().map(Secret::expose).collect::<Vec<_>>().join(";")
    }
}

/// A segment of one or two dots would be resolved away, and the path would be another method's.
fn fits_a_path(token: &str) -> bool {
    !token.is_empty()
        && token.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b';')
        && token != "."
        && token != ".."
}

/// Reads, invalidates and de-authenticates access tokens: `/access-tokens` and `/apps` of the API.
///
/// Each is a GET with the tokens in the path, so its URL is a secret. The methods that end in `_request` only build it.
#[derive(Clone, Debug)]
pub struct Api {
    base: Url,
    key: Option<Secret>,
}

/// Where the API is.
pub(crate) const API_BASE: &str = "https://api.stackexchange.com/2.3";

impl Api {
    /// The API at another place: for tests and proxies. [`StackExchange::api`](crate::StackExchange::api) is at the usual one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] unless `base` is https, or http to a loopback address: Stack Exchange destroys tokens
    /// that are sent in the clear.
    pub fn at(base: Url, key: Option<Secret>) -> Result<Self> {
        if !is_secure(&base) {
            return Err(Error::configuration(
                "the API is spoken to by https only, but for loopback addresses: Stack Exchange destroys tokens that are \
                 sent in the clear",
            ));
        }
        Ok(Self { base, key })
    }

    /// `GET /access-tokens/{tokens}`: what the tokens are good for. Tokens that are not valid are missing from the answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] if the base has no path.
    pub fn read_request(&self, tokens: &TokenList) -> Result<HttpRequest> {
        self.request(&["access-tokens", &tokens.joined()])
    }

    /// `GET /access-tokens/{tokens}/invalidate`: ends the tokens.
    ///
    /// # Errors
    ///
    /// As [`read_request`](Self::read_request).
    pub fn invalidate_request(&self, tokens: &TokenList) -> Result<HttpRequest> {
        self.request(&["access-tokens", &tokens.joined(), "invalidate"])
    }

    /// `GET /apps/{tokens}/de-authenticate`: removes the application from its users' accounts, and ends every token that
    /// the application has of them.
    ///
    /// # Errors
    ///
    /// As [`read_request`](Self::read_request).
    pub fn de_authenticate_request(&self, tokens: &TokenList) -> Result<HttpRequest> {
        self.request(&["apps", &tokens.joined(), "de-authenticate"])
    }

    /// Sends [`read_request`](Self::read_request).
    ///
    /// # Errors
    ///
    /// [`ApiError`] as the source of what the API refused; [`ErrorKind::Network`].
    pub async fn read(&self, http: &dyn HttpClient, tokens: &TokenList) -> Result<Wrapper<TokenInfo>> {
        send(http, self.read_request(tokens)?, tokens).await
    }

    /// Sends [`invalidate_request`](Self::invalidate_request). The answer lists the tokens that were valid until now.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn invalidate(&self, http: &dyn HttpClient, tokens: &TokenList) -> Result<Wrapper<TokenInfo>> {
        send(http, self.invalidate_request(tokens)?, tokens).await
    }

    /// Sends [`de_authenticate_request`](Self::de_authenticate_request).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn de_authenticate(
        &self,
        http: &dyn HttpClient,
        tokens: &TokenList,
    ) -> Result<Wrapper<TokenInfo>> {
        send(http, self.de_authenticate_request(tokens)?, tokens).await
    }

    fn request(&self, segments: &[&str]) -> Result<HttpRequest> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::configuration("the API's base must be an https URL"))?
            .pop_if_empty()
            .extend(segments);
        if let Some(key) = &self.key {
            url.query_pairs_mut().append_pair("key", key.expose());
        }
        Ok(HttpRequest::get(url).with_header(ACCEPT, HeaderValue::from_static("application/json")))
    }
}

async fn send<T: DeserializeOwned>(
    http: &dyn HttpClient,
    request: HttpRequest,
    tokens: &TokenList,
) -> Result<Wrapper<T>> {
    let response = http.send(request, &Limits::default()).await?;
    Wrapper::read_without(&response, &tokens.0.iter().collect::<Vec<_>>())
}

/// The object around every answer of the API (`/docs/wrapper`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrapper<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more on the next page.
    pub has_more: bool,
    /// How long the same method must not be called again. The API throttles who does.
    pub backoff: Option<Duration>,
    /// How many requests a day are allowed.
    pub quota_max: Option<u64>,
    /// How many of them are left.
    pub quota_remaining: Option<u64>,
    /// Where the filter asks for it: how many items there are on all pages.
    pub total: Option<u64>,
}

impl<T: DeserializeOwned> Wrapper<T> {
    /// Reads an answer of the API, of any method.
    ///
    /// # Errors
    ///
    /// What the API refused, with an [`ApiError`] as the source: [`ErrorKind::InvalidGrant`] for a token that is over,
    /// [`ErrorKind::RateLimited`] with the time to wait, and so on. [`ErrorKind::InvalidResponse`] for what is no answer of
    /// the API. No error holds the body.
    pub fn read(response: &HttpResponse) -> Result<Self> {
        Self::read_without(response, &[])
    }

    pub(crate) fn read_without(response: &HttpResponse, secrets: &[&Secret]) -> Result<Self> {
        let status = response.status;
        let body = match rfc::parse_object(response, ResponseFormat::Json) {
            Ok(body) => body,
            Err(error) => return Err(unreadable(response, error)),
        };
        if let Some(error) = api_error(&body, secrets) {
            return Err(error.into_error(status));
        }
        if !status.is_success() {
            return Err(unreadable(response, Error::invalid_response(NO_WRAPPER)));
        }
        let items = body.get("items").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
        let items = serde_json::from_value(items).map_err(|_| {
            // The cause would quote the body.
            Error::invalid_response("the items of the API's answer have another shape than this method's")
                .with_status(status)
        })?;
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        Ok(Self {
            items,
            has_more: body.get("has_more").and_then(Value::as_bool).unwrap_or(false),
            backoff: backoff(&body),
            quota_max: number("quota_max"),
            quota_remaining: number("quota_remaining"),
            total: number("total"),
        })
    }
}

const NO_WRAPPER: &str = "the API's answer is not its usual object";

fn backoff(body: &Map<String, Value>) -> Option<Duration> {
    let seconds = body.get("backoff").and_then(Value::as_u64)?;
    Some(Duration::from_secs(seconds).min(rfc::MAX_RETRY_AFTER))
}

fn api_error(body: &Map<String, Value>, secrets: &[&Secret]) -> Option<ApiError> {
    let id = body.get("error_id").and_then(Value::as_u64);
    let name = body.get("error_name").and_then(Value::as_str);
    if id.is_none() && name.is_none() {
        return None;
    }
    let id = id.and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
    let clean = |text: &str| rfc::without_secrets(text, secrets);
    let message = body.get("error_message").and_then(Value::as_str).map(clean);
    Some(ApiError::new(id, &clean(name.unwrap_or("unknown")), message.as_deref(), backoff(body)))
}

/// What is no object of the API: a proxy's page, a broken or a compressed body.
fn unreadable(response: &HttpResponse, error: Error) -> Error {
    let status = response.status;
    let compressed = response.body.starts_with(&[0x1f, 0x8b]);
    let error = if status == StatusCode::TOO_MANY_REQUESTS {
        Error::new(ErrorKind::RateLimited, "the API asks to slow down")
    } else if status.is_server_error() {
        Error::new(ErrorKind::Unavailable, "the API is not available")
    } else if compressed {
        Error::invalid_response(
            "the API's answer is compressed, as all its answers are, and the HTTP client does not decode it; build \
             authflow-reqwest with its feature `decompression`",
        )
    } else {
        error
    };
    error.with_status(status)
}

/// What the API knows of an access token.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "RawTokenInfo")]
#[non_exhaustive]
pub struct TokenInfo {
    /// The token.
    pub access_token: Secret,
    /// Whose it is: the account, the same on every site.
    pub account_id: Option<u64>,
    /// Until when it is good. [`Expiry::Never`] for one with the scope `no_expiry`.
    pub expiry: Expiry,
    /// What it is good for.
    pub scopes: Scopes,
}

#[derive(Deserialize)]
struct RawTokenInfo {
    access_token: Secret,
    #[serde(default)]
    account_id: Option<u64>,
    #[serde(default)]
    expires_on_date: Option<u64>,
    #[serde(default)]
    scope: Option<Scopes>,
}

impl From<RawTokenInfo> for TokenInfo {
    fn from(raw: RawTokenInfo) -> Self {
        let scopes = raw.scope.unwrap_or_default();
        let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let expiry = match raw.expires_on_date {
            Some(seconds) => at(seconds).map_or(Expiry::Unknown, Expiry::At),
            None if scopes.contains(crate::scope::NO_EXPIRY) => Expiry::Never,
            None => Expiry::Unknown,
        };
        Self { access_token: raw.access_token, account_id: raw.account_id, expiry, scopes }
    }
}

/// A user of one site, as `/me` tells.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// The account: the same on every site.
    #[serde(default)]
    pub account_id: Option<u64>,
    /// The user's id on this site.
    #[serde(default)]
    pub user_id: Option<u64>,
    /// The name that the user chose. It is a stranger's text, with HTML entities in it: escape it.
    #[serde(default)]
    pub display_name: Option<String>,
}
