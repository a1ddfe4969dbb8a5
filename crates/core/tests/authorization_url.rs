//! The authorization URL: what a hook may change of it, and what the engine refuses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::fmt;
use std::sync::Arc;

use authflow_core::quirks::Quirks;
use authflow_core::rfc::{self, AuthorizationParameters};
use authflow_core::{
    Call, ClientCredentials, Endpoints, ErrorKind, Flow, FlowManager, HttpClient, MemoryStateStore, Provider,
    Result, StateStore, async_trait,
};
use common::{Rig, Script, callback, credentials, provider, query_value, user};

type Change = for<'a> fn(&mut AuthorizationParameters<'a>, state: &str);

/// A manager whose only hook changes the authorization request.
struct Hooked {
    provider: Provider,
    credentials: Arc<ClientCredentials>,
    states: MemoryStateStore,
    change: Change,
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooked").finish_non_exhaustive()
    }
}

#[async_trait]
impl FlowManager for Hooked {
    fn provider(&self) -> &Provider {
        &self.provider
    }

    fn credentials(&self) -> Arc<ClientCredentials> {
        Arc::clone(&self.credentials)
    }

    fn state_store(&self) -> &dyn StateStore {
        &self.states
    }

    async fn resolve(&self, http: &dyn HttpClient) -> Result<Arc<Endpoints>> {
        rfc::resolve(&self.provider, http).await
    }

    fn authorization_parameters<'a>(&self, cx: &'a Call<'_>) -> Result<AuthorizationParameters<'a>> {
        let mut made = rfc::authorization_parameters(cx)?;
        let state = made.get("state").unwrap().to_owned();
        (self.change)(&mut made, &state);
        Ok(made)
    }
}

fn flow(change: Change) -> Flow {
    let manager = Hooked {
        provider: provider("p").build().unwrap(),
        credentials: Arc::new(credentials()),
        states: MemoryStateStore::default(),
        change,
    };
    Flow::builder(manager).http_client(Script::new()).build().unwrap()
}

#[tokio::test]
async fn an_authorization_tells_the_state_of_its_url() {
    let rig = Rig::new();
    let authorization = rig.flow.begin(&user()).await.unwrap();
    assert_eq!(Some(authorization.state()), query_value(authorization.url(), "state").as_deref());
}

#[tokio::test]
async fn no_hook_leaves_the_origin_of_the_authorization_endpoint() {
    let changes: [(&str, Change); 4] = [
        ("host", |made, _| made.endpoint.to_mut().set_host(Some("evil.example")).unwrap()),
        ("port", |made, _| made.endpoint.to_mut().set_port(Some(8443)).unwrap()),
        ("scheme", |made, _| made.endpoint.to_mut().set_scheme("http").unwrap()),
        ("all", |made, _| *made.endpoint.to_mut() = "data:text/html,x".parse().unwrap()),
    ];
    for (what, change) in changes {
        let error = flow(change).begin(&user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ForeignOrigin, "{what}");
    }
    for same in ["https://as.example/tenant/authorize", "https://as.example:443/authorize"] {
        let change: Change = match same.contains(":443") {
            true => |made, _| *made.endpoint.to_mut() = "https://as.example:443/authorize".parse().unwrap(),
            false => |made, _| made.endpoint.to_mut().set_path("/tenant/authorize"),
        };
        let authorization = flow(change).begin(&user()).await.unwrap();
        assert!(authorization.url().starts_with("https://as.example/"), "{same}");
    }
}

