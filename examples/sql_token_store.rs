//! Connections in a SQL database: a user stays connected although the program ends and starts again.
//!
//! `cargo run --example sql_token_store` runs against an authorization server on this machine; a scripted user approves. The
//! database is a file of SQLite in a temporary folder, as is the key of the sealing. With `DATABASE_URL` it is another one:
//!
//!   DATABASE_URL=postgres://user:password@host/database
//!   DATABASE_URL=mysql://user:password@host/database
//!
//! There it makes the tables of authflow where they are missing, and leaves one tombstone.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use std::path::Path;

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, ConnectionKey, Connections,
    FileKeys, Flow,
};
use authflow_sqlx::{SqlDatabase, SqlStateStore, SqlTokenStore};
use authflow_testkit::{AuthorizationServer, ScriptedUser};

/// The same at every start of the program.
async fn start(
    folder: &Path,
    server: &AuthorizationServer,
) -> Result<Connections, Box<dyn std::error::Error>> {
    let database = match std::env::var("DATABASE_URL") {
        Ok(url) => SqlDatabase::connect(&url).await?,
        Err(_) => SqlDatabase::open(folder.join("connections.db")).await?,
    };
    database.migrate().await?;
    let connections = Connections::builder()
        .flow(flow(server, SqlStateStore::new(&database))?)
        .token_store(SqlTokenStore::new(&database))
        // Made at the first start, for the owner alone. Whoever has the database alone has no token.
        .keys(FileKeys::new(folder.join("connections.key")).read_or_create()?)
        .build()?;
    Ok(connections)
}

fn flow(server: &AuthorizationServer, states: SqlStateStore) -> Result<Flow, Box<dyn std::error::Error>> {
    let provider = server.provider("example").build()?;
    let registered = server.basic_client();
    let credentials =
        ClientCredentials::confidential(registered.id(), registered.secret().unwrap_or_default())
            .redirect_uri("http://127.0.0.1/callback");
    Ok(authflow::flow(ConfiguredProvider::from_provider(provider, credentials, states)?).build()?)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;
    let folder = tempfile::tempdir()?;
    let user = Binding::user("acme", "user-42");

    let key: ConnectionKey = {
        let connections = start(folder.path(), &server).await?;
        let authorization = connections.begin("example", &user)?.scope("offline_access").await?;
        let callback = ScriptedUser::new().approve(authorization.url()).await?;
        let response = AuthorizationResponse::from_url(&callback)?;
        let connected = connections.complete("example", &response, &user).await?;
        println!("Connected: {}", connected.key);
        connected.key
    };

    let connections = start(folder.path(), &server).await?;
    let token = connections.token(&key).await?;
    println!("After a restart the token is there, {} characters of it", token.expose().len());
    for connection in connections.list(key.user()).await?.connections {
        println!("Listed: {} with the scopes {:?}", connection.key, connection.scopes);
    }
    connections.disconnect(&key).await?;
    println!("Disconnected: {:?}", connections.token(&key).await.err().map(|error| error.kind()));
    Ok(())
}
