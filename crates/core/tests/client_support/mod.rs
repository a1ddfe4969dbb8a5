//! Connections whose provider is reached through another HTTP client than the server's own.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part")]

use std::sync::Arc;

use authflow_core::{Connections, Flow, FlowBuilder, HttpClient, ProviderBuilder, StateStore};

use crate::connections_support::{REDIRECT_URI, World};

/// A flow of this provider through `client`, with the world's states.
pub fn flow(world: &World, provider: ProviderBuilder, client: impl HttpClient) -> Flow {
    flow_with_states(world, provider, client, Arc::clone(&world.states))
}

pub fn flow_with_states(
    world: &World,
    provider: ProviderBuilder,
    client: impl HttpClient,
    states: impl StateStore,
) -> Flow {
    flow_builder(world, provider, client, states).build().unwrap()
}

/// The same, for what else is to be set.
pub fn flow_builder(
    world: &World,
    provider: ProviderBuilder,
    client: impl HttpClient,
    states: impl StateStore,
) -> FlowBuilder {
    let manager = world.manager(provider, REDIRECT_URI, states);
    Flow::builder(manager).http_client(client).clock(Arc::new(world.clock.clone()))
}

/// One more process whose provider `p` is reached through `client`.
pub fn process(world: &World, client: impl HttpClient) -> Connections {
    world.builder_of(flow(world, world.provider("p"), client)).build().unwrap()
}
