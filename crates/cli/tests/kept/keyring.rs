//! The sealing key in the keyring of the system: a GNOME Keyring on a bus of its own.

use std::os::unix::fs::DirBuilderExt as _;

use authflow_test_servers::Session;
use authflow_testkit::Endpoint;

use crate::support::{Store, arguments, home, kept, kept_as, login, provider};
use crate::{each_file, server};

/// The same store, as a program in this session has it.
fn within(session: &Session, store: &Store) -> Store {
    store.clone().with("DBUS_SESSION_BUS_ADDRESS", session.address())
}

fn unlocked() -> Session {
    let mut session = Session::start();
    session.unlock();
    session
}

#[tokio::test]
async fn f15_where_there_is_a_keyring_the_key_is_in_it_and_nowhere_else() {
    let (server, elsewhere) = (server().await, Store::files());
    let mut session = unlocked();
    let store = within(&session, &elsewhere);
    let first = kept(&server, &store).await;
    assert!(first.stderr.contains("it is in the keyring of this system"), "{}", first.stderr);
    assert!(!home().join("keys").exists());
    let marker = std::fs::read_to_string(home().join("keyring")).unwrap();
    assert!(marker.starts_with("The sealing key is in the keyring"), "{marker}");
    each_file(&home(), &mut |_| ());
    store.good(&["token", "work"]).await;
    let second = kept_as(&server, &store, "second").await;
    assert!(!second.stderr.contains("sealing key"), "no other key is made: {}", second.stderr);

    // Another home has another key: neither opens what the other one sealed.
    let other_home = home().with_file_name("other");
    let other = store.clone().with("AUTHFLOW_HOME", other_home.to_str().unwrap());
    kept(&server, &other).await;
    std::fs::remove_dir_all(home().join("connections")).unwrap();
    std::fs::rename(other_home.join("connections"), home().join("connections")).unwrap();
    let moved = store.run(&["token", "work"]).await;
    assert!(moved.code == Some(1) && moved.stderr.contains("kind: KeyUnknown"), "{moved:?}");
    std::fs::rename(home().join("connections"), other_home.join("connections")).unwrap();
    other.good(&["token", "work"]).await;

    // A session without the keyring, such as one over SSH, and one whose keyring has gone.
    let here = elsewhere.with("AUTHFLOW_HOME", other_home.to_str().unwrap());
    session.lock();
    let provider = provider(&server, server.public_client());
    let again = arguments("login", &provider, &["--no-browser", "--name", "new"]);
    for store in [&here, &other] {
        for command in [&["token", "work"][..], &["logout", "work"], &again] {
            let ended = store.run(command).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.stderr.contains("the sealing key is in the keyring"), "{}", ended.stderr);
            assert!(ended.stderr.contains("AUTHFLOW_KEYS"), "{}", ended.stderr);
        }
    }
    assert!(!other_home.join("keys").exists(), "none is made beside it");
    assert_eq!(server.ledger().count(Endpoint::Revocation), 0);

    session.unlock();
    other.good(&["token", "work"]).await;
    assert_eq!(login(&other, &["login", "--name", "work", "--no-browser"]).await.code, Some(0));
    other.good(&["logout", "--all"]).await;
}

#[tokio::test]
async fn x23_two_first_logins_at_once_share_the_key_of_the_keyring() {
    let server = server().await;
    let session = unlocked();
    let store = within(&session, &Store::files());
    let names = ["one", "two"];
    tokio::join!(kept_as(&server, &store, names[0]), kept_as(&server, &store, names[1]));
    for name in names {
        store.good(&["token", name]).await;
    }
    assert!(!home().join("keys").exists());
}

/// Where there is a keyring, a key in a file would be less than what its user chose.
#[tokio::test]
async fn f15_where_the_keyring_fails_no_key_is_made_anywhere() {
    let server = server().await;
    let session = unlocked();
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700).create(home()).unwrap();
    // The lock under which a key is made cannot be taken.
    std::os::unix::fs::symlink("elsewhere", home().join("keyring.lock")).unwrap();
    let provider = provider(&server, server.public_client());
    let ended =
        within(&session, &Store::files()).run(&arguments("login", &provider, &["--no-browser"])).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("no sealing key could be made in the keyring"), "{}", ended.stderr);
    for file in ["keys", "keyring", "elsewhere"] {
        assert!(!home().join(file).exists(), "{file}");
    }
}
