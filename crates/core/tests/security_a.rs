//! facts/security.md §4.A: state, transaction, binding.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    Binding, ErrorKind, MemoryStateStore, PendingFlow, Recovery, Secret, StateContext, StateKey, StateStore,
    StoreError, StoreErrorKind, async_trait,
};
use common::{REDIRECT_URI, Rig, credentials, provider, query_value, user};

#[tokio::test]
async fn a1_state_is_bound_to_the_browser() {
    let rig = Rig::new();
    let victim = Binding::new_browser().unwrap();
    let query = rig.begin(&victim).await;

    for other in [Binding::new_browser().unwrap(), user(), Binding::process(), victim.clone().and(user())] {
        let error = rig.finish(&query, &other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateNotFound);
    }
    assert_eq!(rig.http.count(), 0, "no token request");

    rig.tokens();
    rig.finish(&query, &victim).await.expect("the flow of the right browser is still there");
}

#[tokio::test]
async fn a1_an_empty_or_weak_binding_is_refused() {
    let rig = Rig::new();
    for weak in
        [Binding::browser(Secret::new("")), Binding::browser(Secret::new("short")), Binding::user("t", "")]
    {
        let error = rig.flow.begin(&weak).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert_eq!(rig.finish("code=c&state=s", &weak).await.unwrap_err().kind(), ErrorKind::Usage);
    }
    assert!(rig.store.is_empty());
}

#[tokio::test]
async fn a2_the_browsers_secret_is_new_for_each_flow_and_has_256_bits() {
    let rig = Rig::new();
    let first = rig.flow.begin_in_browser().await.unwrap();
    let second = rig.flow.begin_in_browser().await.unwrap();
    let (first, second) = (first.browser_secret().unwrap(), second.browser_secret().unwrap());
    assert_eq!(first.len(), 43);
    assert!(!first.ct_eq(second.expose()));
}

#[tokio::test]
async fn a3_state_is_used_once() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
    assert_eq!(rig.http.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_of_fifty_callbacks_at_once_one_exchanges() {
    let rig = Arc::new(Rig::new());
    let query = rig.begin(&user()).await;
    rig.tokens();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (rig, query) = (Arc::clone(&rig), query.clone());
            tokio::spawn(
                async move { rig.finish(&query, &user()).await.map(drop).map_err(|error| error.kind()) },
            )
        })
        .collect();
    let mut finished = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => finished += 1,
            Err(kind) => assert_eq!(kind, ErrorKind::StateNotFound),
        }
    }
    assert_eq!(finished, 1);
    assert_eq!(rig.http.count(), 1);
}

/// Unknown, missing, used, expired, foreign: who asks learns not which.
#[tokio::test]
async fn h4_what_is_wrong_with_a_state_is_told_by_one_message() {
    let rig = Rig::new();
    let used = rig.begin(&user()).await;
    rig.tokens();
    rig.finish(&used, &user()).await.unwrap();
    let foreign = rig.begin(&Binding::new_browser().unwrap()).await;
    let mut told = Vec::new();
    for query in ["code=c&state=unknown", "code=c", "code=c&state=", &used, &foreign] {
        told.push(rig.finish(query, &user()).await.unwrap_err());
    }
    let expired = rig.begin(&user()).await;
    rig.clock.advance(Duration::from_secs(600));
    told.push(rig.finish(&expired, &user()).await.unwrap_err());
    let shown = |error: &authflow_core::Error| (error.to_string(), format!("{error:?}"), error.recovery());
    for error in &told {
        assert_eq!(error.kind(), ErrorKind::StateNotFound);
        assert_eq!(shown(error), shown(&told[0]));
    }
    assert_eq!(rig.http.count(), 1, "the code of the flow that was right");
}

#[tokio::test]
async fn a4_state_expires() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    rig.clock.advance(Duration::from_secs(600));
    assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    assert_eq!(rig.http.count(), 0);
}

/// A store that ignores times, and the provider a flow belongs to.
#[derive(Debug, Default)]
struct Careless(std::sync::Mutex<Option<PendingFlow>>);

#[async_trait]
impl StateStore for Careless {
    async fn store_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
        flow: PendingFlow,
        _: Duration,
    ) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = Some(flow);
        Ok(())
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        Ok(self.0.lock().unwrap().take())
    }
}

