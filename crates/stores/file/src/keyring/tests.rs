//! A keyring that is a double, and one that is not there.

use std::sync::Mutex;

use authflow_core::{Keys, SealContext};
use keyring_core::{Error as CoreError, mock};

use super::*;

fn memory() -> Arc<mock::Store> {
    mock::Store::new().unwrap()
}

fn keys(store: &Arc<mock::Store>) -> KeyringKeys {
    let store = Arc::clone(store);
    KeyringKeys::opened_by("test", move || Ok(Arc::clone(&store) as Arc<CredentialStore>))
}

fn entry(store: &Arc<mock::Store>) -> Entry {
    use keyring_core::api::CredentialStoreApi as _;
    store.build(SERVICE, "test", None).unwrap()
}

fn fails_next(store: &Arc<mock::Store>, error: CoreError) {
    entry(store).as_any().downcast_ref::<mock::Cred>().unwrap().set_error(error);
}

fn directory() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir().unwrap()
}

#[test]
fn a_key_is_made_once_and_found_again() {
    let (store, directory) = (memory(), directory());
    assert!(matches!(keys(&store).read(), Err(KeyringError::NoEntry)));
    let made = keys(&store).read_or_create(directory.path()).unwrap();
    let found = keys(&store).read_or_create(directory.path()).unwrap();
    assert!(made.to_text().ct_eq(found.to_text().expose()));
    assert!(keys(&store).read().unwrap().to_text().ct_eq(made.to_text().expose()));
    assert_eq!(entry(&store).get_secret().unwrap(), made.to_text().expose().as_bytes());
}

#[test]
fn x23_all_who_make_a_key_at_once_get_the_same() {
    let (store, directory) = (memory(), directory());
    let begin = std::sync::Barrier::new(16);
    let texts = Mutex::new(std::collections::BTreeSet::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                begin.wait();
                let ring = keys(&store).read_or_create(directory.path()).unwrap();
                texts.lock().unwrap().insert(ring.to_text().expose().to_owned());
            });
        }
    });
    assert_eq!(texts.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn it_is_a_source_of_keys() {
    let (store, directory) = (memory(), directory());
    let source = keys(&store);
    let error = Keys::new(source.clone()).seal(&SealContext::new("test"), b"text").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    // It blocks, and does no harm to the runtime that it is called in.
    source.read_or_create(directory.path()).unwrap();
    let keys = Keys::new(source);
    let sealed = keys.seal(&SealContext::new("test"), b"text").await.unwrap();
    assert_eq!(keys.open(&SealContext::new("test"), &sealed).await.unwrap().bytes().expose(), b"text");
}

#[test]
fn x21_a_keyring_that_refuses_may_be_asked_again_and_no_key_is_made() {
    let (store, directory) = (memory(), directory());
    for refused in [CoreError::NoStorageAccess("locked".into()), CoreError::PlatformFailure("broken".into())]
    {
        fails_next(&store, refused);
        let error = keys(&store).read_or_create(directory.path()).unwrap_err();
        assert!(matches!(error, KeyringError::Refused { .. }), "{error:?}");
        assert_eq!(Error::from(error).kind(), ErrorKind::KeysUnavailable);
        assert!(matches!(entry(&store).get_secret(), Err(CoreError::NoEntry)), "nothing was written");
    }
}

#[test]
fn h1_no_error_shows_what_the_keyring_holds() {
    let store = memory();
    let planted = "planted-2YotnFZFEjr1zCsicMWpAA";
    entry(&store).set_secret(planted.as_bytes()).unwrap();
    let mut errors = vec![keys(&store).read().unwrap_err()];
    for error in [
        CoreError::BadEncoding(planted.into()),
        CoreError::BadDataFormat(planted.into(), "no".into()),
        CoreError::Ambiguous(vec![entry(&store)]),
    ] {
        fails_next(&store, error);
        errors.push(keys(&store).read().unwrap_err());
    }
    entry(&store).set_secret(&[b'p', 0xff]).unwrap();
    errors.push(keys(&store).read().unwrap_err());
    for error in errors {
        assert!(
            matches!(error, KeyringError::NotAKeyRing { .. } | KeyringError::Ambiguous),
            "{error:?} is another error"
        );
        let error = Error::from(error);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let shown = format!("{error} {error:?} {error:#?}");
        let bytes = format!("{:?}", planted.as_bytes());
        assert!(!shown.contains(planted) && !shown.contains(&bytes), "{shown}");
    }
    assert!(!format!("{:?}", keys(&store)).contains("planted"));
}

/// Takes what it is given and forgets it.
#[test]
fn a_keyring_that_forgets_is_found_out() {
    let directory = directory();
    let forgetful = KeyringKeys::opened_by("test", || Ok(memory() as Arc<CredentialStore>));
    let error = forgetful.read_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, KeyringError::NotKept), "{error:?}");
}

#[test]
fn no_keyring_is_an_error_that_says_what_to_do() {
    let directory = directory();
    let none = KeyringKeys::opened_by("test", || Err(KeyringError::NoKeyring { source: "no bus".into() }));
    let error = none.read_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, KeyringError::NoKeyring { .. }), "{error:?}");
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("GNOME Keyring") && error.to_string().contains("0600"), "{error}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "and nothing is written elsewhere");
}

#[cfg(unix)]
#[test]
fn g14_the_lock_is_in_a_directory_of_ones_own() {
    use std::os::unix::fs::PermissionsExt as _;
    let (store, directory) = (memory(), directory());
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = keys(&store).read_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, KeyringError::Lock(_)) && error.to_string().contains("chmod 700"), "{error}");
    assert!(matches!(keys(&store).read(), Err(KeyringError::NoEntry)));
}
