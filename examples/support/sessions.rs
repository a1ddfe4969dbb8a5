//! A store of sessions for actix-session, whose own keeps no session on the server: there a copy of a cookie stays signed in
//! after its owner has signed out. This one ends with the process; a real application has Redis for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_session::SessionMiddleware;
use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::{Key, time::Duration};

type Values = HashMap<String, String>;

#[derive(Clone)]
pub(crate) struct MemorySessions {
    cookie_key: Key,
    by_key: Arc<Mutex<HashMap<String, Values>>>,
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self { cookie_key: Key::generate(), by_key: Arc::default() }
    }
}

impl MemorySessions {
    /// Its cookie goes without TLS, for this machine alone, and is `SameSite=Lax`, so that it is there when the provider sends
    /// the browser back.
    pub(crate) fn middleware(&self) -> SessionMiddleware<Self> {
        let sessions = SessionMiddleware::builder(self.clone(), self.cookie_key.clone());
        sessions.cookie_secure(false).build()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Values>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for MemorySessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<Values>, LoadError> {
        Ok(self.all().get(key.as_ref()).cloned())
    }

    async fn save(&self, values: Values, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.all().insert(key.as_ref().to_owned(), values);
        Ok(key)
    }

    /// A session that has ended meanwhile stays at its end.
    async fn update(&self, key: SessionKey, values: Values, _: &Duration) -> Result<SessionKey, UpdateError> {
        if let Some(known) = self.all().get_mut(key.as_ref()) {
            *known = values;
        }
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> anyhow::Result<()> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        self.all().remove(key.as_ref());
        Ok(())
    }
}
