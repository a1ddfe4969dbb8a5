#![doc = include_str!("../README.md")]
mod server;
mod user;
pub use server::{
    AuthorizationServer, BadExpiresIn, Builder, Client, ClientAuthentication, Coding, Consent, Declared,
    Delivery, Endpoint, Entry, ErrorCode, Fault, Issued, IssuedKind, IssuerParameter, Ledger, Outcome,
    Personality, Pkce, RetryAfter, Rotation, Sent, StartError, UnknownFault,
};
pub use user::{Page, ScriptedUser, UserError};
