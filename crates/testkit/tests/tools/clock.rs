//! The manual clock moves when it is told to, and only then.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::Clock;
use authflow_testkit::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn both_hands_move_with_advance_and_handles_share_them() {
    let clock = ManualClock::new();
    let handle: Arc<dyn Clock> = Arc::new(clock.clone());
    let (wall, monotonic) = (handle.now(), handle.monotonic());
    assert_eq!(handle.now(), wall, "it stands still");
    clock.advance(90 * SECOND);
    assert_eq!(handle.now(), wall + 90 * SECOND);
    assert_eq!(handle.monotonic(), monotonic + 90 * SECOND);
}

#[test]
fn the_monotonic_hand_never_goes_back() {
    let clock = ManualClock::new();
    clock.advance(10 * SECOND);
    let (wall, monotonic) = (clock.now(), clock.monotonic());
    clock.step_back(3600 * SECOND);
    assert_eq!(clock.now(), wall - 3600 * SECOND);
    assert_eq!(clock.monotonic(), monotonic);
    clock.set(SystemTime::UNIX_EPOCH);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
    assert_eq!(clock.monotonic(), monotonic);
    clock.step_back(Duration::MAX);
    clock.advance(Duration::MAX);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH, "what cannot be held is not moved to");
    assert_eq!(clock.monotonic(), Duration::MAX);
}

#[tokio::test]
async fn sleepers_wake_exactly_when_their_time_has_passed() {
    let clock = ManualClock::new();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let sleep = |seconds: u32| {
        let (clock, woken) = (clock.clone(), Arc::clone(&woken));
        tokio::spawn(async move {
            clock.sleep(seconds * SECOND).await;
            woken.lock().unwrap().push(seconds);
        })
    };
    let (ten, five, twenty) = (sleep(10), sleep(5), sleep(20));
    clock.until_sleepers(3).await;
    clock.advance(5 * SECOND - Duration::from_nanos(1));
    tokio::task::yield_now().await;
    assert_eq!(clock.sleepers(), 3, "a nanosecond is missing");
    clock.advance(Duration::from_nanos(1));
    five.await.unwrap();
    assert_eq!(*woken.lock().unwrap(), [5]);
    assert_eq!(clock.sleepers(), 2);
    clock.set(SystemTime::UNIX_EPOCH + Duration::from_secs(9_000_000_000));
    tokio::task::yield_now().await;
    assert_eq!(clock.sleepers(), 2, "a set clock is no time that passes");
    clock.advance(3600 * SECOND);
    ten.await.unwrap();
    twenty.await.unwrap();
    assert_eq!(*woken.lock().unwrap(), [5, 10, 20], "in the order of their times");
    assert_eq!(clock.sleepers(), 0);
}

#[tokio::test]
async fn who_gives_up_sleeping_is_not_counted() {
    let clock = ManualClock::new();
    let sleeper = tokio::spawn({
        let clock = clock.clone();
        async move { clock.sleep(SECOND).await }
    });
    clock.until_sleepers(1).await;
    sleeper.abort();
    assert!(sleeper.await.unwrap_err().is_cancelled());
    assert_eq!(clock.sleepers(), 0);
    clock.advance(SECOND);
}

#[tokio::test]
async fn no_time_is_no_sleep() {
    ManualClock::new().sleep(Duration::ZERO).await;
}
