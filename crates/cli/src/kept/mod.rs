//! What the program keeps from one run to the next: connections, and for each its profile.
//!
//! A profile is what is needed to renew a connection: which provider, our registration there with the client secret, and
//! what was asked for. It is a record of the token store, sealed like a connection. It is not a file under `AUTHFLOW_HOME`,
//! since whoever has the store and the keys then has all of it: a second machine with the same `AUTHFLOW_STORE` and
//! `AUTHFLOW_KEYS` can renew what the first one connected, and a connection is not there without what renews it. It also gets
//! from each store what that store does well: atomic replacement, durability, one place to back up.
//!
//! A profile can not be taken for a connection, nor the other way round. The keys of profiles are of a tenant of their own,
//! where no connection is; what is sealed has another purpose, so that a record that was moved does not open; and no profile
//! is ever due, so that no sweep sees one.
//!
//! A profile's name is the provider id of its connection, for two registrations at one provider are two providers to
//! [`Connections`]: a refresh token that is sent with another client's id is refused, and that ends the connection.

mod home;
mod keys;
mod profile;
mod save;
mod store;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use authflow::{
    Clock as _, ConnectionKey, Connections, ConnectionsBuilder, Error, ErrorKind, Expected, Keys,
    MemoryTokenStore, Opened, Page, Record, Remove, RemoveOutcome, SaveOutcome, StoreError, StoreErrorKind,
    SystemClock, TokenStore, User, Version, Write,
};

pub(crate) use self::home::Home;
pub(crate) use self::profile::{Profile, check_name};
use self::store::Place;
use crate::args::StoreArgs;
use crate::drain;
use crate::failure::Failure;
use crate::states::States;
use crate::terminal::{note, printable};

/// How long a call of the store may take: a machine or a store that is busy is no reason to fail, and one that is not there says
/// so by itself.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);
/// For how long it is remembered that a profile was removed: longer than any command goes by what it has read of one.
const TOMBSTONE: Duration = Duration::from_secs(3600);
/// The same of a connection, which a refresh may be under way for.
const CONNECTION_TOMBSTONE: Duration = Duration::from_secs(3600);
/// How many profiles are asked for at once.
const PAGE: usize = 100;

/// What a command opens the store for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// To keep something: directory and key are made if need be.
    Login,
    /// To work with what is there.
    Use,
}

/// Which profile is to be forgotten: that of this version, or where it has none, for it is damaged, whatever there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forget(Option<Version>);

/// What came of forgetting the connections of a name.
#[derive(Debug)]
pub(crate) struct Forgotten {
    /// How many were removed.
    pub(crate) count: usize,
    /// How many could not be, for they are damaged so far that their keys cannot be read.
    pub(crate) left: usize,
}

/// What a store lists.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    /// How many records are damaged so far that not even their names can be read.
    pub(crate) damaged: usize,
}

impl Names {
    /// Tells of those that are damaged, if there are any.
    pub(crate) fn tell_damaged(&self) {
        match self.damaged {
            0 => {}
            1 => note(
                "One of the names that something is kept under cannot be read: what the store has is damaged.",
            ),
            several => note(format_args!(
                "{several} of the names that something is kept under cannot be read: what the store has is damaged."
            )),
        }
    }
}

/// The store, and the keys to what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    store: Arc<dyn TokenStore>,
    /// `None` where there are none, and nothing is kept.
    keys: Option<Keys>,
    /// The option that names this store in a further command; empty if none is needed.
    option: String,
    /// The store as it may be shown.
    place: String,
}

