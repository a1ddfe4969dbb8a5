//! Key sources: a file, an environment variable, a key service that fails, hangs, rotates and panics.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    Clock, EnvKeys, Error, ErrorKind, FileKeys, Key, KeyRing, KeySource, Keys, Recovery, Result, SealContext,
    async_trait,
};
use tokio::sync::Notify;

const FRESH: Duration = Duration::from_secs(300);
const COOL: Duration = Duration::from_secs(1);

/// Its sleeps end when the test moves it.
#[derive(Debug, Default)]
struct HandClock {
    now: Mutex<Duration>,
    moved: Notify,
    slept: Notify,
}

impl HandClock {
    fn advance(&self, by: Duration) {
        *self.now.lock().unwrap() += by;
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        let end = self.monotonic() + duration;
        loop {
            let moved = self.moved.notified();
            if self.monotonic() >= end {
                return;
            }
            self.slept.notify_one();
            moved.await;
        }
    }
}

#[derive(Debug)]
enum Answer {
    Ring(KeyRing),
    Down,
    Hang,
    Panic,
    Misconfigured,
}

/// A key service with a script. Without one, it is down.
#[derive(Clone, Debug, Default)]
struct Kms(Arc<KmsInner>);

#[derive(Debug, Default)]
struct KmsInner {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<usize>,
    was_asked: Notify,
}

impl Kms {
    fn then(&self, answer: Answer) -> &Self {
        self.0.answers.lock().unwrap().push_back(answer);
        self
    }

    fn asked(&self) -> usize {
        *self.0.asked.lock().unwrap()
    }
}

#[async_trait]
impl KeySource for Kms {
    async fn key_ring(&self) -> Result<KeyRing> {
        *self.0.asked.lock().unwrap() += 1;
        let answer = self.0.answers.lock().unwrap().pop_front();
        self.0.was_asked.notify_one();
        // Like a network: others run meanwhile.
        tokio::task::yield_now().await;
        match answer {
            Some(Answer::Ring(ring)) => Ok(ring),
            Some(Answer::Hang) => pending().await,
            Some(Answer::Panic) => panic!("a bug in the key source"),
            Some(Answer::Misconfigured) => Err(Error::configuration("set KMS_KEY_NAME")),
            Some(Answer::Down) | None => Err(Error::new(ErrorKind::Network, "the key service is down")
                .with_source(std::io::Error::other("connection refused"))),
        }
    }
}

fn keys(kms: &Kms) -> (Keys, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    let keys = Keys::builder(kms.clone()).clock(Arc::clone(&clock) as _).fresh_for(FRESH).cool_down(COOL);
    (keys.build(), clock)
}

fn context() -> SealContext<'static> {
    SealContext { user: "u", ..SealContext::new("connection") }
}

fn ring(id: &str) -> KeyRing {
    KeyRing::new(id, Key::generate().unwrap()).unwrap()
}

/// Lets the task in the background run until the source was asked `times`.
async fn asked(kms: &Kms, times: usize) {
    while kms.asked() < times {
        kms.0.was_asked.notified().await;
    }
    // The answer is taken in within the next polls.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn x21_without_keys_nothing_is_sealed_and_the_error_may_be_retried() {
    let kms = Kms::default();
    let (keys, clock) = keys(&kms);
    let error = keys.seal(&context(), b"tokens").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert_eq!(error.recovery(), Recovery::Retry { after: Some(COOL) });
    assert_eq!(error.to_string(), "the key service is down");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "connection refused");

    // It is left alone for a while, and then asked again.
    clock.advance(COOL / 4);
    let error = keys.open(&context(), b"").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(COOL * 3 / 4));
    assert_eq!(kms.asked(), 1);
    kms.then(Answer::Ring(ring("k1")));
    clock.advance(COOL);
    keys.seal(&context(), b"tokens").await.unwrap();
    assert_eq!(kms.asked(), 2);
}

