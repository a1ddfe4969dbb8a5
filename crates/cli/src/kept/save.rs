//! How a profile is written: in place of what may be replaced, and of nothing else.
//!
//! A login waits for a person, and what stood under its name before need not be what stands there when the tokens have come. So it
//! is read again then, and the store writes only where it still has what was read.

use authflow::{
    Error, ErrorKind, Expected, Incarnation, Loaded, SaveOutcome, SealedBytes, StoreErrorKind, Version, Write,
};

use super::profile::{self, Profile};
use super::{Kept, of_store};
use crate::failure::is_unreadable;
use crate::terminal::printable;

/// How often it is tried while others write under the same name.
const ATTEMPTS: u32 = 8;

/// What stands under a name, and with it the condition for a write there.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// Nothing. No write of a store asks for that, but each refuses an incarnation that is there already: whoever finds the same
    /// nothing takes this one, and the first of them gets it.
    Nothing(Incarnation),
    /// A record that may be replaced.
    Record(Version),
    /// What the store itself cannot read. It has no version, and whoever replaces it takes nothing away.
    Damaged,
}

impl Standing {
    /// Behind a tombstone it is the next incarnation, so that none comes again while somebody may go by its versions.
    fn nothing_after(tombstone: Option<&Version>) -> Self {
        let next = tombstone
            .map_or(0, |before| u128::from_be_bytes(*before.incarnation().as_bytes()).wrapping_add(1));
        Self::Nothing(Incarnation::from_bytes(next.to_be_bytes()))
    }
}

impl Kept {
    /// Writes a profile: where there is none, or in place of one of the same registration, or of one that cannot be read.
    pub(crate) async fn save(&self, profile: &Profile) -> authflow::Result<()> {
        for _ in 0..ATTEMPTS {
            let standing = self.standing(profile).await?;
            if self.write(profile, standing).await? {
                return Ok(());
            }
        }
        let message = "others write under this name again and again, so that nothing was kept under it";
        Err(Error::new(ErrorKind::StoreConflict, message))
    }

    /// What a profile would replace. Refuses where that is another registration's.
    async fn standing(&self, profile: &Profile) -> authflow::Result<Standing> {
        let record = match self.within(self.store.load(&profile::key(&profile.name))).await {
            Ok(Loaded::Found(record)) => record,
            Ok(Loaded::Tombstone(version)) => return Ok(Standing::nothing_after(Some(&version))),
            Ok(_) => return Ok(Standing::nothing_after(None)),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => return Ok(Standing::Damaged),
            Err(error) => return Err(of_store(error)),
        };
        match self.opened(&record, &profile.name).await {
            Ok((there, _)) if !there.registration.is_same(&profile.registration) => {
                Err(taken(&there, profile))
            }
            Ok(_) => Ok(Standing::Record(record.version)),
            Err(error) if is_unreadable(&error) => Ok(Standing::Record(record.version)),
            Err(error) => Err(error),
        }
    }

    /// Whether it was written: not if something else stands there meanwhile.
    async fn write(&self, profile: &Profile, standing: Standing) -> authflow::Result<bool> {
        let key = profile::key(&profile.name);
        let incarnation = match standing {
            Standing::Nothing(incarnation) => incarnation,
            Standing::Record(version) => *version.incarnation(),
            Standing::Damaged => Incarnation::random()?,
        };
        let context = profile::context(&profile.name, &incarnation);
        let sealed = self.sealing_keys()?.seal(&context, &profile.to_bytes()?).await?;
        let sealed = SealedBytes::from(sealed);
        let write = Write::new(sealed.clone());
        let written = match standing {
            Standing::Record(version) => {
                let expected = Expected::version(version);
                let saved = self.within(self.store.save_if_version(&key, &expected, write)).await;
                saved.map(|outcome| matches!(outcome, SaveOutcome::Saved(_)))
            }
            Standing::Nothing(_) | Standing::Damaged => {
                self.within(self.store.put(&key, incarnation, write)).await.map(|_| true)
            }
        };
        match written {
            Ok(is_written) => Ok(is_written),
            Err(error) if matches!(error.kind(), StoreErrorKind::Conflict | StoreErrorKind::Corrupt) => {
                Ok(false)
            }
            Err(error) if error.kind() == StoreErrorKind::OutcomeUnknown => {
                match self.within(self.store.load(&key)).await {
                    // No two seals are alike: it is this very write.
                    Ok(Loaded::Found(record)) if record.sealed.as_bytes() == sealed.as_bytes() => Ok(true),
                    _ => Err(of_store(error)),
                }
            }
            Err(error) => Err(of_store(error)),
        }
    }
}

