//! Token stores that are wrong in one way each.

mod store;
mod wrong;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow_core::{
    Clock, ConnectionKey, Lease, LeaseHolder, Record, RefreshMark, SealedBytes, StoreError, StoreErrorKind,
    User, Version,
};
use authflow_testkit::ManualClock;
use authflow_testkit::conformance::token_store::TokenStoreFixture;

pub(crate) use self::wrong::Wrong;

/// A simple store: one map under one lock. What is wrong is asked for where it matters.
pub(crate) struct Broken {
    wrong: Wrong,
    clock: ManualClock,
    slots: Mutex<HashMap<String, Slot>>,
    /// What a replica has that is one write behind.
    older: Mutex<HashMap<String, Record>>,
}

#[derive(Clone)]
enum Slot {
    Entry(Entry),
    Tombstone { version: Version, until: Duration, of: Entry },
}

#[derive(Clone)]
struct Entry {
    key: ConnectionKey,
    version: Version,
    sealed: SealedBytes,
    /// In milliseconds.
    due_at: Option<u64>,
    /// The earliest that it ever had.
    once_due: Option<u64>,
    lease: Option<(LeaseHolder, Duration)>,
    mark: Option<RefreshMark>,
    damaged: bool,
}

/// A fixture with a store that is wrong in this way.
pub(crate) fn fixture(wrong: Wrong) -> TokenStoreFixture<Arc<Broken>> {
    let clock = ManualClock::new();
    let store =
        Arc::new(Broken { wrong, clock: clock.clone(), slots: Mutex::default(), older: Mutex::default() });
    let (damaged, lengthened) = (Arc::clone(&store), Arc::clone(&store));
    TokenStoreFixture::new(store)
        .clock(clock)
        .patience(Duration::from_millis(100))
        .damage(move |key| {
            damaged.damage(&key);
            std::future::ready(())
        })
        .lengthen_lease(move |key, by| {
            lengthened.lengthen(&key, by);
            std::future::ready(())
        })
}

impl Slot {
    /// What is there, or was.
    fn entry(&self) -> &Entry {
        match self {
            Self::Entry(entry) | Self::Tombstone { of: entry, .. } => entry,
        }
    }
}

impl Broken {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Under which name a connection is kept.
    fn place(&self, key: &ConnectionKey) -> String {
        let (user, account) = (key.user(), key.account().unwrap_or_default());
        let joined = format!("{}:{}:{}:{account}", user.tenant, user.id, key.provider_id());
        match self.wrong {
            Wrong::JoinsParts => joined,
            Wrong::IgnoresCase => joined.to_lowercase() + &key.user_tag().to_string(),
            Wrong::CutsLongKeys => {
                let cut = |text: &str| text.chars().take(10_000).collect::<String>();
                format!("{:?}", [&user.tenant, &user.id, key.provider_id(), account].map(cut))
            }
            Wrong::IgnoresCaseOfTheAccount
            | Wrong::ComposesTheAccount
            | Wrong::TrimsTheAccount
            | Wrong::CutsTheAccountAtItsNul => key.with_account(self.folded(account)).id().to_string(),
            Wrong::LowersTheTenant | Wrong::TrimsTheTenant | Wrong::CutsLongTenants => {
                let user = User::new(self.folded(&user.tenant), &*user.id);
                ConnectionKey::new(&user, key.provider_id()).with_account(account).id().to_string()
            }
            Wrong::IgnoresAccount => format!("{}{:?}", key.user_tag(), key.provider_id()),
            _ => key.id().to_string(),
        }
    }

    /// What is left of the one part that it does not keep as it is.
    fn folded(&self, part: &str) -> String {
        match self.wrong {
            Wrong::IgnoresCaseOfTheAccount | Wrong::LowersTheTenant => part.to_lowercase(),
            Wrong::ComposesTheAccount => part.replace("e\u{301}", "\u{e9}"),
            Wrong::TrimsTheAccount | Wrong::TrimsTheTenant => part.trim_end_matches(' ').to_owned(),
            Wrong::CutsTheAccountAtItsNul => part.split('\0').next().unwrap_or_default().to_owned(),
            _ => part.chars().take(255).collect(),
        }
    }

    /// The lease of another connection that it takes for this one's.
    fn lease_of_another(&self, key: &ConnectionKey) -> Option<Lease> {
        let first = |account: Option<&str>| account.unwrap_or_default().chars().take(64).collect::<String>();
        let same = |other: &ConnectionKey| match self.wrong {
            Wrong::LocksWithoutTheTenant => {
                other.user().id == key.user().id
                    && other.provider_id() == key.provider_id()
                    && other.account() == key.account()
            }
            Wrong::LocksByTheAccountsFirstLetters => {
                other.user() == key.user()
                    && other.provider_id() == key.provider_id()
                    && first(other.account()) == first(key.account())
            }
            _ => false,
        };
        let slots = self.slots.lock().unwrap();
        slots.values().find_map(|slot| match slot {
            Slot::Entry(entry) if entry.key != *key && same(&entry.key) => self.record(entry).lease,
            _ => None,
        })
    }

