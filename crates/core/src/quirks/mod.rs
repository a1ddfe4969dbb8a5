//! How a provider deviates from the RFCs, as data.
//!
//! Every knob has a default that follows the RFC, and is tolerant where real providers differ without harm. What no knob
//! can say is a hook of [`FlowManager`](crate::FlowManager).

mod ordered;
mod request;
mod response;

use serde::{Deserialize, Serialize};

pub use self::ordered::Templates;
pub use self::request::{QueryPlacement, RequestFormat, RequestMethod, RequestOrder, RequestShape};
pub use self::response::{
    Condition, DefaultExpiry, ErrorShape, ExpiryKind, ExpiryShape, Fields, Never, Operator, ResponseFormat,
    ResponseShape, ZeroExpiry,
};

/// All deviations of one provider.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Quirks {
    /// The authorization request (RFC 6749 §4.1.1).
    pub authorization: RequestShape,
    /// The authorization response (RFC 6749 §4.1.2).
    pub authorization_response: AuthorizationResponseShape,
    /// The token request (RFC 6749 §4.1.3).
    pub token: RequestShape,
    /// The refresh request (RFC 6749 §6). Default: as [`token`](Self::token).
    pub refresh: Option<RequestShape>,
    /// The client credentials request (RFC 6749 §4.4.2). Default: as [`token`](Self::token).
    pub client_credentials: Option<RequestShape>,
    /// The token response (RFC 6749 §5).
    pub token_response: ResponseShape,
    /// The answer to a refresh. Default: as [`token_response`](Self::token_response).
    pub refresh_response: Option<ResponseShape>,
    /// The revocation request (RFC 7009 §2.1).
    pub revocation: RevocationShape,
    /// How the access token goes with an API request (RFC 6750 §2).
    pub access_token_usage: AccessTokenUsage,
    /// PKCE (RFC 7636).
    pub pkce: PkcePolicy,
    /// What a refresh takes, and what it may leave out.
    pub refresh_policy: RefreshPolicy,
    /// The redirect URI is a name that was registered, not a URI (eBay).
    pub opaque_redirect_uri: bool,
}

/// The authorization response.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthorizationResponseShape {
    /// How the response arrives.
    pub response_mode: ResponseMode,
    /// The name under which the code arrives. Default: `code`.
    pub code_parameter: Option<String>,
    /// The name under which the state comes back. Default: `state`.
    pub state_parameter: Option<String>,
    /// The names of `error`, `error_description` and `error_uri`, where they differ.
    pub error_parameters: ErrorParameters,
    /// The parameters that are needed later: for endpoints, templates or the application.
    pub retain: Vec<String>,
    /// What is asked of `iss` (RFC 9207) where the provider's issuer is known.
    pub iss: IssPolicy,
}

impl AuthorizationResponseShape {
    /// The provider's own names of what it answers, and of what is kept of that.
    pub(crate) fn own_names(&self) -> impl Iterator<Item = &String> {
        let errors = &self.error_parameters;
        let names = [
            &self.code_parameter,
            &self.state_parameter,
            &errors.error,
            &errors.error_description,
            &errors.error_uri,
        ];
        names.into_iter().flatten().chain(&self.retain)
    }
}

/// Names of the error parameters of an authorization response.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ErrorParameters {
    /// Instead of `error`.
    pub error: Option<String>,
    /// Instead of `error_description`.
    pub error_description: Option<String>,
    /// Instead of `error_uri`.
    pub error_uri: Option<String>,
}

/// How the authorization response arrives (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of a GET.
    #[default]
    Query,
    /// As the form of a POST. The parameter `response_mode=form_post` is sent.
    FormPost,
}

/// What is asked of `iss` where the provider's issuer is known (RFC 9207 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IssPolicy {
    /// It must be there, and be the issuer.
    #[default]
    Required,
    /// It must be the issuer if it is there.
    IfPresent,
}

/// The revocation request.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RevocationShape {
    /// Method, format, names, parameters, client authentication. The standard parameters are `token` and
    /// `token_type_hint`.
    pub request: RequestShape,
    /// Which token is revoked.
    pub token: RevokedToken,
    /// Whether `token_type_hint` (RFC 7009 §2.1) is left out.
    pub omit_token_type_hint: bool,
}

