//! A clock that stands still until a test moves it, with sleepers.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use authflow_core::{Clock, async_trait};

#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    wall: SystemTime,
    monotonic: Duration,
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
    next: u64,
}

impl ManualClock {
    pub fn new() -> Self {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let hands = Hands { wall, monotonic: Duration::ZERO, sleepers: BTreeMap::new(), next: 0 };
        Self(Arc::new(Mutex::new(hands)))
    }

    pub fn advance(&self, by: Duration) {
        let woken: Vec<_> = {
            let mut hands = self.0.lock().unwrap();
            hands.wall += by;
            hands.monotonic += by;
            let now = (hands.monotonic, u64::MAX);
            hands.sleepers.range_mut(..=now).filter_map(|(_, waker)| waker.take()).collect()
        };
        woken.into_iter().for_each(Waker::wake);
    }

    pub fn step_back(&self, by: Duration) {
        self.0.lock().unwrap().wall -= by;
    }

    /// The machine sleeps, and the monotonic clock with it.
    pub fn sleep_through(&self, by: Duration) {
        self.0.lock().unwrap().wall += by;
    }

    pub fn sleepers(&self) -> usize {
        self.0.lock().unwrap().sleepers.len()
    }

    /// Lets everything run that can run without time.
    pub async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// Runs `work` to its end, and lets time pass whenever nothing else happens.
    pub async fn drive<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let work = tokio::spawn(work);
        for _ in 0..100_000 {
            self.settle().await;
            if work.is_finished() {
                return work.await.unwrap();
            }
            let next = {
                let hands = self.0.lock().unwrap();
                let first = hands.sleepers.keys().next().map(|(until, _)| *until);
                first.map(|until| until.saturating_sub(hands.monotonic))
            };
            self.advance(next.expect("nobody sleeps, and nothing goes on"));
        }
        panic!("it does not come to an end");
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.0.lock().unwrap().wall
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().monotonic
    }

    async fn sleep(&self, duration: Duration) {
        let place = {
            let mut hands = self.0.lock().unwrap();
            hands.next += 1;
            let place = (hands.monotonic + duration, hands.next);
            hands.sleepers.insert(place, None);
            place
        };
        Sleep { clock: self.clone(), place }.await;
    }
}

struct Sleep {
    clock: ManualClock,
    place: (Duration, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.0.lock().unwrap();
        if hands.monotonic >= self.place.0 {
            return Poll::Ready(());
        }
        hands.sleepers.insert(self.place, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clock.0.lock().unwrap().sleepers.remove(&self.place);
    }
}
