//! The keys that seal what is kept.

use authflow_testkit::Endpoint;

use crate::server;
use crate::support::{Store, arguments, home, kept, provider};

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
    const OLD: &str = "old:y6BrVzb69n5UsHtWHq6UOV53TFF6fZEKVDaeEmPM+9Q=";
    const NEW: &str = "new:EVB6Di9eadXfpApiob17buV+a82FxnybhDGzb/8hxDc=";
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
