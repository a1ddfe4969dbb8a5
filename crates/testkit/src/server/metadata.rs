//! The metadata document (RFC 8414 §2), also under the name of OpenID Connect Discovery.

use http::StatusCode;
use serde_json::json;

use super::{
    client::ClientAuthentication, config::IssuerParameter, context::Context, fault::Fault, ledger::Outcome,
    reply::Reply,
};

pub(super) fn document(cx: &mut Context<'_>) -> Reply {
    let config = cx.config;
    let mut methods: Vec<&str> = Vec::new();
    for client in &config.clients {
        if !methods.contains(&client.authentication().name()) {
            methods.push(client.authentication().name());
        }
    }
    let with_secret: Vec<&str> =
        methods.iter().copied().filter(|method| *method != ClientAuthentication::None.name()).collect();
    let challenge_methods: &[&str] = if config.plain_pkce { &["S256", "plain"] } else { &["S256"] };
    let issuer = if cx.fault == Some(Fault::WrongMetadataIssuer) {
        cx.note.fault = cx.fault.clone();
        "https://attacker.example"
    } else {
        config.base_url.as_str()
    };
    let advertised = matches!(config.issuer_parameter, IssuerParameter::Advertised | IssuerParameter::Wrong);
    cx.note.outcome = Some(Outcome::Served);
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": config.url("/authorize"),
        "token_endpoint": config.url("/token"),
        "revocation_endpoint": config.url("/revoke"),
        "introspection_endpoint": config.url("/introspect"),
        "userinfo_endpoint": config.url("/resource"),
        "jwks_uri": config.url("/jwks"),
        "scopes_supported": config.scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": with_secret,
        "code_challenge_methods_supported": challenge_methods,
        "authorization_response_iss_parameter_supported": advertised,
    });
    Reply::json(StatusCode::OK, &document)
}

/// No keys: the server signs nothing.
pub(super) fn keys(cx: &mut Context<'_>) -> Reply {
    cx.note.outcome = Some(Outcome::Served);
    Reply::json(StatusCode::OK, &json!({ "keys": [] }))
}
