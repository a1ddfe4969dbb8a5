//! The end of a connection, by its user's wish.

use std::borrow::Cow;

use authflow_core::{ConnectionKey, Disconnected, Error, Recovery, Removal, Result, Revocation, User};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::accounts::Inner;
use crate::answer;
use crate::incoming::{Incoming, values};
use crate::outcome::Outcome;
use crate::pages::{ACCOUNT_FIELD, NoticeKind, Page};
use crate::same_origin::Initiator;

impl Inner {
    pub(crate) async fn disconnect(&self, incoming: &Incoming, provider_id: &str) -> Response<Bytes> {
        let parts = &incoming.parts;
        let accounts = self.site.accounts();
        let user = match self.user(parts).await {
            Ok(user) => user,
            Err(error) => return self.unknown_user(parts, &error),
        };
        let Some(user) = user else { return self.signed_out(accounts) };
        if self.initiator(incoming, &user) != Initiator::Own {
            return self.page(StatusCode::FORBIDDEN, &Page::DisconnectRefused { accounts });
        }
        let account = match named(incoming) {
            Ok(account) => account,
            Err((status, message)) => {
                self.application.on_error(parts, &Error::usage(message));
                return self.page(status, &Page::DisconnectUnclear { accounts });
            }
        };
        let key = match self.meant(account.as_deref(), provider_id, &user).await {
            Ok(key) => key,
            Err(error) => return self.failure(parts, &error),
        };
        let disconnected = match self.connections.disconnect_in_place(&key).await {
            Ok(disconnected) => disconnected,
            Err(error) => return self.failure(parts, &error),
        };
        let mut answer = match &disconnected.removal {
            Ok(_) => {
                let return_to = self.return_to(incoming);
                let location = return_to.as_deref().unwrap_or(accounts);
                answer::redirect(&self.with_notice(location, notice(&disconnected), provider_id))
            }
            // This process makes up for it once the store answers; if it ends before, the connection is still there.
            Err(error) => self.not_removed(incoming, error),
        };
        let outcome = Outcome::Disconnected { key, disconnected };
        if let Err(error) = self.tell(parts, &outcome, &mut answer).await {
            self.application.on_error(parts, &*error);
            return self.broken();
        }
        answer
    }

    fn not_removed(&self, incoming: &Incoming, error: &Error) -> Response<Bytes> {
        match error.recovery() {
            Recovery::Retry { after } => self.unavailable(&incoming.parts, after),
            _ => self.broken(),
        }
    }

    /// The connection that is meant: of the account that the form names, where an empty name is that of no known account; else
    /// the one that [`Accounts::client`](crate::Accounts::client) would take. Always one of this user.
    async fn meant(&self, account: Option<&str>, provider_id: &str, user: &User) -> Result<ConnectionKey> {
        let key = ConnectionKey::new(user, provider_id);
        if let Some(account) = account {
            return Ok(key.with_account(account));
        }
        let best = self.best(user, provider_id).await?;
        Ok(best.map_or(key, |connection| connection.key))
    }
}

/// The account that the form names, if it names one. What may name one in another way ends nothing: it would be another
/// account's connection. A body of another type, or a packed one, is 415 (RFC 9110 §15.5.16).
fn named(incoming: &Incoming) -> std::result::Result<Option<Cow<'_, str>>, (StatusCode, &'static str)> {
    let form = match incoming.form() {
        Some(form) => form,
        None if incoming.body.is_empty() => &[],
        None => {
            let message = "the body of a disconnect is not a form that is application/x-www-form-urlencoded";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    };
    let mut in_form = values(form, ACCOUNT_FIELD);
    let account = in_form.next();
    if in_form.chain(values(incoming.query().as_bytes(), ACCOUNT_FIELD)).next().is_some() {
        let message = "a disconnect names its account elsewhere than in one field of its form";
        return Err((StatusCode::BAD_REQUEST, message));
    }
    Ok(account)
}

const fn notice(disconnected: &Disconnected) -> NoticeKind {
    match (&disconnected.removal, &disconnected.revocation) {
        (Ok(Removal::WasAbsent), None) => NoticeKind::WasNotConnected,
        (_, Some(Ok(Revocation::Revoked))) => NoticeKind::Disconnected,
        _ => NoticeKind::DisconnectedHere,
    }
}