fn careless(id: &str, store: &Arc<Careless>) -> Rig {
    let unused = Arc::new(MemoryStateStore::default());
    Rig::with_store(provider(id).build().unwrap(), credentials(), Arc::clone(store), unused)
}

#[tokio::test]
async fn a4_the_engine_checks_the_time_itself() {
    let store = Arc::new(Careless::default());
    let rig = careless("p", &store);
    for change in [Duration::from_secs(600), Duration::from_secs(86_400)] {
        let query = rig.begin(&user()).await;
        rig.clock.advance(change);
        assert_eq!(rig.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    }
    let query = rig.begin(&user()).await;
    rig.clock.step_back(Duration::from_secs(3600));
    let error = rig.finish(&query, &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound, "a clock that went back keeps no state alive");
    assert_eq!(rig.http.count(), 0);
}

#[tokio::test]
async fn a4_just_before_its_end_a_state_is_good() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    rig.clock.advance(Duration::from_secs(599));
    rig.tokens();
    rig.finish(&query, &user()).await.unwrap();
}

#[tokio::test]
async fn a5_state_is_of_one_user() {
    let rig = Rig::new();
    let query = rig.begin(&user()).await;
    let error = rig.finish(&query, &Binding::user("tenant", "user-43")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
    rig.tokens();
    let completed = rig.finish(&query, &user()).await.unwrap();
    assert_eq!(&*completed.owner.unwrap().id, "user-42");
}

#[tokio::test]
async fn a5_the_engine_checks_the_owner_itself() {
    let store = Arc::new(Careless::default());
    let rig = careless("p", &store);
    let query = rig.begin(&user()).await;
    let error = rig.finish(&query, &Binding::user("tenant", "user-43")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
}

#[tokio::test]
async fn a6_state_is_of_one_provider() {
    let store = Arc::new(MemoryStateStore::default());
    let rig = |id: &str| {
        Rig::with_store(provider(id).build().unwrap(), credentials(), Arc::clone(&store), Arc::clone(&store))
    };
    let (one, two) = (rig("one"), rig("two"));
    let query = one.begin(&user()).await;
    assert_eq!(two.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    assert_eq!(two.http.count(), 0);
    one.tokens();
    one.finish(&query, &user()).await.unwrap();
}

#[tokio::test]
async fn a6_the_engine_checks_the_provider_itself() {
    let store = Arc::new(Careless::default());
    let (one, two) = (careless("one", &store), careless("two", &store));
    let query = one.begin(&user()).await;
    assert_eq!(two.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::StateNotFound);
    assert_eq!(two.http.count(), 0);
}

#[tokio::test]
async fn a7_state_is_of_one_tenant() {
    let rig = Rig::new();
    let query = rig.begin(&Binding::user("one", "user-42")).await;
    let error = rig.finish(&query, &Binding::user("two", "user-42")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StateNotFound);
}

#[test]
fn a7_no_two_bindings_look_alike() {
    let key =
        |provider: &str, state: &str, binding: Binding| StateKey::new(provider, state, &binding).unwrap();
    let keys = [
        key("p", "s", Binding::user("a", "bc")),
        key("p", "s", Binding::user("ab", "c")),
        key("p", "s", Binding::user("", "abc")),
        key("p", "s", Binding::user("abc", "")),
        key("ps", "", Binding::user("a", "bc")),
        key("p", "s", Binding::browser(Secret::new("abc"))),
        key("p", "s", Binding::process()),
        key("p", "s", Binding::process().and(Binding::user("a", "bc"))),
    ];
    for (at, key) in keys.iter().enumerate() {
        assert!(!keys[..at].contains(key), "{at}");
    }
    assert_eq!(key("p", "s", Binding::process()), key("p", "s", Binding::process()));
}

#[tokio::test]
async fn a8_flows_of_one_browser_are_independent() {
    let rig = Rig::new();
    let browser = Binding::new_browser().unwrap();
    let mut queries = Vec::new();
    for _ in 0..5 {
        queries.push(rig.begin(&browser).await);
    }
    for query in queries.iter().rev() {
        rig.tokens();
        rig.finish(query, &browser).await.unwrap();
    }
    assert_eq!(rig.http.count(), 5);
}

#[tokio::test]
async fn a10_states_and_verifiers_have_256_bits_and_never_come_again() {
    let rig = Rig::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..500 {
        let prepared = rig.flow.prepare().await.unwrap();
        let verifier = prepared.pending.code_verifier.unwrap();
        for value in [prepared.state.as_str(), verifier.expose()] {
            assert_eq!(value.len(), 43);
            assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert!(seen.insert(value.to_owned()));
        }
        assert_eq!(query_value(&prepared.url, "state").as_deref(), Some(prepared.state.as_str()));
    }
    // Every position takes many values: none of the 43 characters is fixed.
    for position in 0..42 {
        let values: std::collections::HashSet<_> =
            seen.iter().map(|value| value.as_bytes()[position]).collect();
        assert!(values.len() > 40, "position {position} takes {} values", values.len());
    }
}

#[tokio::test]
async fn a12_ten_thousand_begins_of_one_user_keep_memory_flat() {
    let rig = Rig::new();
    let other = rig.begin(&Binding::user("tenant", "quiet")).await;
    for _ in 0..10_000 {
        rig.flow.begin(&user()).await.unwrap();
    }
    assert!(rig.store.len() <= 257, "{}", rig.store.len());
    rig.tokens();
    rig.finish(&other, &Binding::user("tenant", "quiet")).await.expect("another's flow is untouched");
}

#[tokio::test]
async fn a13_what_is_stored_under_one_key_is_not_found_under_another_kind() {
    // A state that looks like another part of the key changes the key.
    let one = StateKey::new("p", "s", &Binding::user("", "x")).unwrap();
    let two = StateKey::new("p", "su", &Binding::user("", "")).unwrap();
    assert_ne!(one, two);
}

/// Fails as it is told to.
#[derive(Debug)]
struct Failing(StoreErrorKind);

#[async_trait]
impl StateStore for Failing {
    async fn store_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
        _: PendingFlow,
        _: Duration,
    ) -> Result<(), StoreError> {
        Err(StoreError::new(self.0))
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        Err(StoreError::new(self.0))
    }
}

#[tokio::test]
async fn x26_no_code_is_sent_while_the_store_is_down() {
    let unused = Arc::new(MemoryStateStore::default());
    let store = Failing(StoreErrorKind::Unavailable);
    let rig = Rig::with_store(provider("p").build().unwrap(), credentials(), store, unused);
    let error = rig.flow.begin(&user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(error.recovery(), Recovery::Retry { after: None });
    let error = rig.finish("code=c&state=s", &user()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(rig.http.count(), 0);
}

/// Two conflicts, then room.
#[derive(Debug, Default)]
struct Crowded(std::sync::Mutex<Vec<StateKey>>);

#[async_trait]
impl StateStore for Crowded {
    async fn store_state(
        &self,
        _: &StateContext<'_>,
        key: &StateKey,
        _: PendingFlow,
        _: Duration,
    ) -> Result<(), StoreError> {
        let mut keys = self.0.lock().unwrap();
        keys.push(*key);
        if keys.len() < 3 { Err(StoreError::new(StoreErrorKind::Conflict)) } else { Ok(()) }
    }

    async fn check_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_conflict_draws_another_state() {
    let unused = Arc::new(MemoryStateStore::default());
    let store = Arc::new(Crowded::default());
    let rig = Rig::with_store(provider("p").build().unwrap(), credentials(), Arc::clone(&store), unused);
    rig.flow.begin(&user()).await.unwrap();
    let keys = store.0.lock().unwrap();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

#[tokio::test]
async fn b16_the_redirect_uri_is_one_of_the_registered_ones() {
    let rig = Rig::new();
    let error = rig.flow.begin(&user()).redirect_uri("https://evil.example/").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = rig.flow.begin(&user()).redirect_uri(format!("{REDIRECT_URI}/")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "compared byte by byte");
    assert!(rig.store.is_empty());
}

#[tokio::test]
async fn b16_a_redirect_uri_that_is_no_longer_registered_is_refused_at_the_end() {
    let store = Arc::new(MemoryStateStore::default());
    let rig = |uri: &str| {
        let credentials = authflow_core::ClientCredentials::confidential("client-1", "s").redirect_uri(uri);
        Rig::with_store(provider("p").build().unwrap(), credentials, Arc::clone(&store), Arc::clone(&store))
    };
    let query = rig("https://app.example/old").begin(&user()).await;
    let new = rig("https://app.example/new");
    assert_eq!(new.finish(&query, &user()).await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(new.http.count(), 0);
}
