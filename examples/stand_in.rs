//! Stands in for Stack Exchange on your own machine: it registers, asks, and answers as that does. Leave it running.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use authflow_testkit::{AuthorizationServer, Client, Personality};

pub(crate) async fn start(redirect_uri: &str) -> Result<AuthorizationServer, Box<dyn std::error::Error>> {
    let application = Client::post("client-1", "a-secret").key("a-key").redirect_uri(redirect_uri);
    let server = AuthorizationServer::builder().personality(Personality::StackExchange).client(application);
    Ok(server.start().await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let public_url = std::env::var("PUBLIC_URL").unwrap_or_else(|_| "http://localhost:3000".to_owned());
    let server = start(&format!("{public_url}/auth/stackexchange/callback")).await?;
    println!(
        "export STACKEXCHANGE_CLIENT_ID=client-1 STACKEXCHANGE_CLIENT_SECRET=a-secret STACKEXCHANGE_KEY=a-key"
    );
    println!("export STACKEXCHANGE_STAND_IN={}", server.base_url());
    std::future::pending().await
}
