//! What the server was asked, what it did, and which tokens came of it.

use std::{fmt, sync::Mutex, time::SystemTime};

use http::{HeaderMap, Method};
use tokio::sync::Notify;

use super::{fault::Fault, sync::lock};

/// The endpoints that the ledger and the faults tell apart, whatever their paths are in a personality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// The authorization endpoint, which shows the consent page.
    Authorization,
    /// Where the consent page's form goes.
    Consent,
    /// The token endpoint.
    Token,
    /// Revocation: RFC 7009, or the provider's own way.
    Revocation,
    /// Introspection, and Stack Exchange's reading of tokens.
    Introspection,
    /// The protected resource: `/resource`, `/2.3/me`, `/v3/user`.
    Resource,
    /// Contentstack's list of an app's authorizations.
    Authorizations,
    /// The metadata documents of RFC 8414 and OpenID Connect Discovery.
    Metadata,
    /// Any other path; also where [`Fault::Redirect`] points by default.
    Other,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The consent page was shown.
    ConsentShown,
    /// The user approved, a code went out.
    CodeIssued,
    /// The user, or the server for them, said no.
    Denied,
    /// A code became tokens.
    CodeRedeemed,
    /// A code came a second time; the tokens issued from it are revoked.
    CodeReused,
    /// A refresh token became an access token.
    RefreshUsed,
    /// A rotated refresh token came again within the grace time, and was accepted.
    RefreshGrace,
    /// A rotated refresh token came again; its whole family is revoked.
    RefreshReused,
    /// A client got a token for itself.
    ClientCredentialsIssued,
    /// A token, or a whole grant, was revoked.
    Revoked,
    /// Revocation of something unknown or already revoked.
    NothingToRevoke,
    /// A document was served: the protected resource, metadata, an introspection reply.
    Served,
    /// The request was refused.
    Refused {
        /// The error code on the wire.
        error: String,
        /// Why, in words for people.
        reason: String,
    },
    /// A fault answered; nothing was done.
    Faulted,
}

/// What kind of value was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssuedKind {
    /// An authorization code.
    Code,
    /// An access token.
    AccessToken,
    /// A refresh token.
    RefreshToken,
}

/// A code or a token that went out. Its `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    kind: IssuedKind,
    value: String,
}

impl Issued {
    pub(super) fn new(kind: IssuedKind, value: &str) -> Self {
        Self { kind, value: value.to_owned() }
    }

    /// What it is.
    pub fn kind(&self) -> IssuedKind {
        self.kind
    }

    /// The code or token itself.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(***)", self.kind)
    }
}

/// One request and what became of it. Its `Debug` hides every value that may be a secret; the accessors give
/// them.
#[derive(Clone)]
pub struct Entry {
    pub(super) sequence: u64,
    pub(super) at: SystemTime,
    pub(super) endpoint: Endpoint,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) form: Vec<(String, String)>,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) client: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) grant: Option<u64>,
    pub(super) issued: Vec<Issued>,
    pub(super) fault: Option<Fault>,
}

impl Entry {
    /// The place in the ledger, from 0 without gaps.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When, by the server's clock.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// Which endpoint was asked.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's path, as sent. With Stack Exchange it may contain tokens.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded parameters of the query; empty where it could not be read.
    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// One parameter of the query.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    /// The request's headers, names and values.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// One header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The decoded parameters of a form body; empty where there was none or it could not be read.
    pub fn form(&self) -> &[(String, String)] {
        &self.form
    }

