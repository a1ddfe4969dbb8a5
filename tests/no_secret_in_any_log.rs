//! H1: every flow and every fault, with all crates logging at TRACE; no secret is in anything that comes out. H2: nor is one in
//! the address of a request.
//!
//! A test program of its own: a process has one subscriber.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use authflow::contentstack::{Contentstack, Region};
use authflow::reqwest::ReqwestClient;
use authflow::stackexchange::StackExchange;
use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Flow, FlowManager,
    HttpClient as _, HttpRequest, Limits, MemoryStateStore,
};
use authflow_testkit::{
    AuthorizationServer, Client, Endpoint, Fault, LeakDetector, LogCapture, Personality, Rotation,
    ScriptedUser,
};

const REDIRECT_URI: &str = "http://127.0.0.1:51235/callback";

fn credentials(client: &Client) -> ClientCredentials {
    ClientCredentials::confidential(client.id(), client.secret().unwrap()).redirect_uri(REDIRECT_URI)
}

fn manager(server: &AuthorizationServer) -> Box<dyn FlowManager> {
    let base = server.base_url();
    let client = server.post_client();
    match server.personality() {
        Personality::StackExchange => Box::new(
            StackExchange::builder(credentials(client))
                .key(client.api_key())
                .site("stackoverflow")
                .endpoints_at(base)
                .build()
                .unwrap(),
        ),
        Personality::Contentstack => Box::new(
            Contentstack::builder(credentials(client))
                .app_uid(client.registered_app_uid())
                .region(Region::Na)
                .endpoints_at(base)
                .build()
                .unwrap(),
        ),
        _ => {
            let provider = server.provider("rfc").build().unwrap();
            let credentials = credentials(server.basic_client());
            Box::new(
                ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::default())
                    .unwrap(),
            )
        }
    }
}

fn limits() -> Limits {
    Limits::default().with_total(Duration::from_millis(250)).with_connect(Duration::from_millis(250))
}

