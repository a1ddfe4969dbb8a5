//! Where the browser is sent after the callback, so that code and state stay neither in its address bar nor in its history
//! (RFC 6749 §3.1.2.5).

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

use super::Verdict;

/// What a callback came to. Each has an address of its own, which holds nothing of the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The flow is finished: there are tokens.
    Done,
    /// The user denied.
    Denied,
    /// The flow failed.
    Failed,
    /// The callback came before.
    AlreadyDone,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Done, Self::Denied, Self::Failed, Self::AlreadyDone];

    /// What a verdict is for the browser; `None` if it was not the callback.
    pub(super) const fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Done => Some(Self::Done),
            Verdict::Denied => Some(Self::Denied),
            Verdict::Failed => Some(Self::Failed),
            Verdict::AlreadyDone => Some(Self::AlreadyDone),
            Verdict::Stray(_) => None,
        }
    }

    /// The path of its address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Done => "/authflow-result/done",
            Self::Denied => "/authflow-result/denied",
            Self::Failed => "/authflow-result/failed",
            Self::AlreadyDone => "/authflow-result/already-done",
        }
    }

    /// The one whose address has this path.
    pub(super) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.path() == path)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The results that browsers were sent to. Before one is, its address is as unknown as any other.
pub(super) struct Owed {
    /// Callbacks that are being judged, or whose browser has yet to ask for its result.
    count: watch::Sender<usize>,
    promised: AtomicU8,
}

impl Owed {
    pub(super) fn new() -> Self {
        Self { count: watch::Sender::new(0), promised: AtomicU8::new(0) }
    }

    /// A callback has arrived: until it is judged and its browser served, the listener is needed.
    pub(super) fn begin(&self) -> Debt<'_> {
        self.count.send_modify(|count| *count += 1);
        Debt { owed: self, stands: false }
    }

    pub(super) fn is_promised(&self, outcome: Outcome) -> bool {
        self.promised.load(Ordering::SeqCst) & outcome.bit() != 0
    }

    /// A browser has its result.
    pub(super) fn pay(&self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }

    pub(super) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

/// One callback's part of what is owed. It ends here unless the browser was sent on.
pub(super) struct Debt<'o> {
    owed: &'o Owed,
    stands: bool,
}

impl Debt<'_> {
    /// The browser will ask for this result.
    pub(super) fn promise(&mut self, outcome: Outcome) {
        self.owed.promised.fetch_or(outcome.bit(), Ordering::SeqCst);
        self.stands = true;
    }

    /// The browser went away before it heard of it.
    pub(super) fn release(&mut self) {
        self.stands = false;
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        if !self.stands {
            self.owed.pay();
        }
    }
}