    /// One parameter of the form.
    pub fn form_value(&self, name: &str) -> Option<&str> {
        value(&self.form, name)
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What became of it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The `client_id` of the client, where one was recognised.
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The user whose approval or token it was about.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The grant it was about. All codes and tokens that come of one approval share a grant: the family.
    pub fn grant(&self) -> Option<u64> {
        self.grant
    }

    /// The codes and tokens that went out. With a fault, what the server issued may differ from what the
    /// client could read.
    pub fn issued(&self) -> &[Issued] {
        &self.issued
    }

    /// The authorization code that went out.
    pub fn code(&self) -> Option<&str> {
        self.issued_value(IssuedKind::Code)
    }

    /// The access token that went out.
    pub fn access_token(&self) -> Option<&str> {
        self.issued_value(IssuedKind::AccessToken)
    }

    /// The refresh token that went out.
    pub fn refresh_token(&self) -> Option<&str> {
        self.issued_value(IssuedKind::RefreshToken)
    }

    /// The fault that changed the reply.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    fn issued_value(&self, kind: IssuedKind) -> Option<&str> {
        self.issued.iter().find(|issued| issued.kind == kind).map(Issued::value)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("sequence", &self.sequence)
            .field("endpoint", &self.endpoint)
            .field("method", &self.method)
            .field("query", &Masked(&self.query))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("form", &Masked(&self.form))
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .field("client", &self.client)
            .field("subject", &self.subject)
            .field("grant", &self.grant)
            .field("issued", &self.issued)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Shows the names of parameters, and the values of those that are never secret.
struct Masked<'a>(&'a [(String, String)]);

impl fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OPEN: [&str; 8] = [
            "client_id",
            "code_challenge_method",
            "grant_type",
            "redirect_uri",
            "response_type",
            "scope",
            "site",
            "token_type_hint",
        ];
        let mut map = f.debug_map();
        for (name, value) in self.0 {
            map.entry(name, if OPEN.contains(&name.as_str()) { value } else { &"***" });
        }
        map.finish()
    }
}

/// The append-only record of all requests.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<Vec<Entry>>,
    appended: Notify,
}

impl Ledger {
    /// All entries so far, in the order in which the server acted.
    pub fn entries(&self) -> Vec<Entry> {
        lock(&self.entries).clone()
    }

    /// The entries from this [sequence number](Entry::sequence) on, for those who have seen what was before.
    pub fn entries_from(&self, sequence: u64) -> Vec<Entry> {
        let seen = usize::try_from(sequence).unwrap_or(usize::MAX);
        lock(&self.entries).iter().skip(seen).cloned().collect()
    }

    /// How many requests an endpoint got.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        lock(&self.entries).iter().filter(|entry| entry.endpoint == endpoint).count()
    }

    /// The requests to the token endpoint.
    pub fn token_requests(&self) -> Vec<Entry> {
        self.of(Endpoint::Token)
    }

    /// The requests to one endpoint.
    pub fn of(&self, endpoint: Endpoint) -> Vec<Entry> {
        lock(&self.entries).iter().filter(|entry| entry.endpoint == endpoint).cloned().collect()
    }

    /// The newest entry.
    pub fn last(&self) -> Option<Entry> {
        lock(&self.entries).last().cloned()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        lock(&self.entries).len()
    }

    /// Whether the server was asked nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first entry, past or to come, for which `predicate` holds. Waits without polling; put it under a
    /// timeout where the entry may never come. An entry is written when the server has acted, before its
    /// reply leaves.
    pub async fn wait_for(&self, predicate: impl Fn(&Entry) -> bool) -> Entry {
        let mut seen = 0;
        loop {
            let appended = self.appended.notified();
            tokio::pin!(appended);
            // Registers before looking, so that no entry falls between the two.
            appended.as_mut().enable();
            {
                let entries = lock(&self.entries);
                if let Some(entry) = entries.iter().skip(seen).find(|entry| predicate(entry)) {
                    return entry.clone();
                }
                seen = entries.len();
            }
            appended.await;
        }
    }

    pub(super) fn append(&self, mut entry: Entry) {
        {
            let mut entries = lock(&self.entries);
            entry.sequence = u64::try_from(entries.len()).unwrap_or(u64::MAX);
            entries.push(entry);
        }
        self.appended.notify_waiters();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(lock(&self.entries).iter()).finish()
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}
