use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;

use super::*;

/// Time that passes for who sleeps, and for nobody else.
#[derive(Clone, Debug, Default)]
struct Sleepy(Arc<Mutex<Duration>>);

#[async_trait]
impl Clock for Sleepy {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        // A timer that is early.
        *self.0.lock().unwrap() += (duration / 2).max(Duration::from_nanos(1));
    }
}

#[tokio::test]
async fn x24_turns_are_as_far_apart_as_the_bound_says() {
    for bound in [1, 3, 7, 50, 1000] {
        let (pace, clock) = (Pace::new(Some(bound)), Sleepy::default());
        let mut turns = Vec::new();
        for _ in 0..=3 * bound {
            pace.turn(&clock).await;
            turns.push(clock.monotonic());
        }
        for (at, turn) in turns.iter().enumerate() {
            let within = turns[at..].iter().filter(|later| **later < *turn + Duration::from_secs(1)).count();
            assert!(within <= usize::try_from(bound).unwrap(), "{bound}: {within}");
        }
        let last = turns.last().unwrap().as_secs_f64();
        assert!((3.0..3.01).contains(&last), "{bound}: nothing of it is wasted: {last}");
    }
}

#[tokio::test]
async fn x24_without_a_bound_nobody_waits_and_a_pause_saves_nothing_up() {
    let clock = Sleepy::default();
    let free = Pace::new(None);
    for _ in 0..1000 {
        free.turn(&clock).await;
    }
    assert_eq!(clock.monotonic(), Duration::ZERO);
    let pace = Pace::new(Some(10));
    *clock.0.lock().unwrap() = Duration::from_secs(100);
    pace.turn(&clock).await;
    assert!(pace.has_room(clock.monotonic()));
    pace.turn(&clock).await;
    assert_eq!(clock.monotonic(), Duration::from_millis(100_100));
}

#[tokio::test]
async fn x35_who_need_not_wait_has_its_turn_after_the_end_too_and_nobody_else() {
    let (pace, clock) = (Pace::new(Some(10)), Sleepy::default());
    pace.close();
    assert!(pace.turn(&clock).await, "it is free");
    assert!(!pace.turn(&clock).await, "it would have to wait");
    assert_eq!(clock.monotonic(), Duration::ZERO, "nobody sleeps to be sent away");
    let free = Pace::new(None);
    free.close();
    assert!(free.turn(&clock).await);
}

/// The end comes while somebody sleeps.
#[derive(Debug)]
struct Ends(Arc<Pace>, Sleepy);

#[async_trait]
impl Clock for Ends {
    fn now(&self) -> SystemTime {
        self.1.now()
    }

    fn monotonic(&self) -> Duration {
        self.1.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.close();
        *self.1.0.lock().unwrap() += duration;
    }
}

#[tokio::test]
async fn x35_who_sleeps_when_the_end_comes_has_no_turn() {
    let pace = Arc::new(Pace::new(Some(10)));
    let clock = Ends(Arc::clone(&pace), Sleepy::default());
    assert!(pace.turn(&clock).await);
    assert!(!pace.turn(&clock).await, "its time has come, but the end before");
    assert!(pace.turn(&clock).await, "it was not used up");
}
