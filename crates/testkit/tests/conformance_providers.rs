//! Providers of the RFCs, and ones that deviate by data alone, against the suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use authflow_core::{ClientCredentials, ConfiguredProvider, Provider, ProviderDefinition};
use authflow_testkit::conformance::provider::ProviderFixture;
use authflow_testkit::provider_conformance;

const REDIRECT_URI: &str = "https://app.example/callback?from=as";

fn confidential() -> ClientCredentials {
    ClientCredentials::confidential("client-1", "planted-client-secret/+1").redirect_uri(REDIRECT_URI)
}

fn public() -> ClientCredentials {
    ClientCredentials::public("client-1").redirect_uri(REDIRECT_URI)
}

fn data(json: &'static str, credentials: ClientCredentials) -> ProviderFixture {
    ProviderFixture::new(move |states| {
        let definition: ProviderDefinition = serde_json::from_str(json).unwrap();
        ConfiguredProvider::new(definition, credentials.clone(), states).unwrap()
    })
}

provider_conformance!(
    rfc,
    ProviderFixture::new(|states| {
        let provider = Provider::builder("rfc")
            .base_uri("https://as.example")
            .authorization_endpoint("/authorize")
            .token_endpoint("/token")
            .revocation_endpoint("/revoke")
            .api_origin("https://api.example")
            .default_scopes(["openid", "read"])
            .issuer("https://as.example")
            .build()
            .unwrap();
        ConfiguredProvider::from_provider(provider, confidential(), states).unwrap()
    })
    .api_url("https://api.example/v1/me")
);

provider_conformance!(
    public_client_without_refresh_and_revocation,
    data(
        r#"{
            "id": "plain",
            "endpoints": {
                "authorization_endpoint": "https://as.example/authorize?tenant=7",
                "token_endpoint": "https://token.example/token"
            },
            "quirks": {"refresh_policy": {"input": "none"}}
        }"#,
        public(),
    )
    .token_json(r#"{"access_token": "planted-access-token-9"}"#)
);

provider_conformance!(
    without_pkce_and_with_other_names,
    data(
        r##"{
            "id": "odd",
            "endpoints": {
                "authorization_endpoint": "https://as.example/#!/apps/A/authorize",
                "token_endpoint": "https://{host}/token",
                "revocation_endpoint": "https://{host}/tokens/{token}",
                "variables": {"host": {
                    "sources": ["callback"], "parameter": "location", "default": "NA",
                    "values": {"NA": "na.example", "EU": "eu.example"}
                }}
            },
            "default_scopes": ["a", "b"],
            "quirks": {
                "authorization": {
                    "rename": {"client_id": "app_key"}, "scope_delimiter": ",", "query_placement": "inside_fragment",
                    "parameters": {"device": "{random}"}
                },
                "authorization_response": {
                    "code_parameter": "auth_code", "retain": ["location"], "error_parameters": {"error": "err"}
                },
                "token": {"format": "json", "client_authentication": "client_secret_post", "omit": ["redirect_uri"]},
                "token_response": {
                    "root": ["/data"], "fields": {"access_token": "/token"},
                    "error": {"when": [{"pointer": "/code", "op": "not_equals", "value": 0}], "code": ["/code"],
                              "code_map": {"41": "invalid_grant"}}
                },
                "revocation": {"request": {"method": "DELETE"}, "token": "access_token"},
                "access_token_usage": {"placement": {"query": {"name": "access_token"}}},
                "pkce": {"with_secret": "exclusive"}
            }
        }"##,
        confidential(),
    )
    .callback("auth_code=planted-code-77&location=EU")
    .token_json(
        r#"{"code": 0, "data": {"token": "planted-access-token-7", "refresh_token": "planted-refresh-token-7"}}"#
    )
    .token_error(
        authflow_core::HttpResponse::new(http::StatusCode::OK, r#"{"code": 41, "msg": "no such code"}"#),
        authflow_core::ErrorKind::InvalidGrant
    )
    .api_url("https://eu.example/v3/user")
);

provider_conformance!(
    form_post_and_form_replies,
    data(
        r#"{
            "id": "forms",
            "endpoints": {
                "authorization_endpoint": "https://as.example/authorize",
                "token_endpoint": "https://as.example/token",
                "revocation_endpoint": "https://as.example/revoke",
                "issuer": "https://as.example/tenant"
            },
            "quirks": {
                "authorization_response": {"response_mode": "form_post", "iss": "if_present"},
                "revocation": {"token": "both"},
                "pkce": {"method": "plain"}
            }
        }"#,
        confidential(),
    )
    .token_form("access_token=planted-access-token-5&refresh_token=planted-refresh-token-5&expires_in=60")
);

provider_conformance!(
    refreshes_the_access_token,
    data(
        r#"{
            "id": "long-lived",
            "endpoints": {
                "authorization_endpoint": "https://as.example/authorize",
                "token_endpoint": "https://as.example/token"
            },
            "quirks": {
                "refresh_policy": {"input": "access_token", "grant_type": "exchange"},
                "pkce": {"support": "unsupported"}
            }
        }"#,
        confidential(),
    )
    .token_json(r#"{"access_token": "planted-access-token-3"}"#)
);
