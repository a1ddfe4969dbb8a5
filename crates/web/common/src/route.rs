//! Which route a request is for.

use authflow_core::Connections;
use http::Method;
use percent_encoding::percent_decode_str;

/// A route that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Accounts,
    Connect(String),
    Callback(String),
    Disconnect(String),
    Denied(String),
    Failed(String),
}

impl Route {
    /// The route of a path, if there is one.
    pub(crate) fn of(base: &str, path: &str, connections: &Connections) -> Option<Self> {
        let rest = path.strip_prefix(base)?;
        if matches!(rest, "" | "/") {
            return Some(Self::Accounts);
        }
        let (provider, leaf) = rest.strip_prefix('/')?.split_once('/')?;
        let provider = percent_decode_str(provider).decode_utf8().ok()?;
        connections.flow(&provider)?;
        let provider = provider.into_owned();
        Some(match leaf {
            "connect" => Self::Connect(provider),
            "callback" => Self::Callback(provider),
            "disconnect" => Self::Disconnect(provider),
            "denied" => Self::Denied(provider),
            "failed" => Self::Failed(provider),
            _ => return None,
        })
    }

    /// The methods it has. HEAD only where GET changes nothing.
    pub(crate) const fn methods(&self) -> &'static str {
        match self {
            Self::Accounts | Self::Denied(_) | Self::Failed(_) => "GET, HEAD",
            Self::Connect(_) | Self::Callback(_) => "GET, POST",
            Self::Disconnect(_) => "POST",
        }
    }

    pub(crate) fn has(&self, method: &Method) -> bool {
        match self {
            Self::Accounts | Self::Denied(_) | Self::Failed(_) => {
                method == Method::GET || method == Method::HEAD
            }
            Self::Connect(_) | Self::Callback(_) => method == Method::GET || method == Method::POST,
            Self::Disconnect(_) => method == Method::POST,
        }
    }
}