impl Kept {
    /// Opens what the options and the environment name.
    pub(crate) async fn open(args: &StoreArgs, purpose: For) -> Result<Self, Failure> {
        let place = Place::of(args)?;
        let has_keys = keys::are_in_environment();
        let home = match (&place, has_keys) {
            (Place::Url { .. }, true) => None,
            _ => Some(Home::find()?),
        };
        let exists = match (&home, purpose) {
            (None, _) => true,
            (Some(home), For::Login) => home.make().map(|()| true)?,
            (Some(home), For::Use) => home.check()?,
        };
        let (option, shown) = (place.option(), place.shown(home.as_ref()));
        let store: Arc<dyn TokenStore> = match (place, &home) {
            (Place::Files, Some(home)) if exists => store::open_files(home).await?,
            // Where there is no directory, nothing is kept.
            (Place::Files, _) => Arc::new(MemoryTokenStore::new()),
            (Place::Url { url, .. }, _) => store::open_store(&url).await?,
        };
        let mut kept = Self { store, keys: None, option, place: shown };
        let found = keys::find(home.as_ref().filter(|_| exists)).await?;
        let ring = match (found, purpose) {
            (Some(ring), _) => Some(ring),
            (None, For::Use) => None,
            (None, For::Login) => {
                kept.check_not_lost().await?;
                match &home {
                    Some(home) => Some(keys::make(home).await?),
                    // The keys were in the environment, and found.
                    None => None,
                }
            }
        };
        kept.keys = ring.map(Keys::new);
        Ok(kept)
    }

    /// A new key opens nothing of what is there, so none is made beside it.
    async fn check_not_lost(&self) -> Result<(), Failure> {
        let Names { names, damaged } = self.all_names().await?;
        if names.is_empty() && damaged == 0 { Ok(()) } else { Err(keys::lost(&self.option)) }
    }

    fn keys(&self) -> Result<&Keys, Failure> {
        self.keys.as_ref().ok_or_else(|| keys::lost(&self.option))
    }

    /// The same for what ends in an error of the framework.
    fn sealing_keys(&self) -> authflow::Result<&Keys> {
        let missing = || Error::new(ErrorKind::KeysUnavailable, "there are no keys to seal the profile with");
        self.keys.as_ref().ok_or_else(missing)
    }

    /// The names that something is kept under, in order.
    pub(crate) async fn names(&self) -> Result<Vec<String>, Failure> {
        Ok(self.all_names().await?.names)
    }

    /// The names, and how many there are beside them.
    pub(crate) async fn all_names(&self) -> Result<Names, Failure> {
        let user = profile::user();
        let (mut names, mut damaged) = (Vec::new(), 0);
        let mut page = Page::first(PAGE);
        loop {
            let found = self.ask(self.store.list_by_user(&user, &page)).await?;
            damaged += found.unreadable;
            names.extend(found.records.iter().filter_map(|record| record.key.account().map(str::to_owned)));
            match found.next {
                Some(next) => page = Page::first(PAGE).after(next),
                None => break,
            }
        }
        names.sort();
        Ok(Names { names, damaged })
    }

