//! Stores that are wrong in one way each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use authflow_core::{
    PendingFlow, Secret, StateContext, StateKey, StateStore, StoreError, StoreErrorKind, async_trait,
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
}

struct Entry {
    flow: PendingFlow,
    until: SystemTime,
}

pub(crate) struct Broken {
    wrong: Wrong,
    entries: Mutex<HashMap<Vec<u8>, Entry>>,
}

impl Broken {
    pub(crate) fn new(wrong: Wrong) -> Self {
        Self { wrong, entries: Mutex::default() }
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
        if found.is_none() && self.wrong == Wrong::ForeignKeyRemoves {
            self.entries.lock().unwrap().clear();
        }
        match (found, self.wrong) {
            (None, Wrong::AbsentIsAnError) => Err(StoreError::new(StoreErrorKind::Unavailable)),
            (found, _) => Ok(found),
        }
    }
}