/// Which token a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevokedToken {
    /// The refresh token, or the access token where there is none. RFC 7009 §2.1: the server then invalidates the access
    /// tokens of the same grant too.
    #[default]
    RefreshToken,
    /// The access token.
    AccessToken,
    /// One request for each.
    Both,
}

/// How the access token goes with an API request.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AccessTokenUsage {
    /// Where the token goes.
    pub placement: TokenPlacement,
    /// Headers of every API request.
    pub request_headers: Templates,
    /// Query parameters of every API request.
    pub request_parameters: Templates,
}

/// Where the access token goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenPlacement {
    /// In a header, behind a scheme if there is one. Default: `Authorization: Bearer` (RFC 6750 §2.1).
    Header {
        /// The header's name.
        name: String,
        /// The scheme before the token.
        #[serde(default)]
        scheme: Option<String>,
    },
    /// In the query, because the provider knows no other way. The URL is a secret then.
    Query {
        /// The parameter's name.
        name: String,
    },
    /// In a form body (RFC 6750 §2.2). The request must have that content type.
    Form {
        /// The parameter's name.
        name: String,
    },
}

impl Default for TokenPlacement {
    fn default() -> Self {
        Self::Header { name: "authorization".to_owned(), scheme: Some("Bearer".to_owned()) }
    }
}

/// PKCE. One setting drives the challenge in the authorization request and the verifier in the token request.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PkcePolicy {
    /// Whether the provider knows PKCE.
    pub support: PkceSupport,
    /// How the challenge is made (RFC 7636 §4.2).
    pub method: PkceMethod,
    /// Whether secret and verifier go together.
    pub with_secret: PkceWithSecret,
    /// The method's name on the wire, where it is not `S256` or `plain` (Canva: `s256`).
    pub method_value: Option<String>,
    /// How the hash is written.
    pub encoding: PkceEncoding,
}

/// Whether the provider knows PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PkceSupport {
    /// It does, or ignores it as RFC 6749 §3.1 says.
    #[default]
    Supported,
    /// It refuses the parameters. A client without a secret cannot be built then.
    Unsupported,
}

/// How the challenge is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PkceMethod {
    /// The hash of the verifier.
    #[default]
    S256,
    /// The verifier itself: for providers that know nothing else (MyAnimeList). Never a fallback.
    #[serde(rename = "plain")]
    Plain,
}

/// Whether client secret and verifier go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PkceWithSecret {
    /// Both are sent (RFC 9700 §2.1.1).
    #[default]
    Both,
    /// With a secret there is no PKCE (Contentstack).
    Exclusive,
}

/// How the hash is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PkceEncoding {
    /// Base64url without padding (RFC 7636 §4.2).
    #[default]
    Base64url,
    /// Hexadecimal digits (TikTok).
    Hex,
}

/// What a refresh takes, and what its answer may leave out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RefreshPolicy {
    /// What is refreshed.
    pub input: RefreshInput,
    /// The grant type. Default: `refresh_token`.
    pub grant_type: Option<String>,
    /// Whether an answer without a refresh token leaves the old one in force (RFC 6749 §6).
    pub keep_refresh_token_when_absent: bool,
    /// Whether an answer without an access token leaves the old one in force (Coros).
    pub keep_access_token_when_absent: bool,
    /// How long before its expiry an access token is renewed, in seconds.
    pub margin: Option<u32>,
    /// Whether the scopes that were granted are repeated in the request (Microsoft).
    pub send_scope: bool,
    /// What a refresh does to the refresh token that it was given.
    pub rotation: Rotation,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            input: RefreshInput::default(),
            grant_type: None,
            keep_refresh_token_when_absent: true,
            keep_access_token_when_absent: false,
            margin: None,
            send_scope: false,
            rotation: Rotation::default(),
        }
    }
}

/// What a refresh does to the refresh token that it was given (RFC 9700 §4.14.2). It decides what may be done once a refresh
/// was sent and its answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rotation {
    /// It is used up, and its second use may end the whole connection. The assumption where nothing else is known.
    #[default]
    Strict,
    /// It is used up, and is taken once more for so many seconds.
    Grace(u32),
    /// It stays as it is.
    None,
}

/// What is refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefreshInput {
    /// The refresh token.
    #[default]
    RefreshToken,
    /// The access token itself (Facebook, Instagram).
    AccessToken,
    /// Nothing: the provider has no refresh.
    None,
}