    /// The profile of this name, if there is one. One that an older key sealed is sealed anew.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Profile>, Failure> {
        Ok(self.find_with_version(name).await?.map(|(profile, _)| profile))
    }

    /// The same, and the version that it has, for whoever goes by it later.
    async fn find_with_version(&self, name: &str) -> Result<Option<(Profile, Version)>, Failure> {
        self.read(name).await.map_err(|failure| self.about_profile(name, failure))
    }

    async fn read(&self, name: &str) -> Result<Option<(Profile, Version)>, Failure> {
        let key = profile::key(name);
        let Some(record) = self.ask(self.store.load(&key)).await?.into_record() else { return Ok(None) };
        // Where there are none, that says how to get them back.
        self.keys()?;
        let (profile, opened) = self.opened(&record, name).await?;
        if !opened.needs_reseal() {
            return Ok(Some((profile, record.version)));
        }
        // It was read, and that is what was asked for. What stays with its old key is counted by a sweep.
        let sealed = self.seal_anew(&record, name, opened.bytes().expose()).await;
        Ok(Some((profile, sealed.ok().flatten().unwrap_or(record.version))))
    }

    /// What a record says. Another one than that of this name does not open: the seal is bound to the name.
    async fn opened(&self, record: &Record, name: &str) -> authflow::Result<(Profile, Opened)> {
        let context = profile::context(name, record.version.incarnation());
        let opened = self.sealing_keys()?.open(&context, record.sealed.as_bytes()).await?;
        Ok((Profile::from_bytes(name, opened.bytes().expose())?, opened))
    }

    /// Writes what was read, sealed with the newest key, unless somebody has written something else meanwhile. The version that it
    /// has then.
    async fn seal_anew(&self, record: &Record, name: &str, plain: &[u8]) -> Result<Option<Version>, Failure> {
        let context = profile::context(name, record.version.incarnation());
        let sealed = self.keys()?.seal(&context, plain).await?;
        let expected = Expected::version(record.version);
        let write = Write::new(sealed.into());
        Ok(match self.ask(self.store.save_if_version(&record.key, &expected, write)).await? {
            SaveOutcome::Saved(version) => Some(version),
            _ => None,
        })
    }

    /// Which key seals, if there are others beside it.
    pub(crate) async fn newest_of_several_keys(&self) -> Result<Option<String>, Failure> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let ring = keys.ring().await?;
        Ok((ring.ids().count() > 1).then(|| ring.writing_id().to_owned()))
    }

    /// How much of what is kept under these names is sealed with another key than the one that seals. What cannot be read is
    /// counted too: nobody knows which key it needs.
    pub(crate) async fn under_older_keys(&self, names: &Names) -> Result<usize, Failure> {
        let ring = self.keys()?.ring().await?;
        let is_old = |record: &Record| ring.needs_reseal(record.sealed.as_bytes()).unwrap_or(true);
        let mut count = names.damaged;
        let owners = names.names.iter().map(|name| profile::owner(name));
        for user in std::iter::once(profile::user()).chain(owners) {
            let mut page = Page::first(PAGE);
            loop {
                let found = self.ask(self.store.list_by_user(&user, &page)).await?;
                let unreadable = if user == profile::user() { 0 } else { found.unreadable };
                count += unreadable + found.records.iter().filter(|record| is_old(record)).count();
                match found.next {
                    Some(next) => page = Page::first(PAGE).after(next),
                    None => break,
                }
            }
        }
        Ok(count)
    }

    /// Why what renews a connection cannot be read, with what helps: the connection alone would be brought back by a login of
    /// its name, and the options that such a login goes by are what is not there.
    fn about_profile(&self, name: &str, failure: Failure) -> Failure {
        let Failure::Flow(error) = failure else { return failure };
        let first = match error.kind() {
            ErrorKind::KeyUnknown | ErrorKind::KeyWrong => {
                "put the key that it was sealed with back, in AUTHFLOW_KEYS behind the present one. If it is lost"
            }
            ErrorKind::FormatUnknown => {
                "use the release of authflow that wrote it, or a newer one. Without it"
            }
            ErrorKind::StoreCorrupt => "restore it from a copy. Without one",
            _ => return Failure::Flow(error),
        };
        let login = self.command("login PROVIDER --client-id ID ... --name", name);
        let advice = format!(
            "{first}, connect again and give the options of the provider too, as at the first login: they were kept in it: \
             {login}"
        );
        Failure::Advised { error, advice }
    }

    /// The profile of this name. Where there is none, the error names those that are there.
    pub(crate) async fn profile(&self, name: &str) -> Result<Profile, Failure> {
        Ok(self.profile_to_forget(name).await?.0)
    }

    /// The same, with what forgets it.
    pub(crate) async fn profile_to_forget(&self, name: &str) -> Result<(Profile, Forget), Failure> {
        match self.find_with_version(name).await? {
            Some((profile, version)) => Ok((profile, Forget(Some(version)))),
            None => Err(self.unknown(name).await?),
        }
    }

    /// What forgets the profile that is kept under a name now, readable or not.
    pub(crate) async fn to_forget(&self, name: &str) -> Result<Forget, Failure> {
        // One that can be read may be sealed anew by that, which changes its version.
        if let Ok(Some((_, version))) = self.read(name).await {
            return Ok(Forget(Some(version)));
        }
        match self.within(self.store.load(&profile::key(name))).await {
            Ok(loaded) => Ok(Forget(loaded.into_record().map(|record| record.version))),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(Forget(None)),
            Err(error) => Err(of_store(error).into()),
        }
    }

    async fn unknown(&self, name: &str) -> Result<Failure, Failure> {
        let names = self.names().await?;
        let name = printable(name);
        if names.is_empty() {
            return Ok(Failure::usage(format!(
                "nothing is kept under the name `{name}`, nor under any other: `authflow login` connects and keeps. If it was \
                 kept elsewhere, name that place with AUTHFLOW_HOME or --store"
            )));
        }
        let known: Vec<String> = names.iter().map(|name| printable(name)).collect();
        Ok(Failure::usage(format!("nothing is kept under the name `{name}`. There is: {}", known.join(", "))))
    }

    /// Removes the profile of this name. Whether it is gone: what another login has written since then stays.
    pub(crate) async fn forget(&self, name: &str, forget: Forget) -> Result<bool, Failure> {
        let remove = Remove::new(TOMBSTONE);
        let remove = forget.0.map_or(remove, |version| remove.if_version(version));
        let outcome = self.ask(self.store.remove(&profile::key(name), remove)).await?;
        Ok(!matches!(outcome, RemoveOutcome::Changed(_)))
    }

    /// Removes the connections of this name without a word to the provider.
    pub(crate) async fn forget_connections(&self, name: &str) -> Result<Forgotten, Failure> {
        let user = profile::owner(name);
        let page = Page::first(PAGE);
        let mut found = self.ask(self.store.list_by_user(&user, &page)).await?;
        let mut count = 0;
        // What is damaged is not listed with its key: that of the profile, or of a connection without an account, is tried.
        if found.unreadable > 0 {
            let key = match self.find(name).await {
                Ok(Some(profile)) => profile.key(),
                _ => ConnectionKey::new(&user, name),
            };
            self.forget_connection(&key).await?;
            count += 1;
            found = self.ask(self.store.list_by_user(&user, &page)).await?;
        }
        while !found.records.is_empty() {
            for record in found.records {
                self.forget_connection(&record.key).await?;
                count += 1;
            }
            found = self.ask(self.store.list_by_user(&user, &page)).await?;
        }
        Ok(Forgotten { count, left: found.unreadable })
    }

    /// Removes one connection without a word to the provider.
    pub(crate) async fn forget_connection(&self, key: &ConnectionKey) -> Result<(), Failure> {
        self.ask(self.store.remove(key, Remove::new(CONNECTION_TOMBSTONE))).await.map(drop)
    }

    /// [`Connections`] with the one provider of this profile.
    pub(crate) fn connections(&self, profile: &Profile) -> Result<Connections, Failure> {
        let manager = profile
            .registration
            .manager(profile.used_redirect_uri.as_deref(), Arc::new(States::default()))?;
        self.build(Connections::builder().flow(authflow::flow(manager).build()?))
    }

    /// Adds store and keys, and has the end of the program wait for what goes on.
    pub(crate) fn build(&self, builder: ConnectionsBuilder) -> Result<Connections, Failure> {
        let connections = builder
            .token_store(Arc::clone(&self.store))
            .keys(self.keys()?.clone())
            .store_timeout(STORE_TIMEOUT)
            .build()?;
        let kept = self.clone();
        drain::register(&connections, move |name| drain::Kept {
            store: kept.place.clone(),
            reconnect: kept.command("login --name", name),
        });
        Ok(connections)
    }

    /// What a command failed with, and the command that helps where only the user can.
    pub(crate) fn explained(&self, name: &str, error: Error) -> Failure {
        Failure::of_connection(error, &self.command("login --name", name))
    }

    /// A command of this program about a name, as a shell takes it.
    pub(crate) fn command(&self, what: &str, name: &str) -> String {
        format!("authflow {what} {}{}", quoted(name), self.option)
    }

    async fn ask<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, Failure> {
        self.within(call).await.map_err(|error| of_store(error).into())
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let clock = SystemClock::new();
        tokio::select! {
            biased;
            answer = call => answer,
            () = clock.sleep(STORE_TIMEOUT) => {
                Err(StoreError::new(StoreErrorKind::OutcomeUnknown).with_source("the store did not answer in time"))
            }
        }
    }

    /// Who owns the connections of this name.
    pub(crate) fn owner(name: &str) -> User {
        profile::owner(name)
    }
}

fn of_store(error: StoreError) -> Error {
    let (kind, message) = match error.kind() {
        StoreErrorKind::Corrupt => {
            (ErrorKind::StoreCorrupt, "the store holds something that cannot be read; it is left as it is")
        }
        StoreErrorKind::Conflict => (ErrorKind::StoreConflict, "the store holds another value already"),
        _ => (ErrorKind::StoreUnavailable, "the store does not answer; the same command may work later"),
    };
    Error::new(kind, message).with_source(error)
}

/// As one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_command_can_be_copied_into_a_shell() {
        assert_eq!(quoted("work-1"), "work-1");
        assert_eq!(quoted("a b;$(c)"), "'a b;$(c)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
