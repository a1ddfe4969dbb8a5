//! Connections in memory: for tests, and for programs whose users connect anew after each start.
//!
//! `cargo run --example memory_token_store` runs against an authorization server on this machine; a scripted user approves. No
//! key is needed: nothing leaves the process.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use std::sync::Arc;

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connections, MemoryStateStore,
    MemoryTokenStore,
};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;
    let provider = server.provider("example").build()?;
    let credentials =
        ClientCredentials::public(server.public_client().id()).redirect_uri("http://127.0.0.1/callback");
    let manager = ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new())?;
    // A thousand connections and no more: who comes after them is refused, and nobody is let go for another.
    let store = Arc::new(MemoryTokenStore::with_capacity(1000));
    let connections = Connections::builder()
        .flow(authflow::flow(manager).build()?)
        .token_store(Arc::clone(&store))
        .build()?;

    let user = Binding::user("", "user-42");
    let authorization = connections.begin("example", &user)?.scope("offline_access").await?;
    let callback = ScriptedUser::new().approve(authorization.url()).await?;
    let response = AuthorizationResponse::from_url(&callback)?;
    let key = connections.complete("example", &response, &user).await?.key;
    println!("Connected: {key}, one of {}", store.len());

    let before = connections.token(&key).await?;
    let after = connections.refresh_now(&key).await?;
    println!("Refreshed: another token: {}", before.expose() != after.expose());

    connections.disconnect(&key).await?;
    println!("Disconnected: {:?}", connections.token(&key).await.err().map(|error| error.kind()));
    Ok(())
}
