#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod conformance;
mod http;
mod leaks;
mod outage;
mod server;
mod user;
pub use clock::ManualClock;
pub use http::{LoopbackClient, ScriptedClient};
#[cfg(feature = "tracing")]
pub use leaks::LogCapture;
pub use leaks::{Leak, LeakDetector, LeakForm};
pub use outage::Outage;
pub use server::{
    AuthorizationServer, BadExpiresIn, Builder, Client, ClientAuthentication, Coding, Consent, Declared,
    Delivery, Endpoint, Entry, ErrorCode, Fault, FaultSpan, Issued, IssuedKind, IssuerParameter, Ledger,
    Outcome, Personality, Pkce, RetryAfter, Rotation, Sent, SetFault, StartError, UnknownFault,
};
pub use user::{Page, ScriptedUser, UserError};