/// What was shown in the course of a journey, each text with where it came from.
///
/// Tokens, code and verifier are known only when the journey is over, so nothing can be looked through before.
#[derive(Default)]
struct Shown(Vec<(&'static str, String)>);

impl Shown {
    fn text(&mut self, place: &'static str, text: String) {
        self.0.push((place, text));
    }

    /// As [`LeakDetector::scan_error`] reads an error: `Display` and `Debug`, and those of all its sources.
    fn error(&mut self, place: &'static str, error: &(dyn std::error::Error + 'static)) {
        for error in std::iter::successors(Some(error), |error| error.source()) {
            self.text(place, format!("{error}\n{error:?}"));
        }
    }

    fn scan(&self, leaks: &LeakDetector) {
        for (place, text) in &self.0 {
            leaks.scan_named(place, text);
        }
    }
}

/// Goes as far as the fault lets it, and shows everything that an application may print.
async fn journey(flow: &Flow, server: &AuthorizationServer, leaks: &LeakDetector, shown: &mut Shown) {
    let me = Binding::new_browser().unwrap();
    leaks.plant("the browser's secret", me.browser_secret().unwrap().expose());
    shown.text("the flow", format!("{flow:?} {:?}", flow.manager()));
    let authorization = match flow.begin(&me).return_to("/settings").await {
        Ok(authorization) => authorization,
        Err(error) => return shown.error("begin", &error),
    };
    let url: url::Url = authorization.url().parse().unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    leaks.plant("the state", &state);
    shown.text("the authorization", format!("{authorization:?}"));
    let Ok(callback) = ScriptedUser::new().approve(authorization.url()).await else { return };
    let response = match AuthorizationResponse::from_url(&callback) {
        Ok(response) => response,
        Err(error) => return shown.error("the callback", &error),
    };
    shown.text("the response", format!("{response:?}"));
    let completed = match flow.finish(&response, &me).await {
        Ok(completed) => completed,
        Err(error) => {
            shown.text("the body's beginning", error.body_prefix().unwrap_or_default().to_owned());
            return shown.error("finish", &error);
        }
    };
    shown.text("the result", format!("{completed:?}"));
    let client = ReqwestClient::new().unwrap();
    let mut request = HttpRequest::get(server.resource_url().parse().unwrap());
    match flow.authenticate(&completed.tokens, &mut request).await {
        Ok(()) => {
            shown.text("the request", format!("{request:?}"));
            match client.send(request, &limits()).await {
                Ok(response) => shown.text("the answer", format!("{response:?}")),
                Err(error) => shown.error("the API", &error),
            }
        }
        Err(error) => shown.error("authenticate", &error),
    }
    match flow.refresh(&completed.tokens).await {
        Ok(tokens) => shown.text("the refresh", format!("{tokens:?}")),
        Err(error) => shown.error("refresh", &error),
    }
    match flow.revoke(&completed.tokens).await {
        Ok(revocation) => shown.text("the revocation", format!("{revocation:?}")),
        Err(error) => shown.error("revoke", &error),
    }
}

fn journeys_to_go() -> impl Iterator<Item = (Personality, Option<Fault>)> {
    let personalities = [Personality::Rfc, Personality::StackExchange, Personality::Contentstack];
    personalities.into_iter().flat_map(|personality| {
        std::iter::once(None).chain(Fault::all().into_iter().map(Some)).map(move |fault| (personality, fault))
    })
}

async fn start(personality: Personality) -> (AuthorizationServer, Flow) {
    let rotation = Rotation::Rotate { grace: None };
    let server = AuthorizationServer::builder().personality(personality).rotation(rotation);
    let server = server.start().await.unwrap();
    let flow = Flow::builder(manager(&server)).http_client(ReqwestClient::new().unwrap()).limits(limits());
    (server, flow.build().unwrap())
}

/// RFC 6750 §5.3. Stack Exchange's API knows no other place for a token than the URL, so that its own calls are left out: all
/// that goes to the other endpoints, of it as of the others, has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2_no_token_is_in_a_request_line_or_a_referer() {
    let (mut lines, mut wanted) = (0, 0);
    for (personality, fault) in journeys_to_go() {
        let (server, flow) = start(personality).await;
        if let Some(fault) = fault {
            server.set_fault(fault);
        }
        // The state may be in a URL, and what is shown is the business of the other test.
        journey(&flow, &server, &LeakDetector::new(), &mut Shown::default()).await;
        let leaks = LeakDetector::new();
        leaks.plant("the client secret", server.post_client().secret().unwrap());
        leaks.plant_all_of(server.ledger());
        for entry in server.ledger().entries() {
            leaks.scan_named("a Referer", entry.header("referer").unwrap_or_default());
            let is_api = matches!(
                entry.endpoint(),
                Endpoint::Resource | Endpoint::Revocation | Endpoint::Introspection
            );
            if personality == Personality::StackExchange && is_api {
                wanted += usize::from(entry.query_value("access_token").is_some());
                continue;
            }
            leaks.scan_named("a request line", format!("{} {:?}", entry.path(), entry.query()));
            lines += 1;
        }
        leaks.assert_clean();
    }
    assert!(lines > 500, "only {lines} request lines were looked at");
    assert!(wanted > 20, "only {wanted} calls of an API that wants its token there");
}

#[test]
fn h1_no_secret_is_in_any_log_error_or_debug_output() {
    let log = LogCapture::new();
    log.install().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let leaks = LeakDetector::new();
        let (mut journeys, mut results) = (0, 0);
        for (personality, fault) in journeys_to_go() {
            let (server, flow) = start(personality).await;
            for client in server.clients() {
                if let Some(secret) = client.secret() {
                    leaks.plant("a client secret", secret);
                }
            }
            if let Some(fault) = fault {
                server.set_fault(fault);
            }
            let mut shown = Shown::default();
            journey(&flow, &server, &leaks, &mut shown).await;
            leaks.plant_all_of(server.ledger());
            shown.scan(&leaks);
            results += shown.0.iter().filter(|(place, _)| *place == "the result").count();
            journeys += 1;
        }
        assert!(journeys > 200, "{journeys}");
        assert!(results > 40, "only {results} journeys showed their tokens' `Debug`");
        log.scan(&leaks);
        assert!(log.text().contains("TRACE"), "nothing was logged: the test proves nothing");
        leaks.assert_clean();
    });
}
