//! The keys that seal what is kept.

use authflow_testkit::{Endpoint, Outcome};

use crate::server;
use crate::support::{
    Gate, PATIENCE, Running, Store, arguments, home, kept, kept_as, kept_expired_behind, kept_with, login,
    provider,
};

#[tokio::test]
async fn f15_lost_keys_are_told_and_nothing_is_deleted() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let (keys, aside) = (home().join("keys"), home().join("aside"));
    std::fs::rename(&keys, &aside).unwrap();
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser", "--name", "new"]);
    for command in [&["token", "work"][..], &["logout", "work"], &["logout", "--all"], &login] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(1), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains("keys are missing"), "{}", ended.stderr);
        assert!(!keys.exists(), "no key is made beside what another one sealed");
    }
    let status = store.run(&["status", "--json"]).await;
    assert_eq!(status.code, Some(1), "{status:?}");
    assert_eq!(status.json()["connections"][0]["health"], "unreadable");

    // A key that is another one.
    let other = store.clone().with("AUTHFLOW_KEYS", "k9:GVgeJ9587QD/HOULIEfnpWfHaxy666vl7wP3wwF7tbc=");
    let ended = other.run(&["token", "work"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("kind: KeyUnknown"), "{}", ended.stderr);

    std::fs::rename(&aside, &keys).unwrap();
    store.good(&["token", "work"]).await;
    assert_eq!(server.ledger().count(Endpoint::Revocation), 0);

    std::fs::remove_file(&keys).unwrap();
    store.good(&["logout", "--all", "--forget"]).await;
    kept(&server, &store).await;
    store.good(&["token", "work"]).await;
}

#[tokio::test]
async fn f15_what_forgets_where_the_keys_are_lost_names_the_store() {
    let server = server().await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", dir.path().join("kept.db").display());
    let store = Store::files();
    kept_with(&server, &store, &["--name", "work", "--store", &url]).await;
    std::fs::remove_file(home().join("keys")).unwrap();
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser", "--store", &url]);
    for command in [&["token", "work", "--store", &url][..], &login] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let advice = format!("`authflow logout --all --forget --store {url}`");
        assert!(ended.stderr.contains(&advice), "{ended:?}");
    }
    store.good(&["logout", "--all", "--forget", "--store", &url]).await;
    kept_with(&server, &store, &["--name", "work", "--store", &url]).await;
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn f15_a_key_in_a_keyring_that_is_not_there_is_told_and_none_is_made_beside_it() {
    let (server, store) = (server().await, Store::files());
    let first = kept(&server, &store).await;
    assert!(first.stderr.contains("No keyring is at hand"), "{}", first.stderr);
    let second = kept(&server, &store).await;
    assert!(!second.stderr.contains("sealing key"), "{}", second.stderr);
    std::fs::write(home().join("keyring"), "").unwrap();
    std::fs::remove_file(home().join("keys")).unwrap();
    for command in [&["token", "work"][..], &["login", "--name", "work"], &["status"]] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("in the keyring"), "{}", ended.stderr);
    }
    assert!(!home().join("keys").exists());
}

#[tokio::test]
async fn f15_keys_in_the_environment_rotate() {
    let server = server().await;
    let store = Store::files();
    kept(&server, &store.clone().with("AUTHFLOW_KEYS", OLD)).await;
    assert!(!home().join("keys").exists());
    store.clone().with("AUTHFLOW_KEYS", &format!("{NEW},{OLD}")).good(&["token", "work"]).await;
    let broken = store.with("AUTHFLOW_KEYS", "secret-that-is-no-key").run(&["token", "work"]).await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(
        broken.stderr.contains("AUTHFLOW_KEYS") && !broken.stderr.contains("secret-that"),
        "{}",
        broken.stderr
    );
}

const OLD: &str = "old:y6BrVzb69n5UsHtWHq6UOV53TFF6fZEKVDaeEmPM+9Q=";
const NEW: &str = "new:EVB6Di9eadXfpApiob17buV+a82FxnybhDGzb/8hxDc=";

fn with_keys(store: &Store, keys: &[&str]) -> Store {
    store.clone().with("AUTHFLOW_KEYS", &keys.join(","))
}

