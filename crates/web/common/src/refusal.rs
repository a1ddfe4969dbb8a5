//! Why a handler does not get what it asked for, with the request that it answers.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Response;
use http::request::Parts;

use crate::accounts::Accounts;
use crate::missing::Missing;

/// What a handler asked for is missing, or its connection is over: why ([`missing`](Self::missing)), and the answer to just the
/// request that the handler was to answer ([`response`](Self::response)).
///
/// It is what a [`Client`](crate::Client) fails with. Nothing of the request is in its `Display` or `Debug`.
pub struct Refusal(Box<Inner>);

struct Inner {
    missing: Missing,
    asked: Arc<Asked>,
    response: OnceLock<Response<Bytes>>,
}

/// Who asked: a request, and the accounts that it came to.
pub(crate) struct Asked {
    pub(crate) accounts: Accounts,
    pub(crate) request: Parts,
}

impl Refusal {
    /// For what is missing at this request.
    #[must_use]
    pub fn new(missing: Missing, accounts: &Accounts, request: &Parts) -> Self {
        Self::of(missing, Arc::new(Asked { accounts: accounts.clone(), request: request.clone() }))
    }

    pub(crate) fn of(missing: Missing, asked: Arc<Asked>) -> Self {
        Self(Box::new(Inner { missing, asked, response: OnceLock::new() }))
    }

    /// What is missing.
    #[must_use]
    pub fn missing(&self) -> &Missing {
        &self.0.missing
    }

    /// The answer, as [`Missing::response`] makes it. It is made when it is first asked for, and once: what failed is told to the
    /// application no earlier and no second time.
    pub fn response(&self) -> &Response<Bytes> {
        let Inner { missing, asked, response } = &*self.0;
        response.get_or_init(|| missing.response(&asked.accounts, &asked.request))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.missing, f)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("missing", &self.0.missing).finish_non_exhaustive()
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.missing.source()
    }
}
