//! Stores that are wrong in one way each.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authflow_core::{
    Bucket, BucketCaps, PendingFlow, Secret, StateContext, StateKey, StateStore, StoreError, StoreErrorKind,
    async_trait,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    Overwrites,
    SaysStoredAndKeepsTheOld,
    RefusesWithAnotherKind,
    ConflictRemoves,
    GetsThenDeletes,
    LooksThenStores,
    NeverRemoves,
    AbsentIsAnError,
    AnyKeyFindsIt,
    ForeignKeyRemoves,
    ForgetsHalfOfTheKey,
    IgnoresExpiry,
    ExpiresEarly,
    TakesTheFlowsOwnTime,
    ExpiredKeysStayTaken,
    KeyInError,
    FlowInErrorSource,
    ShowsFlows,
    LosesReturnTo,
    LosesVerifier,
    EmptyBecomesSomething,
    AsciiOnly,
    CutsLongValues,
    SharesWithOthers,
    HasNoCapOfABucket,
    PushesOutTheOldestOfAll,
    PushesOutTheNewest,
    CountsUsedFlows,
    RefusesAtTheCap,
}

struct Entry {
    flow: PendingFlow,
    until: SystemTime,
}

pub(crate) struct Broken {
    wrong: Wrong,
    entries: Mutex<HashMap<Vec<u8>, Entry>>,
    /// In the order in which they came.
    counted: Mutex<VecDeque<(Bucket, Vec<u8>)>>,
}

impl Broken {
    pub(crate) fn new(wrong: Wrong) -> Self {
        Self { wrong, entries: Mutex::default(), counted: Mutex::default() }
    }

    fn key(&self, key: &StateKey) -> Vec<u8> {
        match self.wrong {
            Wrong::AnyKeyFindsIt => Vec::new(),
            Wrong::ForgetsHalfOfTheKey => key.as_bytes()[..16].to_vec(),
            _ => key.as_bytes().to_vec(),
        }
    }

    fn get(&self, key: &[u8], now: SystemTime) -> Option<PendingFlow> {
        let entries = self.entries.lock().unwrap();
        let entry = entries.get(key)?;
        (self.wrong == Wrong::IgnoresExpiry || now < entry.until).then(|| entry.flow.clone())
    }

    fn insert(&self, key: Vec<u8>, flow: PendingFlow, until: SystemTime) {
        self.entries.lock().unwrap().insert(key, Entry { flow, until });
    }

    fn remove(&self, key: &[u8], now: SystemTime) -> Option<PendingFlow> {
        let found = self.get(key, now);
        if self.wrong != Wrong::NeverRemoves {
            self.entries.lock().unwrap().remove(key);
        }
        found
    }

    /// Counts a flow that was stored, and removes the one whose place it takes.
    fn count(&self, bucket: Option<Bucket>, place: Vec<u8>) {
        let Some(bucket) = bucket else { return };
        let mut counted = self.counted.lock().unwrap();
        counted.push_back((bucket, place));
        if self.len_of(bucket, &counted) <= BucketCaps::DEFAULT_CAPACITY {
            return;
        }
        let own = |(other, _): &(Bucket, Vec<u8>)| *other == bucket;
        let at = match self.wrong {
            Wrong::HasNoCapOfABucket => return,
            Wrong::PushesOutTheOldestOfAll => 0,
            Wrong::PushesOutTheNewest => counted.len() - 2,
            _ => counted.iter().position(own).unwrap(),
        };
        let (_, oldest) = counted.remove(at).unwrap();
        self.entries.lock().unwrap().remove(&oldest);
    }

    fn len_of(&self, bucket: Bucket, counted: &VecDeque<(Bucket, Vec<u8>)>) -> usize {
        counted.iter().filter(|(other, _)| *other == bucket).count()
    }

    fn is_full(&self, bucket: Option<Bucket>) -> bool {
        let counted = self.counted.lock().unwrap();
        bucket.is_some_and(|bucket| self.len_of(bucket, &counted) >= BucketCaps::DEFAULT_CAPACITY)
    }

