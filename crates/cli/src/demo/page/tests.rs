//! That nothing which is shown is a secret, whatever the servers do.

use std::time::Duration;

use authflow::{AuthorizationResponse, Binding};
use authflow_testkit::{Fault, FaultSpan, LeakDetector, ScriptedUser};

use super::{Lifetimes, Party, Served, accounts, sequence, view};
use crate::args::DemoProvider;
use crate::demo::ALL;
use crate::demo::stage::Stage;

async fn served() -> Served {
    let lifetimes = Lifetimes { token: Duration::from_secs(60), flow: Duration::from_secs(600) };
    Served::prepare(&ALL, None, lifetimes).await.unwrap()
}

impl Served {
    fn stage(&self, provider: DemoProvider) -> &Stage {
        self.demo.story.stage(Party::Testkit(provider)).unwrap()
    }

    /// A flow as the routes run it, but without a browser. Whether it connected.
    async fn connect(&self, provider: DemoProvider) -> bool {
        let id = provider.id();
        let binding = Binding::new_browser()
            .unwrap()
            .and(Binding::user(self.demo.user.tenant.clone(), self.demo.user.id.clone()));
        let begin = self.demo.connections.begin(id, &binding).unwrap();
        let authorization = begin.scopes(self.stage(provider).scopes().iter().copied()).await.unwrap();
        let Ok(back) = ScriptedUser::new().approve(authorization.url()).await else { return false };
        let Ok(response) = AuthorizationResponse::from_url(&back) else { return false };
        self.demo.connections.complete(id, &response, &binding).await.is_ok()
    }

    /// Everything that a browser can be shown.
    async fn shown(&self) -> String {
        self.demo.story.catch_up();
        let news = self.demo.story.feed.since(0);
        let cards = accounts::read(&self.demo).await.unwrap();
        let page = view::page(&self.demo, &cards, &news).into_string();
        let messages = sequence::messages(&self.demo, &news.messages).into_string();
        format!("{page}\n{messages}")
    }

    /// What the servers gave out, and what they were sent that only a secret can be.
    fn secrets(&self) -> LeakDetector {
        const SECRET: [&str; 9] = [
            "access_token",
            "client_secret",
            "code",
            "code_verifier",
            "key",
            "refresh_token",
            "state",
            "ticket",
            "token",
        ];
        let leaks = LeakDetector::new();
        for stage in &self.demo.story.stages {
            for entry in stage.server.ledger().entries() {
                for issued in entry.issued() {
                    leaks.plant("issued", issued.value());
                }
                let named = entry.query().iter().chain(entry.form());
                for (name, value) in
                    named.filter(|(name, value)| SECRET.contains(&&**name) && value.len() > 8)
                {
                    leaks.plant(name, value.as_bytes());
                }
                if let Some(credentials) = entry.header("authorization") {
                    leaks.plant("authorization", credentials.trim_start_matches("Bearer "));
                }
            }
        }
        leaks
    }
}

#[tokio::test]
async fn h1_no_secret_is_shown() {
    let served = served().await;
    for provider in ALL {
        assert!(served.connect(provider).await, "{provider:?}");
        served.demo.call(Party::Testkit(provider)).await;
        served.demo.refresh(Party::Testkit(provider)).await;
        let connection = served.demo.connection(provider.id()).await.unwrap().unwrap();
        served.demo.connections.disconnect(&connection.key).await.unwrap();
    }
    let shown = served.shown().await;
    assert!(shown.contains("code_verifier") && shown.contains("refresh_token") && shown.contains("****"));
    let leaks = served.secrets();
    leaks.scan(&shown);
    leaks.scan(format!("{:?}", served.demo));
    leaks.assert_clean();
}

/// Faults that take seconds are left out: what they say is what the others say.
fn quick() -> impl Iterator<Item = Fault> {
    const SLOW: [&str; 6] =
        ["decompression-bomb", "oversized-body", "slow-body", "slow-headers", "stall-body", "stall-headers"];
    Fault::all().into_iter().filter(|fault| !SLOW.contains(&fault.name()))
}

#[tokio::test]
async fn h1_no_fault_makes_a_secret_show() {
    for provider in ALL {
        let served = served().await;
        for fault in quick() {
            served.demo.story.misbehave(served.stage(provider), &fault, FaultSpan::Every);
            if served.connect(provider).await {
                served.demo.call(Party::Testkit(provider)).await;
                served.demo.refresh(Party::Testkit(provider)).await;
            }
            served.demo.story.behave();
        }
        let leaks = served.secrets();
        let shown = served.shown().await;
        leaks.scan(&shown);
        leaks.assert_clean();
        let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(hostile));
        assert!(!shown.contains("<img") && !shown.contains("<script>"));
    }
}

#[tokio::test]
async fn what_is_told_has_the_order_in_which_it_happened() {
    let served = served().await;
    assert!(served.connect(DemoProvider::Rfc).await);
    let shown = served.shown().await;
    let order = [
        "GET /authorize",
        "200 consent page",
        "POST /consent",
        "303 back to the application",
        "POST /token",
        "the code became tokens",
        "200 OK",
    ]
    .map(|text| shown.find(text).unwrap_or_else(|| panic!("{text}")));
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test]
async fn a_fault_for_one_request_is_used_up_by_it() {
    let served = served().await;
    let story = &served.demo.story;
    let stage = served.stage(DemoProvider::Rfc);
    for name in ["wrong-state", "deny-by-server", "invalid-grant"] {
        story.misbehave(stage, &name.parse().unwrap(), FaultSpan::Next);
        assert_eq!(story.faults().count(), 1, "{name}");
        assert!(!served.connect(DemoProvider::Rfc).await, "{name}");
        assert_eq!(story.faults().count(), 0, "{name}");
    }
    for name in ["server-error", "bad-gateway"] {
        story.misbehave(stage, &name.parse().unwrap(), FaultSpan::Every);
    }
    let active: Vec<_> = story.faults().map(|(_, set)| set.fault.name()).collect();
    assert_eq!(active, ["bad-gateway"], "the server knows one for each endpoint");
}
