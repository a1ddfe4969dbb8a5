//! The suite for [`FlowManager`](authflow_core::FlowManager): what has to hold of every provider, as functions.
//!
//! Each function takes a [`ProviderFixture`], runs flows over fresh managers and returns the first thing that is wrong. No
//! request leaves the process. [`all`] runs them one after the other, on the manager itself;
//! [`provider_conformance!`](crate::provider_conformance) makes a test of each, behind pointers too.
//!
//! ```
//! use authflow_core::{ClientCredentials, ConfiguredProvider, Provider};
//! use authflow_testkit::conformance::provider::{self, ProviderFixture};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
//! let fixture = ProviderFixture::new(|states| {
//!     let provider = Provider::builder("example")
//!         .base_uri("https://as.example")
//!         .authorization_endpoint("/authorize")
//!         .token_endpoint("/token")
//!         .revocation_endpoint("/revoke")
//!         .build()
//!         .expect("a provider");
//!     let credentials = ClientCredentials::confidential("client-1", "planted-client-secret")
//!         .redirect_uri("https://app.example/callback");
//!     ConfiguredProvider::from_provider(provider, credentials, states).expect("a manager")
//! });
//! for (check, reason) in provider::all(&fixture).await? {
//!     println!("{check} was skipped: {reason}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authorization;
mod callback;
mod fixture;
mod hooks;
mod pointers;
mod probe;
mod replies;
mod rig;
mod secrecy;
mod tokens;
mod twist;

pub use self::authorization::{
    a_flow_gives_tokens, no_parameter_occurs_twice, the_authorization_url_has_state_and_redirect_uri,
    the_authorization_url_has_the_challenge, the_token_request_has_the_verifier,
    the_token_request_repeats_the_redirect_uri, what_one_flow_asks_for_reaches_the_url,
};
pub use self::callback::{
    a_denial_is_typed_and_uses_the_state_up, a_foreign_binding_finds_nothing, a_state_is_used_once,
    an_expired_flow_is_refused, an_unknown_state_is_refused, another_issuer_is_refused,
    doubled_callback_parameters_are_refused,
};
pub use self::fixture::ProviderFixture;
pub use self::hooks::{
    a_failing_after_exchange_keeps_the_tokens, every_hook_can_be_overridden,
    hooks_cannot_drop_what_protects_the_flow, hooks_cannot_leave_the_origins,
};
pub use self::pointers::pointers_forward_every_hook;
pub use self::replies::{
    a_lost_answer_is_not_asked_for_again, a_refresh_keeps_or_replaces_the_refresh_token,
    a_useless_reply_is_an_error_without_its_body, an_error_reply_is_typed,
    only_the_providers_word_ends_a_connection,
};
pub use self::secrecy::nothing_secret_is_shown;
pub use self::tokens::{
    a_failed_revocation_is_an_error, a_revocation_is_sent_or_unsupported, tokens_go_to_api_origins_only,
};

use self::fixture::Pointer;
use super::Failure;
use super::state_store::{Skipped, note};

/// The manager itself.
#[doc(hidden)]
pub fn as_itself(fixture: ProviderFixture) -> ProviderFixture {
    fixture.behind(Pointer::Nothing)
}

/// The manager behind `Arc<dyn FlowManager>`, in every check that does not choose for itself.
#[doc(hidden)]
pub fn behind_arc_dyn(fixture: ProviderFixture) -> ProviderFixture {
    fixture.behind(Pointer::ArcDyn)
}

/// The manager behind `Box<dyn FlowManager>`, in every check that does not choose for itself.
#[doc(hidden)]
pub fn behind_box_dyn(fixture: ProviderFixture) -> ProviderFixture {
    fixture.behind(Pointer::BoxDyn)
}

/// Runs every check, and says which were skipped.
///
/// # Errors
///
/// The first check that does not hold, by its name.
pub async fn all(fixture: &ProviderFixture) -> Result<Vec<Skipped>, Failure> {
    let mut skipped = Vec::new();
    macro_rules! each {
        (() $($check:ident),+ $(,)?) => {$(
            note(stringify!($check), $check(fixture).await, &mut skipped)?;
        )+};
    }
    crate::__provider_checks!(each);
    Ok(skipped)
}
