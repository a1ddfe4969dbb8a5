//! The HTTP client that every flow of the process shares.

use std::sync::OnceLock;

use authflow_core::{Flow, FlowBuilder, FlowManager, Result};
use authflow_reqwest::ReqwestClient;

/// Begins a [`Flow`] over `manager`, with an HTTP client preset: one [`ReqwestClient`] with its defaults, which all flows of the
/// process share, so that they share its connections and read the system's root certificates once.
///
/// [`FlowBuilder::http_client`] replaces it. Where it cannot be built (a system without root certificates),
/// [`FlowBuilder::build`] says so, and the next call tries again.
///
/// A connection is driven by the tokio runtime that opened it. A program with several runtimes, of which one stands still
/// while another runs, gives each its own client.
///
/// ```no_run
/// # fn example(manager: impl authflow::FlowManager) -> authflow::Result<()> {
/// let flow = authflow::flow(manager).build()?;
/// # Ok(())
/// # }
/// ```
pub fn flow(manager: impl FlowManager) -> FlowBuilder {
    Flow::builder(manager).try_http_client(shared())
}

fn shared() -> Result<ReqwestClient> {
    static SHARED: OnceLock<ReqwestClient> = OnceLock::new();
    if let Some(client) = SHARED.get() {
        return Ok(client.clone());
    }
    let client = ReqwestClient::new()?;
    Ok(SHARED.get_or_init(|| client).clone())
}
