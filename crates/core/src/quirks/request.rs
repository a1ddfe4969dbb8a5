//! The shape of a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Templates;
use crate::credentials::ClientAuthentication;

/// The shape of one kind of request: authorization, token, refresh, client credentials, revocation.
///
/// The values of [`parameters`](Self::parameters) and [`headers`](Self::headers) are templates over `{client_id}`,
/// `{client_secret}`, `{redirect_uri}`, `{scope}`, `{config.x}`, `{callback.x}` (a retained callback parameter), `{token.x}`
/// (a field of the token set), and `{random}`. A parameter whose value comes out empty, or whose variable has no value, is
/// left out.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RequestShape {
    /// The HTTP method. Default: POST, and GET for the authorization request, where nothing else is possible.
    pub method: RequestMethod,
    /// Where the parameters go.
    pub format: RequestFormat,
    /// Standard parameters that have another name here: `{"client_id": "client_key"}`.
    pub rename: BTreeMap<String, String>,
    /// Standard parameters that are not sent.
    pub omit: Vec<String>,
    /// Parameters that are sent beside the standard ones.
    pub parameters: Templates,
    /// Headers that are sent beside the standard ones.
    pub headers: Templates,
    /// How the client authenticates, where the client credentials do not say. Default: `client_secret_basic` with a secret,
    /// `none` without.
    pub client_authentication: Option<ClientAuthentication>,
    /// What stands between two scopes, in `scope` and in `{scope}`. Default: a space in the authorization request, and in each
    /// other request what stands there.
    pub scope_delimiter: Option<String>,
    /// Whether the delimiter reaches the wire as it is, such as a raw `+`.
    pub raw_scope: bool,
    /// Where the query goes if the endpoint has a fragment. An endpoint with a fragment needs it.
    pub query_placement: Option<QueryPlacement>,
    /// The order of the parameters.
    pub order: RequestOrder,
    /// The value of `response_type`, or of `grant_type` in the code exchange, where it is not the RFC's.
    pub type_value: Option<String>,
}

impl RequestShape {
    /// The name of a standard parameter on the wire; `None` if it is not sent.
    #[must_use]
    pub fn wire_name<'a>(&'a self, standard: &'a str) -> Option<&'a str> {
        if self.omit.iter().any(|name| name == standard) {
            return None;
        }
        if self.rename.is_empty() {
            return Some(standard);
        }
        Some(self.rename.get(standard).map_or(standard, String::as_str))
    }

    /// What stands between two scopes of an authorization request.
    #[must_use]
    pub fn scope_delimiter(&self) -> &str {
        self.scope_delimiter.as_deref().unwrap_or(" ")
    }
}

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum RequestMethod {
    /// POST.
    #[default]
    Post,
    /// GET, with the parameters in the query.
    Get,
    /// DELETE.
    Delete,
}

/// Where the parameters of a request go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestFormat {
    /// A form body (RFC 6749 §4.1.3).
    #[default]
    Form,
    /// A JSON object.
    Json,
    /// The query of the URL.
    Query,
}

/// Where the query goes if the authorization endpoint has a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QueryPlacement {
    /// `https://host/?query#!/path`.
    BeforeFragment,
    /// `https://host/#!/path?query`.
    InsideFragment,
}

/// The order of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestOrder {
    /// As they are listed.
    #[default]
    AsGiven,
    /// By name.
    Sorted,
}
