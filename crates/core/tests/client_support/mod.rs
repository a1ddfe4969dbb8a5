//! Connections whose provider is reached through another HTTP client than the server's own.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part")]

use std::sync::Arc;

use authflow_core::{
    ClientCredentials, ConfiguredProvider, Connections, ConnectionsBuilder, Flow, FlowBuilder, HttpClient,
    ProviderBuilder, StateStore,
};

use crate::connections_support::World;

const REDIRECT_URI: &str = "https://app.example/callback";

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
    let credentials =
        ClientCredentials::confidential("client-1", "planted-secret").redirect_uri(REDIRECT_URI);
    let manager = ConfiguredProvider::from_provider(provider.build().unwrap(), credentials, states).unwrap();
    Flow::builder(manager).http_client(client).clock(Arc::new(world.clock.clone()))
}

/// Connections with this flow, and with the world's store, keys and clock.
pub fn builder(world: &World, flow: Flow) -> ConnectionsBuilder {
    Connections::builder()
        .flow(flow)
        .token_store(Arc::clone(&world.store))
        .keys(world.ring.clone())
        .clock(Arc::new(world.clock.clone()))
}

/// One more process whose provider `p` is reached through `client`.
pub fn process(world: &World, client: impl HttpClient) -> Connections {
    builder(world, flow(world, world.provider("p"), client)).build().unwrap()
}
