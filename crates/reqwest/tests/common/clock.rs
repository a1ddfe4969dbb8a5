//! A clock that is moved by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow_core::{Clock, async_trait};
use tokio::sync::watch;

/// Stands still until it is moved, and knows which sleeps were asked for.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Duration>,
    asked: watch::Sender<Vec<Duration>>,
    /// Sleeps of at most a second end at once, and move the clock; but not those of this length.
    no_pauses_but: Option<Duration>,
    pauses_cost: watch::Sender<Duration>,
}

impl ManualClock {
    pub fn new() -> Arc<Self> {
        Self::with(None)
    }

    /// A clock on which sleeps of at most a second end at once: pauses do, deadlines do not.
    pub fn without_pauses() -> Arc<Self> {
        Self::without_pauses_but(Duration::MAX)
    }

    /// The same, where a deadline is as short as a pause.
    pub fn without_pauses_but(deadline: Duration) -> Arc<Self> {
        Self::with(Some(deadline))
    }

    fn with(no_pauses_but: Option<Duration>) -> Arc<Self> {
        Arc::new(Self {
            now: watch::Sender::new(Duration::ZERO),
            asked: watch::Sender::new(Vec::new()),
            no_pauses_but,
            pauses_cost: watch::Sender::new(Duration::ZERO),
        })
    }

    /// Moves the clock by this beyond each pause.
    pub fn let_pauses_cost(&self, cost: Duration) {
        self.pauses_cost.send_replace(cost);
    }

    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }

    /// The sleeps of at most a second so far.
    pub fn pauses(&self) -> Vec<Duration> {
        self.asked.borrow().iter().filter(|asked| **asked <= Duration::from_secs(1)).copied().collect()
    }

    /// Waits until somebody asks for a sleep of at most a second.
    pub async fn pause_begun(&self) -> Duration {
        let mut asked = self.asked.subscribe();
        let is_pause = |asked: &Duration| *asked <= Duration::from_secs(1);
        let asked = asked.wait_for(|asked| asked.iter().any(is_pause)).await.unwrap();
        asked.iter().copied().find(is_pause).unwrap()
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        self.asked.send_modify(|asked| asked.push(duration));
        let ends_at_once = self
            .no_pauses_but
            .is_some_and(|deadline| duration <= Duration::from_secs(1) && duration != deadline);
        if ends_at_once {
            self.advance(duration + *self.pauses_cost.borrow());
            return;
        }
        let until = self.monotonic() + duration;
        self.now.subscribe().wait_for(|now| *now >= until).await.unwrap();
    }
}
