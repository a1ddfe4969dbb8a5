//! Connections in files: two processes of one machine share a directory, and refresh a connection once between them.
//!
//! `cargo run --example file_token_store` connects a user, asks for an access token from two stores at once after it has
//! ended, and shows what is on the disk. It runs by itself, against an authorization server of its own, in a directory that
//! it removes.

#![allow(clippy::print_stdout, reason = "an example that tells what it does")]

use std::path::Path;
use std::sync::Arc;

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Connections, FileKeys,
    MemoryStateStore,
};
use authflow_file::FileTokenStore;
use authflow_testkit::{AuthorizationServer, ScriptedUser};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = AuthorizationServer::builder().start().await?;
    let temporary = tempfile::tempdir()?;
    let home = temporary.path();

    // Connect once, as `login` of a command line tool does.
    let login = process(&server, home).await?;
    let user = Binding::user("", "me");
    let authorization = login.begin("example", &user)?.await?;
    let callback = ScriptedUser::new().approve(authorization.url()).await?;
    let response = AuthorizationResponse::from_url(&callback)?;
    let key = login.complete("example", &response, &user).await?.key;
    let before = login.token(&key).await?;
    println!("Connected: {key}");

    // Later, two other processes find the token refused at the same time.
    let (one, two) = (process(&server, home).await?, process(&server, home).await?);
    let (old_one, old_two) = (one.token(&key).await?, two.token(&key).await?);
    let (one, two) = tokio::try_join!(one.token_refused(&old_one), two.token_refused(&old_two))?;
    let (one, two) = (one.ok_or("no token")?, two.ok_or("no token")?);
    println!(
        "Both have the same new token: {}",
        one.expose() == two.expose() && one.expose() != before.expose()
    );

    println!("In the directory:");
    show(&home.join("connections"), 1)?;
    Ok(())
}

/// What each process of the program sets up: its flow, the store and the key that seals it.
async fn process(
    server: &AuthorizationServer,
    home: &Path,
) -> Result<Connections, Box<dyn std::error::Error>> {
    let provider = server.provider("example").default_scopes(["profile", "offline_access"]).build()?;
    let credentials = ClientCredentials::public("public-client").redirect_uri("http://127.0.0.1/callback");
    let states = Arc::new(MemoryStateStore::new());
    let flow = authflow::flow(ConfiguredProvider::from_provider(provider, credentials, states)?).build()?;

    let store = FileTokenStore::open(home.join("connections")).await?;
    let keys = FileKeys::new(home.join("keys"));
    keys.read_or_create()?;
    Ok(Connections::builder().flow(flow).token_store(store).keys(keys).build()?)
}

fn show(directory: &Path, depth: usize) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let short = name.get(..24).map_or(name.clone(), |short| format!("{short}..."));
        println!("{:indent$}{short}", "", indent = depth * 2);
        if entry.file_type()?.is_dir() {
            show(&entry.path(), depth + 1)?;
        }
    }
    Ok(())
}