fn taken(there: &Profile, profile: &Profile) -> Error {
    Error::usage(format!(
        "the name `{}` was taken meanwhile by a connection of another registration ({}), which stays as it is; this one ({}) \
         was not kept, and its tokens go back to the provider. Choose another name with --name",
        printable(&profile.name),
        printable(&there.registration.words()),
        printable(&profile.registration.words()),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use async_trait::async_trait;
    use authflow::{
        ConnectionKey, Key, KeyPage, KeyRing, Keys, LeaseHolder, LeaseOutcome, LeaseRequest,
        MemoryTokenStore, Page, RecordPage, Release, Remove, RemoveOutcome, Renew, Shard, StoreError, Tenure,
        TokenStore, User,
    };

    use super::*;
    use crate::args::{ClientArgs, EndpointArgs, ProviderArgs};
    use crate::provider::{Purpose, Registration};

    fn kept() -> Kept {
        Kept {
            store: Arc::new(MemoryTokenStore::new()),
            keys: Some(keys()),
            option: String::new(),
            place: String::new(),
        }
    }

    fn keys() -> Keys {
        Keys::new(KeyRing::generate().unwrap())
    }

    /// That of this client.
    fn profile(client_id: &str) -> Profile {
        let args = ProviderArgs {
            endpoints: EndpointArgs {
                authorization_endpoint: Some("https://as.example/a".to_owned()),
                token_endpoint: Some("https://as.example/t".to_owned()),
                ..EndpointArgs::default()
            },
            client: ClientArgs { client_id: Some(client_id.to_owned()), ..ClientArgs::default() },
            ..ProviderArgs::default()
        };
        Profile {
            name: "work".to_owned(),
            registration: Registration::of(&args, Purpose::Login).unwrap().with_id("work"),
            redirect_uri: None,
            used_redirect_uri: None,
            scopes: Vec::new(),
            parameters: Vec::new(),
            account: None,
        }
    }

    async fn whose(kept: &Kept) -> String {
        kept.profile("work").await.unwrap().registration.words()
    }

    /// Both have read what stands there before either writes.
    async fn of_two_the_first_stays(kept: &Kept, is_there: bool) {
        let (one, two) = (profile("one"), profile("two"));
        if is_there {
            kept.save(&one).await.unwrap();
        }
        let first = kept.standing(&one).await.unwrap();
        let second = if is_there { first } else { kept.standing(&two).await.unwrap() };
        assert!(kept.write(&one, first).await.unwrap());
        assert!(!kept.write(&two, second).await.unwrap(), "{second:?}");
        let refused = kept.save(&two).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Usage);
        for part in ["`work` was taken meanwhile", "client id one", "client id two", "--name"] {
            assert!(refused.to_string().contains(part), "{part}: {refused}");
        }
        assert!(whose(kept).await.starts_with("client id one"));
    }

    #[tokio::test]
    async fn g15_of_two_registrations_that_want_one_name_at_once_the_first_has_it() {
        let kept = kept();
        of_two_the_first_stays(&kept, false).await;
        of_two_the_first_stays(&kept, true).await;
        let forget = kept.to_forget("work").await.unwrap();
        assert!(kept.forget("work", forget).await.unwrap());
        of_two_the_first_stays(&kept, false).await;
    }

    /// A store whose answers to writes are lost.
    #[derive(Debug)]
    struct Losing(Arc<dyn TokenStore>);

    fn lost<T>(_: Result<T, StoreError>) -> Result<T, StoreError> {
        Err(StoreError::new(StoreErrorKind::OutcomeUnknown))
    }

    #[async_trait]
    impl TokenStore for Losing {
        fn is_durable(&self) -> bool {
            self.0.is_durable()
        }

        async fn put(
            &self,
            key: &ConnectionKey,
            incarnation: Incarnation,
            write: Write,
        ) -> Result<Version, StoreError> {
            lost(self.0.put(key, incarnation, write).await)
        }

        async fn load(&self, key: &ConnectionKey) -> Result<Loaded, StoreError> {
            self.0.load(key).await
        }

        async fn lease(
            &self,
            key: &ConnectionKey,
            request: LeaseRequest,
        ) -> Result<LeaseOutcome, StoreError> {
            self.0.lease(key, request).await
        }

        async fn renew(
            &self,
            key: &ConnectionKey,
            holder: &LeaseHolder,
            renew: Renew,
        ) -> Result<Tenure, StoreError> {
            self.0.renew(key, holder, renew).await
        }

        async fn release(
            &self,
            key: &ConnectionKey,
            holder: &LeaseHolder,
            release: Release,
        ) -> Result<Tenure, StoreError> {
            self.0.release(key, holder, release).await
        }

        async fn save_if_version(
            &self,
            key: &ConnectionKey,
            expected: &Expected,
            write: Write,
        ) -> Result<SaveOutcome, StoreError> {
            lost(self.0.save_if_version(key, expected, write).await)
        }

        async fn remove(&self, key: &ConnectionKey, remove: Remove) -> Result<RemoveOutcome, StoreError> {
            self.0.remove(key, remove).await
        }

        async fn list_by_user(&self, user: &User, page: &Page) -> Result<RecordPage, StoreError> {
            self.0.list_by_user(user, page).await
        }

        async fn due_before(
            &self,
            shard: Shard,
            time: SystemTime,
            page: &Page,
        ) -> Result<KeyPage, StoreError> {
            self.0.due_before(shard, time, page).await
        }

        async fn walk(&self, shard: Shard, page: &Page) -> Result<KeyPage, StoreError> {
            self.0.walk(shard, page).await
        }
    }

    #[tokio::test]
    async fn x4_where_the_answer_is_lost_it_is_looked_up_whose_write_it_was() {
        let kept = kept();
        let losing = Kept { store: Arc::new(Losing(Arc::clone(&kept.store))), ..kept.clone() };
        for scope in ["read", "write"] {
            let now = Profile { scopes: vec![scope.to_owned()], ..profile("one") };
            let standing = losing.standing(&now).await.unwrap();
            assert!(losing.write(&now, standing).await.unwrap());
            assert_eq!(kept.profile("work").await.unwrap().scopes, [scope]);
        }
        let nothing = Standing::nothing_after(None);
        let refused = losing.write(&profile("two"), nothing).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::StoreUnavailable);
        assert!(whose(&kept).await.starts_with("client id one"));
    }

    #[tokio::test]
    async fn g15_of_one_registration_each_is_written() {
        let kept = kept();
        for scope in ["read", "write", "email"] {
            let now = Profile { scopes: vec![scope.to_owned()], ..profile("one") };
            kept.save(&now).await.unwrap();
            assert_eq!(kept.profile("work").await.unwrap().scopes, [scope]);
        }
    }

    #[tokio::test]
    async fn g15_what_another_login_has_written_is_not_forgotten() {
        let kept = kept();
        kept.save(&profile("one")).await.unwrap();
        let (_, readable) = kept.profile_to_forget("work").await.unwrap();
        let other = Kept { keys: Some(keys()), ..kept.clone() };
        let unreadable = other.to_forget("work").await.unwrap();
        kept.save(&profile("one")).await.unwrap();
        for forget in [readable, unreadable] {
            assert!(!kept.forget("work", forget).await.unwrap(), "{forget:?}");
        }
        kept.profile("work").await.unwrap();
        assert!(kept.forget("work", other.to_forget("work").await.unwrap()).await.unwrap());
        assert!(kept.names().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn f15_what_is_sealed_anew_while_it_is_read_is_forgotten_all_the_same() {
        let old = KeyRing::generate().unwrap();
        let both = old.rotate("new", Key::generate().unwrap()).unwrap();
        let before = Kept { keys: Some(Keys::new(old)), ..kept() };
        let after = Kept { keys: Some(Keys::new(both)), ..before.clone() };
        before.save(&profile("one")).await.unwrap();
        let (_, forget) = after.profile_to_forget("work").await.unwrap();
        assert!(after.forget("work", forget).await.unwrap());
        before.save(&profile("one")).await.unwrap();
        let forget = after.to_forget("work").await.unwrap();
        after.profile("work").await.unwrap();
        assert!(after.forget("work", forget).await.unwrap());
    }

    #[tokio::test]
    async fn f14_what_cannot_be_read_is_replaced() {
        let kept = kept();
        kept.save(&profile("one")).await.unwrap();
        let other = Kept { keys: Some(keys()), ..kept };
        assert!(other.profile("work").await.unwrap_err().is_unreadable());
        other.save(&profile("two")).await.unwrap();
        assert!(whose(&other).await.starts_with("client id two"));
    }
}
