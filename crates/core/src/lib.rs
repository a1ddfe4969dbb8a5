#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// No input makes a library panic. Tests may, so that this is not with the lints of the workspace.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]
#![cfg_attr(
    not(feature = "connections"),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "the guide names what the feature adds, and what it is called"
    )
)]

mod binding;
mod bucket_caps;
mod call;
mod callback;
#[cfg(feature = "connections")]
mod cause;
mod clock;
mod configured;
#[cfg(feature = "connections")]
mod connection_key;
#[cfg(feature = "connections")]
mod connections;
mod credentials;
mod endpoints;
mod error;
mod flow;
mod grant;
mod http_client;
mod manager;
mod memory;
mod observe;
mod parts;
mod pkce;
mod provider;
pub mod quirks;
mod random;
pub mod rfc;
mod scopes;
#[cfg(feature = "connections")]
mod seal;
mod secret;
mod state;
mod state_bytes;
mod template;
mod text;
mod token;
#[cfg(feature = "connections")]
mod token_bytes;
#[cfg(feature = "connections")]
mod token_store;
mod wait;

pub use self::binding::{Binding, User};
pub use self::bucket_caps::BucketCaps;
pub use self::call::{AuthorizationRequest, Call};
pub use self::callback::{AuthorizationResponse, Callback};
pub use self::clock::{Clock, SystemClock};
pub use self::configured::ConfiguredProvider;
#[cfg(feature = "connections")]
pub use self::connection_key::{ConnectionId, ConnectionKey, Shard, UserTag};
#[cfg(feature = "connections")]
pub use self::connections::{
    AccessToken, BearerChallenge, Complete, Connected, Connection, Connections, ConnectionsBuilder,
    Disconnected, Drained, Event, EventKind, Events, Handle, Health, Listing, Next, ReconnectReason, Removal,
    SendRequest, SignIn, Sweep, Swept,
};
pub use self::credentials::{ClientAuthentication, ClientCredentials};
pub use self::endpoints::{EndpointUrls, Endpoints, Pattern, Variable, VariableSource, VariableSources};
pub use self::error::{Error, ErrorKind, Operation, Recovery, Result, ServerError};
pub use self::flow::{
    Authorization, Begin, Completed, Finish, Flow, FlowBuilder, Prepared, ReturnTo, check_return_to,
};
pub use self::grant::Grant;
pub use self::http_client::{
    Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, is_secure,
};
pub use self::manager::{FlowManager, KnownProvider};
pub use self::memory::MemoryStateStore;
pub use self::pkce::CodeChallenge;
pub use self::provider::{Provider, ProviderBuilder, ProviderDefinition};
pub use self::quirks::Quirks;
pub use self::rfc::Revocation;
pub use self::scopes::Scopes;
#[cfg(feature = "connections")]
pub use self::seal::{
    EnvKeys, FileKeys, Key, KeyRing, KeySource, Keys, KeysBuilder, Opened, SealContext, SecretBytes,
};
pub use self::secret::Secret;
pub use self::state::{Bucket, PendingFlow, StateContext, StateKey, StateStore, StoreError, StoreErrorKind};
pub use self::template::Template;
pub use self::token::{Expiry, TokenSet};
#[cfg(feature = "connections")]
pub use self::token_store::{
    Cursor, Expected, Incarnation, KeyPage, Lease, LeaseHolder, LeaseOutcome, LeaseRequest, Loaded,
    MemoryTokenStore, Page, Record, RecordPage, RefreshMark, Release, Remove, RemoveOutcome, Renew,
    SaveOutcome, SealedBytes, Tenure, TokenStore, Version, Write,
};

/// For the `impl` blocks of [`FlowManager`], [`StateStore`], [`TokenStore`], [`HttpClient`] and [`Clock`].
pub use async_trait::async_trait;
/// The types of other crates that appear in authflow's own.
pub use {http, url};
