//! The people of the application, and the accounts that sign them in. A real application has a table for this.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use authflow::web::{BoxError, Outcome};
use authflow::{ConnectionKey, SignIn, User};

use super::log;

#[derive(Default)]
pub(crate) struct People(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// How many people there have been.
    count: usize,
    /// Whom an account signs in, by its provider and its name there.
    owners: HashMap<(String, String), User>,
}

impl People {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person who signs in with an account: whoever has linked it, or somebody new.
    pub(crate) fn find_or_make(&self, who: &SignIn) -> Result<User, BoxError> {
        let name = who.tokens.account.as_deref().ok_or("the provider did not say whose account it is")?;
        let account = (who.provider_id.to_string(), name.to_owned());
        let known = &mut *self.known();
        let owner = known.owners.entry(account).or_insert_with(|| {
            known.count += 1;
            User::new("", format!("person-{}", known.count))
        });
        Ok(owner.clone())
    }

    /// From now on an account that was connected signs its owner in, and one that was disconnected does not. What failed is told.
    pub(crate) fn note(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Connected(connected) => self.link(&connected.key),
            Outcome::Disconnected { key, .. } => self.unlink(key),
            Outcome::Failed { error, .. } => log(error),
            _ => {}
        }
        // The connection is there, and what was asked of the provider next was not to be had.
        if let Outcome::Connected(connected) | Outcome::SignedIn(connected) = outcome
            && let Some(error) = &connected.after_exchange
        {
            log(error);
        }
    }

    /// An account that signs somebody else in still does.
    fn link(&self, key: &ConnectionKey) {
        if let Some(account) = account(key) {
            self.known().owners.entry(account).or_insert_with(|| key.user().clone());
        }
    }

    /// The last account stays: without it this person could never sign in again.
    fn unlink(&self, key: &ConnectionKey) {
        let Some(account) = account(key) else { return };
        let owners = &mut self.known().owners;
        let is_theirs = owners.get(&account) == Some(key.user());
        if is_theirs && owners.values().filter(|owner| *owner == key.user()).count() > 1 {
            owners.remove(&account);
        }
    }
}

fn account(key: &ConnectionKey) -> Option<(String, String)> {
    Some((key.provider_id().to_owned(), key.account()?.to_owned()))
}