    fn conflict(&self, key: &StateKey, flow: &PendingFlow) -> StoreError {
        let conflict = StoreError::new(StoreErrorKind::Conflict);
        match self.wrong {
            Wrong::RefusesWithAnotherKind => StoreError::new(StoreErrorKind::Unavailable),
            Wrong::KeyInError => conflict.with_source(format!("{key} exists")),
            Wrong::FlowInErrorSource => {
                conflict.with_source(format!("no room for {:?}", flow.return_to.as_deref()))
            }
            _ => conflict,
        }
    }

    fn spoil(&self, mut flow: PendingFlow) -> PendingFlow {
        match self.wrong {
            Wrong::LosesReturnTo => flow.return_to = None,
            Wrong::LosesVerifier => flow.code_verifier = None,
            Wrong::EmptyBecomesSomething => flow.nonce = flow.nonce.or(Some("".into())),
            Wrong::AsciiOnly => {
                let ascii = |text: &str| -> String { text.chars().filter(char::is_ascii).collect() };
                flow.return_to = flow.return_to.map(|text| ascii(&text).into());
            }
            Wrong::CutsLongValues => {
                flow.return_to =
                    flow.return_to.map(|text| text.chars().take(4096).collect::<String>().into());
            }
            _ => {}
        }
        flow
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.lock().unwrap();
        let shown = entries.values().next().filter(|_| self.wrong == Wrong::ShowsFlows);
        let verifier = shown.and_then(|entry| entry.flow.code_verifier.as_ref()).map(Secret::expose);
        f.debug_struct("Broken").field("verifier", &verifier).finish()
    }
}

#[async_trait]
impl StateStore for Broken {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let place = self.key(key);
        let until = match self.wrong {
            Wrong::ExpiresEarly => cx.now + ttl / 2,
            Wrong::TakesTheFlowsOwnTime => SystemTime::UNIX_EPOCH + Duration::from_secs(flow.expires_at),
            _ => cx.now + ttl,
        };
        let flow = self.spoil(flow);
        let counted = (flow.bucket, place.clone());
        if self.wrong == Wrong::RefusesAtTheCap && self.is_full(flow.bucket) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        match self.wrong {
            Wrong::Overwrites => self.insert(place, flow, until),
            Wrong::LooksThenStores => {
                if self.get(&place, cx.now).is_some() {
                    return Err(self.conflict(key, &flow));
                }
                tokio::task::yield_now().await;
                self.insert(place, flow, until);
            }
            _ => {
                let mut entries = self.entries.lock().unwrap();
                let taken = entries
                    .get(&place)
                    .is_some_and(|entry| self.wrong == Wrong::ExpiredKeysStayTaken || cx.now < entry.until);
                if taken {
                    if self.wrong == Wrong::ConflictRemoves {
                        entries.remove(&place);
                    }
                    return match self.wrong {
                        Wrong::SaysStoredAndKeepsTheOld => Ok(()),
                        _ => Err(self.conflict(key, &flow)),
                    };
                }
                entries.insert(place, Entry { flow, until });
            }
        }
        self.count(counted.0, counted.1);
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let place = self.key(key);
        if self.wrong == Wrong::GetsThenDeletes {
            let found = self.get(&place, cx.now);
            tokio::task::yield_now().await;
            self.entries.lock().unwrap().remove(&place);
            return Ok(found);
        }
        let found = self.remove(&place, cx.now);
        if self.wrong != Wrong::CountsUsedFlows {
            self.counted.lock().unwrap().retain(|(_, key)| *key != place);
        }
        if found.is_none() && self.wrong == Wrong::ForeignKeyRemoves {
            self.entries.lock().unwrap().clear();
        }
        match (found, self.wrong) {
            (None, Wrong::AbsentIsAnError) => Err(StoreError::new(StoreErrorKind::Unavailable)),
            (found, _) => Ok(found),
        }
    }
}

/// One of the processes that share a store whose steps are not one: each has a lock of its own around them.
#[derive(Debug)]
pub(crate) struct LocksItself {
    shared: Arc<Broken>,
    lock: tokio::sync::Mutex<()>,
}

impl LocksItself {
    pub(crate) fn before(shared: &Arc<Broken>) -> Self {
        Self { shared: Arc::clone(shared), lock: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl StateStore for LocksItself {
    async fn store_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
        flow: PendingFlow,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let _locked = self.lock.lock().await;
        self.shared.store_state(cx, key, flow, ttl).await
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        key: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        let _locked = self.lock.lock().await;
        self.shared.check_state(cx, key).await
    }
}
