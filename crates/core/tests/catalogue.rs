//! The 191 providers of the catalogue: each that needs data only is built from data, and begins a flow.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use authflow_core::quirks::{RequestFormat, RequestMethod};
use authflow_core::{
    ClientAuthentication, ClientCredentials, Pattern, Provider, ProviderDefinition, Template, Variable,
};
use common::{REDIRECT_URI, Rig, query_value, user};
use serde_json::Value;

fn definition(entry: &Value) -> Option<ProviderDefinition> {
    let mut definition = ProviderDefinition::default();
    definition.id = entry["id"].as_str()?.to_owned();
    let template = |name: &str| entry[name].as_str().map(|url| Template::parse(url).unwrap());
    let endpoints = &mut definition.endpoints;
    endpoints.authorization_endpoint = template("authorization_endpoint");
    endpoints.token_endpoint = template("token_endpoint");
    endpoints.revocation_endpoint =
        template("revocation_endpoint").filter(|t| t.variables().all(|v| !v.contains("token")));
    let used = [&endpoints.authorization_endpoint, &endpoints.token_endpoint, &endpoints.revocation_endpoint];
    let names: Vec<String> =
        used.into_iter().flatten().flat_map(Template::variables).map(str::to_owned).collect();
    let is_origin =
        |name: &str| entry["token_endpoint"].as_str().unwrap_or_default().starts_with(&format!("{{{name}}}"));
    for name in names {
        let (value, pattern) = match is_origin(&name) {
            true => {
                ("https://eu.provider.example", Pattern::OriginUnder(vec!["provider.example".to_owned()]))
            }
            false => ("example", Pattern::Segment),
        };
        definition.config.insert(name.clone(), value.to_owned());
        endpoints.variables.insert(name, Variable::config(pattern));
    }
    let quirks = &mut definition.quirks;
    quirks.authorization.scope_delimiter = entry["scope_delimiter"].as_str().map(str::to_owned);
    if endpoints
        .authorization_endpoint
        .as_ref()
        .is_some_and(|t| serde_json::to_string(t).unwrap().contains('#'))
    {
        quirks.authorization.query_placement = Some(authflow_core::quirks::QueryPlacement::BeforeFragment);
    }
    let words = |name: &str| entry[name].as_str().unwrap_or_default().to_lowercase();
    quirks.token.client_authentication = match words("token_endpoint_auth_method") {
        method if method.starts_with("client_secret_basic") => Some(ClientAuthentication::ClientSecretBasic),
        method if method.starts_with("client_secret_post") => Some(ClientAuthentication::ClientSecretPost),
        _ => None,
    };
    match words("token_request_format") {
        format if format.starts_with("json") => quirks.token.format = RequestFormat::Json,
        format if format.starts_with("query") => {
            quirks.token.format = RequestFormat::Query;
            quirks.token.method = RequestMethod::Get;
        }
        _ => {}
    }
    Some(definition)
}

#[tokio::test]
async fn every_provider_that_is_data_is_built_from_data() {
    let entries: Vec<Value> = serde_json::from_str(include_str!("fixtures/providers.json")).unwrap();
    assert_eq!(entries.len(), 191);
    let (mut built, mut begun) = (0, 0);
    for entry in entries.iter().filter(|entry| entry["hook_level"] == "data") {
        let id = entry["id"].as_str().unwrap();
        let definition = definition(entry).unwrap();
        // The same definition survives being written to a file and read again.
        let written = serde_json::to_string(&definition).unwrap();
        let read: ProviderDefinition =
            serde_json::from_str(&written).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(read, definition, "{id}");
        let has_authorization = definition.endpoints.authorization_endpoint.is_some();
        let provider: Provider = definition.build().unwrap_or_else(|error| panic!("{id}: {error}: {entry}"));
        built += 1;
        if !has_authorization {
            continue;
        }
        let credentials = ClientCredentials::confidential("client-1", "secret").redirect_uri(REDIRECT_URI);
        let rig = Rig::with(provider, credentials);
        let authorization =
            rig.flow.begin(&user()).scope("one").scope("two").await.unwrap_or_else(|error| panic!("{error}"));
        let scope = query_value(authorization.url(), "scope").unwrap();
        let delimiter = entry["scope_delimiter"].as_str().unwrap_or(" ");
        assert_eq!(scope, format!("one{delimiter}two"), "{id}");
        begun += 1;
    }
    assert_eq!(built, 162);
    assert!(begun > 155, "{begun}");
}
