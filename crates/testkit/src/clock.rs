//! A clock that is moved by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use authflow_core::{Clock, async_trait};
use tokio::sync::watch;

/// A [`Clock`] that stands still until a test moves it. A clone is a handle to the same clock.
///
/// It has two hands, as a real machine has. [`advance`](Self::advance) moves both. [`set`](Self::set) and
/// [`step_back`](Self::step_back) move the wall clock only, as a person or a time server does; the monotonic hand never
/// goes back. Sleepers wait for the monotonic hand, and wake when it reaches their time: nothing here takes real time.
///
/// ```
/// use std::time::Duration;
///
/// use authflow_core::Clock as _;
/// use authflow_testkit::ManualClock;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let clock = ManualClock::new();
/// let began = clock.now();
///
/// let sleeper = tokio::spawn({
///     let clock = clock.clone();
///     async move { clock.sleep(Duration::from_secs(600)).await }
/// });
/// clock.until_sleepers(1).await;
/// clock.advance(Duration::from_secs(599));
/// assert!(!sleeper.is_finished());
/// clock.advance(Duration::from_secs(1));
/// sleeper.await.expect("it woke");
/// assert_eq!(clock.now(), began + Duration::from_secs(600));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Shared>);

struct Shared {
    hands: Mutex<Hands>,
    sleepers: watch::Sender<usize>,
}

struct Hands {
    wall: SystemTime,
    monotonic: Duration,
    /// By the time they wake, then by the order in which they came.
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
}

/// The wall clock of a new [`ManualClock`], in seconds since 1970: a time in January 2027.
const START: u64 = 1_800_000_000;

impl ManualClock {
    /// A clock that shows 1,800,000,000 seconds since 1970, the same in every run.
    #[must_use]
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(START))
    }

    /// A clock that shows `time`.
    #[must_use]
    pub fn at(time: SystemTime) -> Self {
        let hands = Hands { wall: time, monotonic: Duration::ZERO, sleepers: BTreeMap::new(), next: 0 };
        Self(Arc::new(Shared { hands: Mutex::new(hands), sleepers: watch::Sender::new(0) }))
    }

    /// Lets `by` pass on both hands, and wakes who slept no longer than that.
    pub fn advance(&self, by: Duration) {
        let woken = {
            let mut hands = self.hands();
            hands.wall = hands.wall.checked_add(by).unwrap_or(hands.wall);
            hands.monotonic = hands.monotonic.saturating_add(by);
            let reached = (hands.monotonic, u64::MAX);
            let later = hands.sleepers.split_off(&reached);
            let woken = std::mem::replace(&mut hands.sleepers, later);
            self.tell_sleepers(&hands);
            woken
        };
        for waker in woken.into_values() {
            waker.wake();
        }
    }

    /// Sets the wall clock to `time`, forwards or backwards. No time passes: nobody wakes.
    pub fn set(&self, time: SystemTime) {
        self.hands().wall = time;
    }

    /// Steps the wall clock back, as a time server may. No time passes: nobody wakes.
    pub fn step_back(&self, by: Duration) {
        let mut hands = self.hands();
        hands.wall = hands.wall.checked_sub(by).unwrap_or(hands.wall);
    }

    /// How many sleep now.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.hands().sleepers.len()
    }

    /// Waits until at least `count` sleep: the moment to [`advance`](Self::advance), without guessing how long a task takes
    /// to fall asleep.
    pub async fn until_sleepers(&self, count: usize) {
        let mut sleepers = self.0.sleepers.subscribe();
        // It fails only when the sender is gone, and this clock holds it.
        let _ = sleepers.wait_for(|now| *now >= count).await;
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_sleepers(&self, hands: &Hands) {
        self.0.sleepers.send_replace(hands.sleepers.len());
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hands = self.hands();
        f.debug_struct("ManualClock")
            .field("wall", &hands.wall)
            .field("monotonic", &hands.monotonic)
            .field("sleepers", &hands.sleepers.len())
            .finish()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.hands().wall
    }

    fn monotonic(&self) -> Duration {
        self.hands().monotonic
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.hands().monotonic.saturating_add(duration);
        Sleep { clock: self, until, place: None }.await;
    }
}

struct Sleep<'c> {
    clock: &'c ManualClock,
    until: Duration,
    /// Where the waker is, while one is.
    place: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (clock, until) = (self.clock, self.until);
        let mut hands = clock.hands();
        if hands.monotonic >= until {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert(hands.next);
        hands.next = hands.next.max(place.saturating_add(1));
        hands.sleepers.insert((until, place), cx.waker().clone());
        clock.tell_sleepers(&hands);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut hands = self.clock.hands();
        if hands.sleepers.remove(&(self.until, place)).is_some() {
            self.clock.tell_sleepers(&hands);
        }
    }
}
