//! The settings of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{Clock, Error, Limits, Result, SystemClock};
use http::HeaderValue;
use reqwest::{Certificate, Proxy, redirect, retry};
use url::Url;

use crate::client::{Origin, ReqwestClient};

/// Shorter than the shortest keep-alive that is common among servers (5 seconds, Node.js), so that a request is rarely
/// written to a connection that the server is just closing: what happened to such a request nobody knows.
const IDLE: Duration = Duration::from_secs(4);

/// Builds a [`ReqwestClient`]. There is no setting that switches the verification of certificates off.
#[must_use]
pub struct ReqwestClientBuilder {
    clock: Arc<dyn Clock>,
    connect_timeout: Duration,
    idle_timeout: Duration,
    max_idle_per_host: usize,
    proxy: Option<String>,
    root_certificates: Vec<Vec<u8>>,
    user_agent: String,
}

impl ReqwestClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            connect_timeout: Limits::default().connect,
            idle_timeout: IDLE,
            max_idle_per_host: 128,
            proxy: None,
            root_certificates: Vec::new(),
            user_agent: concat!("authflow/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The clock that measures the deadlines and the waits between resends. Default: the operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The longest that a connection may take, TLS included, and divided among the addresses of a host. A shorter
    /// [`Limits::connect`] of a request wins. Default: 10 seconds.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a connection is kept for another request. Keep it below what the servers keep theirs. Default: 4 seconds.
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many idle connections are kept per host; 0 for a new connection each time. Default: 128.
    pub const fn max_idle_per_host(mut self, max: usize) -> Self {
        self.max_idle_per_host = max;
        self
    }

    /// Sends what is https through an HTTP proxy (`CONNECT`, RFC 9110 §9.3.6): it sees the host, not the request. A user
    /// and a password may be part of the URL. Default: none; the environment (`HTTPS_PROXY` and its like) is not read.
    pub fn https_proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    /// Trusts the certificates of a PEM file, beside those that the system trusts: for a private CA. May be repeated.
    pub fn root_certificates_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// The `User-Agent` of requests that name none (RFC 9110 §10.1.5), those to the provider's endpoints included. Default:
    /// `authflow/` and the version, since some providers (GitHub) refuse requests without.
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    /// Builds the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](authflow_core::ErrorKind::Configuration): a setting cannot be read, or TLS cannot be
    /// set up, for example on a system without root certificates.
    pub fn build(self) -> Result<ReqwestClient> {
        let user_agent = HeaderValue::try_from(self.user_agent)
            .map_err(|_| Error::configuration("the user agent holds characters that a header cannot hold"))?;
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            // Zero, since reqwest copies each request for the retries that it may do.
            .retry(retry::never().max_retries_per_request(0))
            .no_proxy()
            // The application may switch these features of reqwest on for itself; here they change nothing.
            .no_gzip()
            .no_deflate()
            .no_brotli()
            .no_zstd()
            .http1_only()
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_timeout)
            .pool_max_idle_per_host(self.max_idle_per_host)
            .user_agent(user_agent);
        if let Some(url) = self.proxy {
            builder = builder.proxy(proxy(&url)?);
        }
        let mut roots = Vec::new();
        for pem in &self.root_certificates {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|error| {
                Error::configuration("the root certificates are not PEM").with_source(error.without_url())
            })?;
            if certificates.is_empty() {
                return Err(Error::configuration("the root certificates are not PEM: none was found"));
            }
            roots.extend(certificates);
        }
        if !roots.is_empty() {
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder.build().map_err(|error| {
            Error::configuration(
                "the HTTP client cannot be built: see the cause, and whether the system has root certificates",
            )
            .with_source(error.without_url())
        })?;
        Ok(ReqwestClient::assemble(client, self.clock, Origin::Ours))
    }
}

/// The causes are left out: they may repeat the URL with its password.
fn proxy(url: &str) -> Result<Proxy> {
    let url =
        Url::parse(url).map_err(|_| Error::configuration("the URL of the https proxy cannot be read"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::configuration("the URL of the https proxy begins with http:// or https://"));
    }
    Proxy::https(url).map_err(|_| Error::configuration("the URL of the https proxy cannot be used"))
}

/// Leaves out the proxy, which may hold a password.
impl fmt::Debug for ReqwestClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestClientBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_idle_per_host", &self.max_idle_per_host)
            .field("root_certificates", &self.root_certificates.len())
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