    /// Changes a slot: in one step, or where that is wrong in two.
    async fn at<T>(
        &self,
        key: &ConnectionKey,
        torn: Option<Wrong>,
        change: impl FnOnce(&mut Option<Slot>) -> T,
    ) -> T {
        let place = self.place(key);
        if torn == Some(self.wrong) {
            let mut slot = self.slots.lock().unwrap().get(&place).cloned();
            tokio::task::yield_now().await;
            let result = change(&mut slot);
            self.set(place, slot);
            return result;
        }
        let mut slots = self.slots.lock().unwrap();
        let mut slot = slots.remove(&place);
        if let Some(Slot::Tombstone { until, .. }) = &slot {
            if *until <= self.now() && !self.is(Wrong::TombstoneStaysForever) {
                slot = None;
            }
        }
        let before = slot.as_ref().and_then(|slot| slot.entry().once_due);
        let result = change(&mut slot);
        if let Some(mut slot) = slot {
            if let Slot::Entry(entry) = &mut slot {
                entry.once_due = before.into_iter().chain(entry.due_at).min();
            }
            slots.insert(place, slot);
        }
        result
    }

    fn set(&self, place: String, slot: Option<Slot>) {
        let mut slots = self.slots.lock().unwrap();
        match slot {
            Some(slot) => slots.insert(place, slot),
            None => slots.remove(&place),
        };
    }

    fn damage(&self, key: &ConnectionKey) {
        if let Some(Slot::Entry(entry)) = self.slots.lock().unwrap().get_mut(&self.place(key)) {
            entry.damaged = true;
        }
    }

    fn until(&self, duration: Duration) -> Duration {
        let duration = match self.wrong {
            Wrong::LeaseEndsEarly => duration / 2,
            Wrong::LeaseForAsLongAsAsked => duration,
            _ => duration.min(Lease::LONGEST),
        };
        self.now().saturating_add(duration)
    }

    /// Whether a lease until then has not ended.
    fn lasts(&self, until: Duration) -> bool {
        let longest = match self.wrong {
            Wrong::LeaseForAsLongAsAsked => Duration::MAX,
            Wrong::ClockBehindEndsALease => Lease::LONGEST,
            _ => Lease::LONGEST + Lease::LEEWAY,
        };
        until.checked_sub(self.now()).is_some_and(|left| !left.is_zero() && left <= longest)
    }

    fn lengthen(&self, key: &ConnectionKey, by: Duration) {
        if let Some(Slot::Entry(entry)) = self.slots.lock().unwrap().get_mut(&self.place(key)) {
            entry.lease = entry.lease.map(|(holder, until)| (holder, until + by));
        }
    }

    fn record(&self, entry: &Entry) -> Record {
        let now = self.now();
        let believed = |until: Duration| match self.wrong {
            Wrong::LeaseNeverEnds => true,
            Wrong::BelievesALeaseForYears => until > now,
            _ => self.lasts(until),
        };
        let lease = entry.lease.filter(|(_, until)| believed(*until));
        let longest = match self.wrong {
            Wrong::LeaseForAsLongAsAsked | Wrong::SaysALeaseLastsForLonger => Duration::MAX,
            _ => Lease::LONGEST,
        };
        let lease = lease.map(|(holder, until)| {
            Lease::new(holder, until.saturating_sub(now).clamp(Duration::from_millis(1), longest))
        });
        let key = match self.wrong {
            Wrong::ForgetsTheAccount => entry.key.with_account(""),
            _ => entry.key.clone(),
        };
        let mark = entry.mark.clone().filter(|_| lease.is_some() || !self.is(Wrong::MarkEndsWithTheLease));
        let mark = mark.map(|mark| if self.is(Wrong::ForgetsTheAttempt) { mark.attempt(1) } else { mark });
        Record::new(key, entry.version, entry.sealed.clone())
            .due_at(entry.due_at.map(|due_at| std::time::UNIX_EPOCH + Duration::from_millis(due_at)))
            .lease(lease)
            .mark(mark)
    }

    /// The record, or what it was at the last write but one where that is wrong.
    fn copy(&self, entry: &Entry, wrong: Wrong) -> Record {
        let record = self.record(entry);
        let older = self.older.lock().unwrap().get(&self.place(&entry.key)).cloned();
        older.filter(|_| self.is(wrong)).unwrap_or(record)
    }

    fn is_held(
        &self,
        entry: &Entry,
        holder: &LeaseHolder,
        anyone: Wrong,
        ended: Wrong,
        behind: Wrong,
    ) -> bool {
        entry.lease.is_some_and(|(owner, until)| {
            let is_lost = self.is(behind) && until > self.now() + Lease::LONGEST;
            (owner == *holder || self.is(anyone)) && (self.lasts(until) && !is_lost || self.is(ended))
        })
    }
}

fn corrupt() -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt)
}