#[tokio::test]
async fn x21_a_ring_at_hand_is_used_while_the_source_is_down() {
    let kms = Kms::default();
    kms.then(Answer::Ring(ring("k1")));
    let (keys, clock) = keys(&kms);
    let sealed = keys.seal(&context(), b"tokens").await.unwrap();
    for round in 2..6 {
        clock.advance(FRESH);
        assert_eq!(keys.open(&context(), &sealed).await.unwrap().bytes().expose(), b"tokens");
        asked(&kms, round).await;
        // Down, and so left alone.
        keys.seal(&context(), b"tokens").await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(kms.asked(), round);
    }
    // Back, with a new key in front.
    let rotated = keys.ring().await.unwrap().rotate("k2", Key::generate().unwrap()).unwrap();
    kms.then(Answer::Ring(rotated));
    clock.advance(COOL);
    keys.ring().await.unwrap();
    asked(&kms, 6).await;
    assert!(keys.open(&context(), &sealed).await.unwrap().needs_reseal());
}

#[tokio::test]
async fn x21_nobody_waits_for_a_slow_source_while_there_is_a_ring() {
    let kms = Kms::default();
    kms.then(Answer::Ring(ring("k1"))).then(Answer::Hang);
    let (keys, clock) = keys(&kms);
    keys.ring().await.unwrap();
    clock.advance(FRESH);
    for _ in 0..10 {
        keys.seal(&context(), b"tokens").await.unwrap();
    }
    asked(&kms, 2).await;
    assert_eq!(kms.asked(), 2, "one asks");
}

#[tokio::test]
async fn x21_a_source_that_hangs_is_given_up_at_the_deadline() {
    let kms = Kms::default();
    kms.then(Answer::Hang);
    let (keys, clock) = keys(&kms);
    let (error, ()) = tokio::join!(async { keys.ring().await.unwrap_err() }, async {
        clock.slept.notified().await;
        clock.advance(Duration::from_secs(5));
    });
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert!(error.to_string().contains("within 5s"), "{error}");
}

#[tokio::test]
async fn x21_a_hundred_at_once_ask_once_and_share_what_comes() {
    for answer in [Answer::Ring(ring("k1")), Answer::Down] {
        let good = matches!(answer, Answer::Ring(_));
        let kms = Kms::default();
        kms.then(answer);
        let (keys, _clock) = keys(&kms);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let keys = keys.clone();
            tasks.spawn(async move { keys.ring().await.is_ok() });
        }
        assert!(tasks.join_all().await.into_iter().all(|ok| ok == good));
        assert_eq!(kms.asked(), 1);
    }
}

/// Another machine got the new key first, and sealed with it.
#[tokio::test]
async fn f15_an_unknown_key_makes_the_source_be_asked() {
    let old = ring("k1");
    let new = old.rotate("k2", Key::generate().unwrap()).unwrap();
    let kms = Kms::default();
    kms.then(Answer::Ring(old)).then(Answer::Ring(new.clone()));
    let (keys, clock) = keys(&kms);
    keys.ring().await.unwrap();
    let sealed = new.seal(&context(), b"tokens").unwrap();
    clock.advance(COOL);
    assert_eq!(keys.open(&context(), &sealed).await.unwrap().bytes().expose(), b"tokens");
    assert_eq!(kms.asked(), 2);

    // A key that nobody has does not make each caller ask.
    let foreign = ring("lost").seal(&context(), b"tokens").unwrap();
    for _ in 0..10 {
        let error = keys.open(&context(), &foreign).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnknown);
        assert!(error.to_string().contains("the key lost,"), "{error}");
    }
    assert_eq!(kms.asked(), 2);

    // While the source is down, it is not known whether the key is there: that is no reason to change a configuration.
    clock.advance(COOL);
    let error = keys.open(&context(), &foreign).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeysUnavailable);
    assert_eq!(kms.asked(), 3);
    assert_eq!(keys.open(&context(), &foreign).await.unwrap_err().kind(), ErrorKind::KeysUnavailable);
    assert_eq!(kms.asked(), 3);
    // What the ring at hand opens is not concerned.
    assert!(keys.open(&context(), &sealed).await.is_ok());
}

#[tokio::test]
async fn x33_a_source_that_panics_leaves_the_keys_usable() {
    let kms = Kms::default();
    kms.then(Answer::Panic).then(Answer::Ring(ring("k1"))).then(Answer::Panic);
    let (keys, clock) = keys(&kms);
    let first = tokio::spawn({
        let keys = keys.clone();
        async move { keys.ring().await.is_ok() }
    });
    assert!(first.await.unwrap_err().is_panic());
    let sealed = keys.seal(&context(), b"tokens").await.unwrap();
    clock.advance(FRESH);
    assert!(keys.open(&context(), &sealed).await.is_ok());
    asked(&kms, 3).await;
    assert!(keys.open(&context(), &sealed).await.is_ok());
}

