//! What the RFCs say, with the provider's quirks: the default of every hook of
//! [`FlowManager`](crate::FlowManager), to be called from an implementation that changes a little.

mod authenticate;
mod authorization;
mod body;
mod callback;
mod expiry;
mod redact;
mod retry_after;
mod revoke;
mod token_request;
mod token_response;

use std::sync::Arc;

pub use self::authenticate::authenticate;
pub use self::authorization::{AuthorizationParameters, Parameter, authorization_parameters};
pub use self::body::parse_object;
pub use self::callback::callback;
pub use self::redact::{sent_secrets, without_secrets};
pub use self::retry_after::{MAX_RETRY_AFTER, retry_after};
pub use self::revoke::{Revocation, revoke};
pub use self::token_request::token_request;
pub use self::token_response::{error_response, token_response};

use crate::endpoints::Endpoints;
use crate::error::{Error, Result};
use crate::http_client::HttpClient;
use crate::provider::Provider;

/// The endpoints as the provider was built with them. Nothing is discovered.
///
/// # Errors
///
/// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a provider that was built for discovery
/// ([`ProviderBuilder::build_for_discovery`](crate::ProviderBuilder::build_for_discovery)), without a token endpoint: its
/// manager has to implement [`FlowManager::resolve`](crate::FlowManager::resolve).
#[allow(clippy::unused_async, reason = "the default of an async hook")]
pub async fn resolve(provider: &Provider, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
    let _ = http;
    if provider.endpoints().token_endpoint.is_none() {
        return Err(Error::configuration(
            "the provider was built for discovery, and its manager discovers nothing: implement `resolve`",
        ));
    }
    Ok(Arc::clone(provider.endpoints()))
}
