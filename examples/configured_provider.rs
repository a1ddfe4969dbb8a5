//! A provider without code: a TOML file says what is different about it. Most providers need no more.
//!
//! `cargo run --example configured_provider` runs a whole flow against an authorization server on this machine; a scripted
//! user approves.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, HttpClient as _, HttpRequest,
    Limits, MemoryStateStore, ProviderDefinition,
};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

/// As it would stand in a file of the application.
const DEFINITION: &str = r#"
    id = "example"
    default_scopes = ["read", "offline_access"]

    [endpoints]
    issuer = "https://provider.example"
    authorization_endpoint = "https://provider.example/authorize"
    token_endpoint = "https://provider.example/token"
    revocation_endpoint = "https://provider.example/revoke"

    # What differs from the RFCs. Without a line here nothing does.
    [quirks.authorization]
    parameters = { prompt = "consent" }

    [quirks.token]
    client_authentication = "client_secret_post"

    [quirks.access_token_usage]
    request_headers = { x-client = "{client_id}" }
"#;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;

    let file = DEFINITION.replace("https://provider.example", server.base_url());
    let definition: ProviderDefinition = toml::from_str(&file)?;
    let registered = server.post_client();
    let credentials =
        ClientCredentials::confidential(registered.id(), registered.secret().unwrap_or_default())
            .redirect_uri("http://127.0.0.1/callback");
    let flow =
        authflow::flow(ConfiguredProvider::new(definition, credentials, MemoryStateStore::new())?).build()?;

    let user = Binding::user("", "user-42");
    let authorization = flow.begin(&user).await?;
    let callback = ScriptedUser::new().approve(authorization.url()).await?;
    let completed = flow.finish(&AuthorizationResponse::from_url(&callback)?, &user).await?;
    println!("Connected: scopes {:?}, {:?}", completed.tokens.scopes, completed.tokens.expiry);

    // An API request: the token is attached in the provider's way, and only for an origin that it lists.
    let mut request = HttpRequest::get(server.resource_url().parse()?);
    flow.authenticate(&completed.tokens, &mut request).await?;
    let response = authflow::reqwest::ReqwestClient::new()?.send(request, &Limits::default()).await?;
    println!("The API answers {}: {}", response.status, String::from_utf8_lossy(&response.body));

    println!("Disconnected: {:?}", flow.revoke(&completed.tokens).await?);
    Ok(())
}