#[tokio::test]
async fn f15_after_a_sweep_with_both_keys_the_new_one_alone_opens_everything() {
    let server = server().await;
    let files = Store::files();
    let (old, both, new) =
        (with_keys(&files, &[OLD]), with_keys(&files, &[NEW, OLD]), with_keys(&files, &[NEW]));
    let secret = server.post_client().secret().unwrap().to_owned();
    let provider = provider(&server, server.post_client());
    let more = ["--no-browser", "--client-secret-env", "A_SECRET", "--client-auth", "post", "--name", "work"];
    let first = login(&old.clone().with("A_SECRET", &secret), &arguments("login", &provider, &more)).await;
    assert_eq!(first.code, Some(0), "{first:?}");
    kept_as(&server, &old, "play").await;
    assert!(!old.good(&["sweep"]).await.stdout.contains("sealed"), "one key has no others to be removed");

    let swept = both.good(&["sweep"]).await;
    assert!(swept.stdout.contains("2 kept, 0 due"), "{swept:?}");
    assert!(swept.stdout.contains("all is sealed with the key new"), "{swept:?}");
    assert_eq!(server.ledger().count(Endpoint::Token), 2, "nobody was asked");

    for name in ["work", "play"] {
        new.good(&["token", name]).await;
        new.good(&["request", name, "GET", &server.resource_url()]).await;
    }
    new.good(&["status"]).await;
    let swept = new.good(&["sweep"]).await;
    assert!(!swept.stdout.contains("sealed"), "{swept:?}");
    assert_eq!(login(&new, &["login", "--name", "work", "--no-browser"]).await.code, Some(0));
    new.good(&["logout", "--all"]).await;
}

#[tokio::test]
async fn f15_whatever_reads_the_options_of_a_provider_seals_them_anew() {
    let server = server().await;
    let files = Store::files();
    kept(&server, &with_keys(&files, &[OLD])).await;
    with_keys(&files, &[NEW, OLD]).good(&["token", "work"]).await;
    let new = with_keys(&files, &[NEW]);
    // The connection was not written, and has its old key; the options have not.
    let token = new.run(&["token", "work"]).await;
    assert!(token.code == Some(1) && token.stderr.contains("kind: KeyUnknown"), "{token:?}");
    assert_eq!(login(&new, &["login", "--name", "work", "--no-browser"]).await.code, Some(0));
    new.good(&["token", "work"]).await;
}

#[tokio::test]
async fn f15_what_a_sweep_leaves_to_the_old_key_is_counted() {
    let (server, files) = (server().await, Store::files());
    let gate = Gate::before(&server).await;
    let (old, both) = (with_keys(&files, &[OLD]), with_keys(&files, &[NEW, OLD]));
    kept_expired_behind(&gate, &server, &old).await;
    gate.shut();
    // A refresh that nobody ends, so that what it writes with is not to be changed under it.
    let running = Running::of(old.command(&["token", "work"]));
    let seen = server.ledger().wait_for(|entry| entry.outcome() == &Outcome::RefreshUsed);
    tokio::time::timeout(PATIENCE, seen).await.expect("it is sent");
    let swept = both.run(&["sweep"]).await;
    assert_eq!(swept.code, Some(1), "{swept:?}");
    assert!(swept.stdout.contains("not sealed with the key new yet: 1."), "{swept:?}");
    gate.open();
    let ended = running.end().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let swept = both.good(&["sweep"]).await;
    assert!(swept.stdout.contains("all is sealed with the key new"), "{swept:?}");
}

#[tokio::test]
async fn f15_a_login_again_without_the_old_key_says_that_the_options_are_to_be_given() {
    let (server, files) = (server().await, Store::files());
    kept(&server, &with_keys(&files, &[OLD])).await;
    let new = with_keys(&files, &[NEW]);
    for command in [&["login", "--name", "work"][..], &["token", "work"]] {
        let ended = new.run(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for part in
            ["kind: KeyUnknown", "AUTHFLOW_KEYS", "authflow login PROVIDER --client-id ID ... --name work"]
        {
            assert!(ended.stderr.contains(part), "{part}: {ended:?}");
        }
    }
    // That very command does it.
    let ended = kept(&server, &new).await;
    assert!(ended.stderr.contains("this login will replace it"), "{ended:?}");
    assert!(!ended.stderr.contains("what to do"), "{ended:?}");
    new.good(&["token", "work"]).await;
}
