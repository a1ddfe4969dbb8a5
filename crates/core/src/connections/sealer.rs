//! From contents to what a store keeps, and back.

use crate::connection_key::ConnectionKey;
use crate::error::{Error, ErrorKind, Result};
use crate::seal::{Keys, SealContext};
use crate::token_store::{Incarnation, SealedBytes};

use super::contents::Contents;

/// What sealed connections are for, in the associated data.
const PURPOSE: &str = "connection";
/// What stands before a connection that is not sealed, so that neither kind is taken for the other. Then comes whose it is.
const UNSEALED: &[u8] = b"authflow-unsealed\n";

/// Seals with keys, or not at all where the application said so.
#[derive(Clone, Debug)]
pub(super) enum Sealer {
    Keys(Keys),
    Unsealed,
}

impl Sealer {
    /// Finds out whether something could be sealed now: before a code is used up. What was opened before can be sealed again.
    pub(super) async fn check(&self) -> Result<()> {
        match self {
            Self::Keys(keys) => keys.ring().await.map(drop),
            Self::Unsealed => Ok(()),
        }
    }

    pub(super) async fn seal(
        &self,
        key: &ConnectionKey,
        incarnation: &Incarnation,
        contents: &Contents,
    ) -> Result<SealedBytes> {
        let plain = contents.to_bytes()?;
        Ok(SealedBytes::new(match self {
            Self::Keys(keys) => keys.seal(&context(key, incarnation), plain.expose()).await?,
            Self::Unsealed => [UNSEALED, &of_whom(key, incarnation), plain.expose()].concat(),
        }))
    }

    pub(super) async fn open(
        &self,
        key: &ConnectionKey,
        incarnation: &Incarnation,
        sealed: &SealedBytes,
    ) -> Result<Contents> {
        let unsealed = sealed.as_bytes().strip_prefix(UNSEALED);
        match (self, unsealed) {
            (Self::Keys(_), Some(_)) => Err(Error::new(
                ErrorKind::StoreCorrupt,
                "the record is not sealed, and this application has keys: it is not read, since anybody could have written it",
            )),
            (Self::Keys(keys), None) => {
                let opened = keys.open(&context(key, incarnation), sealed.as_bytes()).await?;
                Contents::from_bytes(opened.bytes().expose())
            }
            (Self::Unsealed, Some(rest)) => {
                let plain = rest.strip_prefix(&of_whom(key, incarnation)).ok_or_else(|| {
                    Error::new(
                        ErrorKind::StoreCorrupt,
                        "the record holds another connection's bytes, or those of an earlier connect; they were not read",
                    )
                })?;
                Contents::from_bytes(plain)
            }
            (Self::Unsealed, None) => Err(Error::configuration(
                "the record is sealed, or damaged, and this application was built without keys",
            )),
        }
    }
}

/// What the associated data is to a sealed record: it ties the bytes to the connection and the connect.
fn of_whom(key: &ConnectionKey, incarnation: &Incarnation) -> [u8; 48] {
    let mut whom = [0; 48];
    let (id, connect) = whom.split_at_mut(32);
    id.copy_from_slice(key.id().as_bytes());
    connect.copy_from_slice(incarnation.as_bytes());
    whom
}

fn context<'a>(key: &'a ConnectionKey, incarnation: &'a Incarnation) -> SealContext<'a> {
    SealContext {
        tenant: &key.user().tenant,
        user: &key.user().id,
        provider_id: key.provider_id(),
        account: key.account().unwrap_or_default(),
        incarnation: incarnation.as_bytes(),
        ..SealContext::new(PURPOSE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::binding::User;
    use crate::scopes::Scopes;
    use crate::seal::KeyRing;
    use crate::token::TokenSet;

    /// One part of its place is another at a time: no two connections, and no two connects of one, open each other's bytes.
    #[tokio::test]
    async fn x20_a_record_opens_in_its_own_place_only() {
        let place = |[tenant, user, provider_id, account]: [&str; 4]| {
            ConnectionKey::new(&User::new(tenant, user), provider_id).with_account(account)
        };
        let (key, incarnation) = (place(["t", "u", "p", "a"]), Incarnation::from_bytes([1; 16]));
        let others = [
            place(["x", "u", "p", "a"]),
            place(["t", "x", "p", "a"]),
            place(["t", "u", "x", "a"]),
            place(["t", "u", "p", "x"]),
            place(["t", "u", "p", ""]),
        ];
        let tokens = TokenSet::new("planted-access", SystemTime::UNIX_EPOCH);
        let contents = Contents::connected(tokens, Scopes::none(), SystemTime::UNIX_EPOCH);
        for sealer in [Sealer::Keys(Keys::new(KeyRing::generate().unwrap())), Sealer::Unsealed] {
            let sealed = sealer.seal(&key, &incarnation, &contents).await.unwrap();
            let opened = sealer.open(&key, &incarnation, &sealed).await.unwrap();
            assert_eq!(opened.tokens.access_token.expose(), "planted-access");
            for other in &others {
                let error = sealer.open(other, &incarnation, &sealed).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "{other:?}");
            }
            let later = Incarnation::from_bytes([2; 16]);
            let error = sealer.open(&key, &later, &sealed).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StoreCorrupt, "of an earlier connect");
        }
    }
}