#[tokio::test]
async fn b19_no_hook_doubles_a_parameter() {
    let changes: [(&str, Change); 4] = [
        ("the first", |made, _| made.parameters.insert(1, made.parameters[0].clone())),
        ("the last", |made, _| made.parameters.push(made.parameters.last().unwrap().clone())),
        ("the state, alone", |made, _| {
            made.parameters.retain(|parameter| parameter.name == "state");
            made.parameters.push(made.parameters[0].clone());
        }),
        ("one of the endpoint", |made, _| made.endpoint.to_mut().set_query(Some("scope=admin"))),
    ];
    for (what, change) in changes {
        let error = flow(change).begin(&user()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{what}");
    }
}

#[tokio::test]
async fn a_hook_reads_sets_and_removes_parameters_by_name() {
    let flow = flow(|made, state| {
        assert_eq!(made.get("client_id"), Some("client-1"));
        assert_eq!(made.get("state"), Some(state));
        assert_eq!(made.get("nothing"), None);
        made.set("client_id", "client-2");
        made.set("hint", "a");
        made.remove("scope");
        made.remove("nothing");
    });
    let authorization = flow.begin(&user()).await.unwrap();
    let url = authorization.url();
    assert!(url.contains("?response_type=code&client_id=client-2&redirect_uri="), "{url}");
    assert!(url.ends_with("&code_challenge_method=S256&hint=a") && !url.contains("scope="), "{url}");
    assert!(url.contains("&state="), "{url}");
}

/// Mixcloud has no parameter for it.
#[tokio::test]
async fn the_state_may_be_inside_another_parameter() {
    let flow = flow(|made, state| {
        made.remove("state");
        made.set("then", format!("https://app.example/mixcloud?state={state}"));
    });
    let authorization = flow.begin(&user()).await.unwrap();
    let then = query_value(authorization.url(), "then").unwrap();
    let state = query_value(&then, "state").unwrap();
    assert_eq!(state.len(), 43);
}

#[tokio::test]
async fn a_value_that_is_encoded_already_is_written_as_it_is() {
    // The redirect URI and the default scopes are values that the engine has encoded once, too.
    let flow = flow(|made, _| {
        for parameter in &mut made.parameters {
            if parameter.name == "redirect_uri" {
                parameter.encoded = true;
            }
        }
        made.set("prompt", "a:b");
        made.parameters.last_mut().unwrap().encoded = true;
        made.set("hint", "a:b");
    });
    let authorization = flow.begin(&user()).await.unwrap();
    let url = authorization.url();
    assert!(url.contains("&redirect_uri=https://app.example/callback&"), "{url}");
    assert!(url.contains("&prompt=a:b&hint=a%3Ab"), "{url}");
    assert!(url.contains("&scope=read+write&"), "{url}");
}

#[tokio::test]
async fn scopes_are_joined_raw_where_the_provider_wants_it() {
    let mut quirks = Quirks::default();
    quirks.authorization.raw_scope = true;
    quirks.authorization.scope_delimiter = Some(",".to_owned());
    let rig = Rig::quirks(quirks);
    let authorization = rig.flow.begin(&user()).scope("a:b").scope("c&d").await.unwrap();
    assert!(authorization.url().contains("&scope=a%3Ab,c%26d&"), "{}", authorization.url());
}

#[tokio::test]
async fn an_authorization_url_has_16_kib_at_most() {
    let rig = Rig::new();
    let url = rig.flow.begin(&user()).param("hint", "x").await.unwrap().url().len();
    let longest = 16 * 1024 - url + 1;
    for (length, fits) in [(longest, true), (longest + 1, false), (longest + 2, false), (1 << 20, false)] {
        let begun = rig.flow.begin(&user()).param("hint", "x".repeat(length)).await;
        match begun {
            Ok(authorization) => assert!(fits && authorization.url().len() == 16 * 1024),
            Err(error) => assert!(!fits && error.kind() == ErrorKind::Usage, "{error}"),
        }
    }
}

#[tokio::test]
async fn several_parameters_of_the_providers_own_are_sent() {
    let rig = Rig::new();
    let authorization =
        rig.flow.begin(&user()).param("prompt", "code").param("login_hint", "a").await.unwrap();
    // A value that the request holds elsewhere, too.
    assert_eq!(query_value(authorization.url(), "prompt").as_deref(), Some("code"));
    assert_eq!(query_value(authorization.url(), "login_hint").as_deref(), Some("a"));
    rig.tokens();
    rig.finish(&callback(authorization.url()), &user()).await.unwrap();
}
