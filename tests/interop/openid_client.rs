//! npm's `openid-client` against the testkit's server.

use authflow_testkit::{AuthorizationServer, Client, Rotation};
use serde_json::{Value, json};

use crate::node::openid_client;

fn described(client: &Client, method: &str) -> Value {
    let mut description = json!({ "client_id": client.id(), "auth_method": method });
    if let Some(secret) = client.secret() {
        description["client_secret"] = secret.into();
    }
    description
}

async fn judged(method: &str, least: usize) {
    let server =
        AuthorizationServer::builder().rotation(Rotation::Rotate { grace: None }).start().await.unwrap();
    let (client, other) = match method {
        "basic" => (server.basic_client(), described(server.post_client(), "post")),
        "post" => (server.post_client(), described(server.basic_client(), "basic")),
        _ => (server.public_client(), described(server.basic_client(), "basic")),
    };
    let mut target = described(client, method);
    target["issuer"] = server.issuer().into();
    target["redirect_uri"] = client.registered_redirect_uris()[0].clone().into();
    target["resource"] = server.resource_url().into();
    target["other_client"] = other;
    let (succeeded, steps) = openid_client(&target).await;
    let failed: Vec<_> = steps.iter().filter(|step| step["ok"] != true).collect();
    assert!(succeeded && failed.is_empty(), "{method}: {failed:#?}");
    assert!(steps.len() >= least, "{method}: {} steps", steps.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_completes_and_is_refused_what_is_wrong_as_a_public_client() {
    judged("none", 29).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_completes_and_is_refused_what_is_wrong_with_basic() {
    judged("basic", 31).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openid_client_completes_and_is_refused_what_is_wrong_with_post() {
    judged("post", 31).await;
}
