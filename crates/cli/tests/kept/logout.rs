//! `authflow logout`.

use authflow::{ConnectionKey, User};
use authflow_testkit::{Endpoint, Fault, Outcome, RetryAfter, Sent};

use crate::server;
use crate::support::{Gate, PATIENCE, Running, Store, arguments, home, kept, kept_as, login, provider};

#[tokio::test]
async fn logout_revokes_and_forgets() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let ended = store.good(&["logout", "work"]).await;
    for step in ["work: removed from the store", "work: revoked at the provider", "work: forgotten"] {
        assert!(ended.stdout.contains(step), "{}", ended.stdout);
    }
    assert_eq!(server.ledger().of(Endpoint::Revocation).pop().unwrap().outcome(), &Outcome::Revoked);
    assert_eq!(store.run(&["token", "work"]).await.code, Some(2));
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    // The name is free again.
    kept(&server, &store).await;
    store.good(&["token", "work"]).await;
}

#[tokio::test]
async fn without_a_revocation_a_logout_forgets_and_says_what_stays() {
    let (server, store) = (server().await, Store::files());
    let mut provider = provider(&server, server.public_client());
    let at = provider.iter().position(|option| option == "--revocation-endpoint").unwrap();
    provider.drain(at..at + 2);
    let named = arguments("login", &provider, &["--no-browser", "--name", "work"]);
    assert_eq!(login(&store, &named).await.code, Some(0));
    let ended = store.good(&["logout", "work"]).await;
    assert!(ended.stdout.contains("work: not revoked: no revocation is known"), "{ended:?}");
    // Whoever goes by the exit code has to know.
    let help = store.good(&["logout", "--help"]).await.stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        help.contains("Exit codes: 0") && help.contains("also where the provider has no revocation"),
        "{help}"
    );
}

#[tokio::test]
async fn logout_all_ends_all_and_forgets_also_where_the_provider_fails() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    kept_as(&server, &store, "other").await;
    server.fault_next(Endpoint::Revocation, Fault::ResetAfterCommit(Sent::Nothing));
    server.fault_all(Endpoint::Revocation, Fault::ServerError(RetryAfter::Absent));
    let ended = store.run(&["logout", "--all"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("other: not revoked at the provider"), "{}", ended.stdout);
    assert!(ended.stdout.contains("work: forgotten"), "{}", ended.stdout);
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    assert_eq!(store.run(&["logout"]).await.code, Some(2), "which one is not said");
}

#[tokio::test]
async fn g15_what_a_login_keeps_while_a_logout_asks_the_provider_is_left() {
    let (server, store) = (server().await, Store::files());
    let gate = Gate::before(&server).await;
    let mut provider = provider(&server, server.public_client());
    let endpoint = provider.iter_mut().find(|value| **value == server.revocation_endpoint());
    *endpoint.unwrap() = gate.revocation_endpoint(&server);
    let named = arguments("login", &provider, &["--no-browser", "--name", "work"]);
    assert_eq!(login(&store, &named).await.code, Some(0));
    gate.shut();
    let running = Running::of(store.command(&["logout", "work"]));
    let asked = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::Revoked);
    tokio::time::timeout(PATIENCE, asked).await.expect("it is revoked");
    assert_eq!(login(&store, &named).await.code, Some(0));
    gate.open();
    let ended = running.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("work: revoked at the provider"), "{ended:?}");
    assert!(ended.stdout.contains("work: not forgotten: it was written anew"), "{ended:?}");
    let token = store.good(&["token", "work"]).await;
    let newest = server.ledger().token_requests().pop().unwrap();
    assert_eq!(token.stdout.trim_end(), newest.access_token().unwrap());
    let again = store.good(&["logout", "work"]).await;
    assert!(again.stdout.contains("work: forgotten"), "{again:?}");
}

/// Cuts off the one file of the folder that a record is in.
fn cut_off(key: &ConnectionKey) {
    let folder = home().join("connections").join(format!("{:02x}", key.shard().number()));
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<_> = entries.filter(|path| path.is_file() && !path.ends_with("lock")).collect();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    std::fs::write(record, "cut off").unwrap();
}

#[tokio::test]
async fn f14_what_is_damaged_is_no_silent_success_and_can_be_forgotten() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let profiles = User::new("authflow-cli profiles", "");
    cut_off(&ConnectionKey::new(&profiles, "profile").with_account("work"));
    kept_as(&server, &store, "other").await;
    let all = store.run(&["logout", "--all"]).await;
    assert_eq!(all.code, Some(1), "{all:?}");
    assert!(all.stdout.contains("other: forgotten"), "{}", all.stdout);
    assert!(all.stderr.contains("cannot be read"), "{}", all.stderr);
    let swept = store.run(&["sweep"]).await;
    assert!(swept.code == Some(1) && swept.stderr.contains("cannot be read"), "{swept:?}");

    let asked = store.run(&["logout", "work"]).await;
    assert_eq!(asked.code, Some(1), "{asked:?}");
    assert!(asked.stderr.contains("authflow logout work --forget"), "{}", asked.stderr);
    let forgotten = store.good(&["logout", "work", "--forget"]).await;
    assert!(forgotten.stdout.contains("work: forgotten"), "{}", forgotten.stdout);
    assert_eq!(store.good(&["status", "--json"]).await.json(), serde_json::json!({ "connections": [] }));
    store.good(&["logout", "--all"]).await;
}

#[tokio::test]
async fn f14_a_connection_that_is_damaged_can_be_forgotten() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    cut_off(&ConnectionKey::new(&User::new("authflow-cli", "work"), "work"));
    let ended = store.run(&["token", "work"]).await;
    assert!(ended.code == Some(1) && ended.stderr.contains("kind: StoreCorrupt"), "{ended:?}");
    assert!(ended.stderr.contains("restore it from a copy, or run `authflow login` again"), "{ended:?}");
    let status = store.run(&["status", "--json"]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    assert_eq!(status.json()["connections"][0]["health"], "unreadable");
    let forgotten = store.good(&["logout", "work", "--forget"]).await;
    assert!(forgotten.stdout.contains("the provider was not asked"), "{}", forgotten.stdout);
    // It is not in the way of the next one.
    kept(&server, &store).await;
    store.good(&["token", "work"]).await;
}