/// A caller that goes away while it asks does not keep the others from asking.
#[tokio::test]
async fn x2_a_caller_that_goes_away_holds_nobody_up() {
    let kms = Kms::default();
    kms.then(Answer::Hang).then(Answer::Ring(ring("k1")));
    let (keys, _clock) = keys(&kms);
    let first = tokio::spawn({
        let keys = keys.clone();
        async move { keys.ring().await.is_ok() }
    });
    kms.0.was_asked.notified().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(keys.ring().await.unwrap().writing_id(), "k1");
}

#[tokio::test]
async fn a_mistake_in_the_configuration_stays_one() {
    let kms = Kms::default();
    kms.then(Answer::Misconfigured);
    let (keys, _clock) = keys(&kms);
    let error = keys.ring().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.recovery(), Recovery::FixConfiguration);
    assert_eq!(error.to_string(), "set KMS_KEY_NAME");
    assert!(!format!("{keys:?}").is_empty());
}

const CHILD: &str = "AUTHFLOW_TEST_CHILD_KEYS";

/// The environment of a process is not changed from within: this runs itself again.
#[tokio::test]
async fn a_ring_is_read_from_the_environment() {
    if std::env::var_os(CHILD).is_some() {
        let ring = Keys::new(EnvKeys::new(CHILD)).ring().await.unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["k2", "k1"]);
        return;
    }
    let error = EnvKeys::new(CHILD).key_ring().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(CHILD) && error.to_string().contains("not set"), "{error}");

    let text = ring("k1").rotate("k2", Key::generate().unwrap()).unwrap().to_text();
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_ring_is_read_from_the_environment"])
        .env(CHILD, text.expose())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
}

#[tokio::test]
async fn a_key_file_is_made_once_and_read_by_all() {
    let directory = tempfile::tempdir().unwrap();
    let file = FileKeys::new(directory.path().join("keys"));
    let error = file.read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("keys: there is none; make one"), "{error}");

    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| file.read_or_create().unwrap().to_text())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(made.iter().all(|text| text.ct_eq(made[0].expose())));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");

    let keys = Keys::new(file.clone());
    let sealed = keys.seal(&context(), b"tokens").await.unwrap();
    assert_eq!(file.read().unwrap().open(&context(), &sealed).unwrap().bytes().expose(), b"tokens");

    let error = FileKeys::new(directory.path().join("none/keys")).read_or_create().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("is its directory there"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_key_file_that_is_not_safe_is_refused_with_what_to_do() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let file = FileKeys::new(&path);
    let ring = file.read_or_create().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);

    for mode in [0o640, 0o604, 0o660, 0o644, 0o601, 0o610, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = file.read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        assert!(error.to_string().contains("chmod 600") && error.to_string().contains("keys"), "{error}");
        assert!(file.read_or_create().is_err(), "it is not replaced either");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(file.read().unwrap().to_text().ct_eq(ring.to_text().expose()));
    }

    // Only root can give a file away, and only root could open what it gave away.
    if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() && cfg!(target_os = "linux") {
        assert!(file.read().unwrap_err().to_string().contains("belongs to another user"));
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        assert!(file.read().is_ok());
    }

    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(FileKeys::new(&link).read().unwrap_err().to_string().contains("symbolic link"));
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("nowhere"), &dangling).unwrap();
    assert!(FileKeys::new(&dangling).read_or_create().unwrap_err().to_string().contains("symbolic link"));
    assert!(!directory.path().join("nowhere").exists());
    assert!(FileKeys::new(directory.path()).read().unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn z25_a_key_file_with_something_else_in_it_is_refused_and_not_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let file = FileKeys::new(&path);
    file.read_or_create().unwrap();
    let mut long = file.read().unwrap().to_text().expose().to_owned();
    long.push_str(&" ".repeat(64 * 1024));
    std::fs::write(&path, long).unwrap();
    assert!(file.read().unwrap_err().to_string().contains("longer than 64 KiB"));
    for content in [
        &b"planted"[..],
        b"",
        b"\n",
        b"k1:planted",
        b"k1:\xff\xfeplanted",
        &b"planted ".repeat(20_000),
        b"k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        std::fs::write(&path, content).unwrap();
        let error = file.read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("planted"), "{error:?}");
        assert!(error.to_string().contains("the key file "), "{error}");
    }
}
