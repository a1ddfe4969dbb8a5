//! HTTP clients for tests: one that answers from a script, and one that really speaks to loopback addresses.

mod loopback;
mod scripted;

pub use self::loopback::LoopbackClient;
pub use self::scripted::ScriptedClient;
pub(crate) use self::scripted::json;
