//! What the server remembers: grants, codes, tokens. Plain data and the rules about it, no wire format.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{
    authorize::Request,
    client::Client,
    config::{Config, Rotation},
    fault::Plan,
    ledger::Outcome,
    pkce::{Challenge, is_verifier},
    refusal::Refusal,
};

pub(super) struct State {
    /// Drawn once from the system, so that making a token cannot fail.
    seed: [u8; 32],
    drawn: u64,
    tickets: HashMap<String, Ticket>,
    codes: HashMap<String, Code>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
    grants: Vec<Grant>,
    verifiers: HashSet<String>,
    /// Who is signed in at the server, and so who approves.
    pub(super) subject: String,
    pub(super) faults: Plan,
    pub(super) api_calls: u64,
}

/// The right to answer one consent page once.
struct Ticket {
    request: Request,
    expires: SystemTime,
}

/// One approval, or one client's grant to itself. Its tokens are a family.
pub(super) struct Grant {
    pub(super) client: String,
    /// Empty where the client acts for itself.
    pub(super) subject: String,
    pub(super) scope: Vec<String>,
    pub(super) revoked: bool,
    /// Contentstack's `authorization_type`.
    pub(super) is_app: bool,
    /// The exchange was authenticated with the secret, so a refresh must be as well.
    pub(super) with_secret: bool,
}

struct Code {
    grant: usize,
    redirect_uri: String,
    /// Whether the authorization request named the redirect URI, so that the token request must.
    redirect_uri_sent: bool,
    challenge: Option<Challenge>,
    expires: SystemTime,
    spent: Option<Spent>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spent {
    Redeemed,
    /// A faulty attempt uses a code up as well: it may be a thief's.
    Failed,
}

#[derive(Clone)]
pub(super) struct AccessToken {
    pub(super) grant: usize,
    pub(super) scope: Vec<String>,
    /// `None` for never.
    pub(super) expires: Option<SystemTime>,
    revoked: bool,
}

struct RefreshToken {
    grant: usize,
    expires: Option<SystemTime>,
    first_used: Option<SystemTime>,
    successors: Vec<String>,
}

pub(super) struct Redemption<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: Option<&'a str>,
    pub(super) verifier: Option<&'a str>,
}

pub(super) struct Refreshed {
    pub(super) grant: usize,
    pub(super) scope: Vec<String>,
    pub(super) outcome: Outcome,
    /// The refresh token for the reply.
    pub(super) refresh_token: Option<String>,
    /// Whether it is a new one.
    pub(super) rotated: bool,
}

impl State {
    pub(super) fn new(subject: String) -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self {
            seed,
            drawn: 0,
            tickets: HashMap::new(),
            codes: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            grants: Vec::new(),
            verifiers: HashSet::new(),
            subject,
            faults: Plan::default(),
            api_calls: 0,
        })
    }

    /// A value that nobody can guess, with a prefix that tells what it is.
    fn draw(&mut self, prefix: &str) -> String {
        self.drawn = self.drawn.wrapping_add(1);
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
        format!("{prefix}-{}", URL_SAFE_NO_PAD.encode(digest))
    }

    pub(super) fn open_ticket(&mut self, request: Request, now: SystemTime) -> String {
        const LIFETIME: Duration = Duration::from_secs(600);
        let ticket = self.draw("ticket");
        self.tickets.insert(ticket.clone(), Ticket { request, expires: later(now, LIFETIME) });
        ticket
    }

    pub(super) fn use_ticket(&mut self, ticket: &str, now: SystemTime) -> Option<Request> {
        self.tickets.remove(ticket).filter(|ticket| now < ticket.expires).map(|ticket| ticket.request)
    }

    pub(super) fn grant(&self, index: usize) -> Option<&Grant> {
        self.grants.get(index)
    }

    pub(super) fn grants(&self) -> &[Grant] {
        &self.grants
    }

    pub(super) fn add_grant(&mut self, grant: Grant) -> usize {
        self.grants.push(grant);
        self.grants.len().saturating_sub(1)
    }

    /// Revokes the grants for which `select` holds, and says how many were alive.
    pub(super) fn revoke_grants(&mut self, select: impl Fn(&Grant) -> bool) -> usize {
        let mut revoked: usize = 0;
        for grant in self.grants.iter_mut().filter(|grant| !grant.revoked) {
            if select(grant) {
                grant.revoked = true;
                revoked = revoked.saturating_add(1);
            }
        }
        revoked
    }

    pub(super) fn issue_code(
        &mut self,
        config: &Config,
        now: SystemTime,
        request: &Request,
    ) -> (usize, String) {
        let grant = self.add_grant(Grant {
            client: request.client.clone(),
            subject: if request.is_install { String::new() } else { self.subject.clone() },
            scope: request.scope.clone(),
            revoked: false,
            is_app: request.is_install,
            with_secret: false,
        });
        let code = self.draw("code");
        let record = Code {
            grant,
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_sent: request.redirect_uri_sent,
            challenge: request.challenge.clone(),
            expires: later(now, config.code_lifetime),
            spent: None,
        };
        self.codes.insert(code.clone(), record);
        (grant, code)
    }

    /// Spends a code (RFC 6749 §4.1.3, RFC 7636 §4.6) and says which grant it stands for.
    pub(super) fn redeem(
        &mut self,
        now: SystemTime,
        client: &Client,
        request: &Redemption<'_>,
    ) -> Result<usize, Refusal> {
        let Some(code) = self.codes.get_mut(request.code) else {
            return Err(Refusal::grant("the code is unknown"));
        };
        let index = code.grant;
        let Some(grant) = self.grants.get_mut(index) else {
            return Err(Refusal::grant("the code is unknown"));
        };
        if grant.client != client.id() {
            return Err(Refusal::grant("the code was issued to another client"));
        }
        match code.spent {
            None => {}
            Some(Spent::Redeemed) => {
                grant.revoked = true;
                return Err(Refusal::grant(
                    "the code was used before; the tokens issued from it are revoked",
                )
                .with_outcome(Outcome::CodeReused));
            }
            Some(Spent::Failed) => return Err(Refusal::grant("the code was used up by a faulty attempt")),
        }
        if now >= code.expires {
            return Err(Refusal::grant("the code has expired"));
        }
        if grant.revoked {
            return Err(Refusal::grant("the grant was revoked"));
        }
        code.spent = Some(Spent::Failed);
        match request.redirect_uri {
            None if code.redirect_uri_sent => {
                return Err(Refusal::grant("redirect_uri is missing, the authorization request had it"));
            }
            Some(uri) if uri != code.redirect_uri => {
                return Err(Refusal::grant("redirect_uri differs from that of the authorization request"));
            }
            _ => {}
        }
        match (&code.challenge, request.verifier) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(Refusal::grant(
                    "code_verifier was sent, but the authorization request had no challenge",
                ));
            }
            (Some(_), None) => return Err(Refusal::grant("code_verifier is missing")),
            (Some(challenge), Some(verifier)) => {
                if !is_verifier(verifier) {
                    return Err(Refusal::grant("code_verifier must be 43 to 128 unreserved characters"));
                }
                if !challenge.accepts(verifier) {
                    return Err(Refusal::grant("code_verifier does not match the challenge"));
                }
                if !self.verifiers.insert(verifier.to_owned()) {
                    return Err(Refusal::grant("code_verifier was used for an earlier request"));
                }
            }
        }
        code.spent = Some(Spent::Redeemed);
        Ok(index)
    }

    pub(super) fn note_secret(&mut self, grant: usize) {
        if let Some(grant) = self.grants.get_mut(grant) {
            grant.with_secret = true;
        }
    }

    pub(super) fn issue_access_token(
        &mut self,
        grant: usize,
        scope: Vec<String>,
        expires: Option<SystemTime>,
    ) -> String {
        let token = self.draw("at");
        self.access_tokens.insert(token.clone(), AccessToken { grant, scope, expires, revoked: false });
        token
    }

    pub(super) fn issue_refresh_token(&mut self, config: &Config, now: SystemTime, grant: usize) -> String {
        let token = self.draw("rt");
        let expires = config.refresh_token_lifetime.map(|lifetime| later(now, lifetime));
        let record = RefreshToken { grant, expires, first_used: None, successors: Vec::new() };
        self.refresh_tokens.insert(token.clone(), record);
        token
    }

    /// The grant that a refresh token of this client belongs to.
    pub(super) fn grant_of_refresh_token(&self, client: &Client, token: &str) -> Option<usize> {
        let index = self.refresh_tokens.get(token)?.grant;
        self.grants.get(index).filter(|grant| grant.client == client.id()).map(|_| index)
    }

    /// Uses a refresh token (RFC 6749 §6, RFC 9700 §4.14.2).
    pub(super) fn refresh(
        &mut self,
        config: &Config,
        now: SystemTime,
        client: &Client,
        token: &str,
        scope: Option<Vec<String>>,
        count_as_reused: bool,
    ) -> Result<Refreshed, Refusal> {
        let Some(index) = self.grant_of_refresh_token(client, token) else {
            return Err(Refusal::grant("the refresh token is unknown, or was issued to another client"));
        };
        let (Some(record), Some(grant)) = (self.refresh_tokens.get(token), self.grants.get_mut(index)) else {
            return Err(Refusal::grant("the refresh token is unknown"));
        };
        if grant.revoked {
            return Err(Refusal::grant("the grant was revoked"));
        }
        if record.expires.is_some_and(|expires| now >= expires) {
            return Err(Refusal::grant("the refresh token has expired"));
        }
        let mut outcome = Outcome::RefreshUsed;
        let used = match (config.rotation, record.first_used) {
            (Rotation::Rotate { grace }, Some(first_used)) => {
                let within = grace.is_some_and(|grace| now < later(first_used, grace));
                let successor_used = record.successors.iter().any(|successor| {
                    self.refresh_tokens.get(successor).is_some_and(|next| next.first_used.is_some())
                });
                outcome = Outcome::RefreshGrace;
                !within || successor_used
            }
            _ => false,
        };
        if used || count_as_reused {
            grant.revoked = true;
            return Err(Refusal::grant(
                "the refresh token was used before; all tokens of the grant are revoked",
            )
            .with_outcome(Outcome::RefreshReused));
        }
        let scope = match scope {
            None => grant.scope.clone(),
            Some(scope) if scope.iter().all(|asked| grant.scope.contains(asked)) => scope,
            Some(_) => {
                return Err(Refusal::new("invalid_scope", "the scope exceeds what was granted"));
            }
        };
        let (refresh_token, rotated) = match config.rotation {
            Rotation::None => (None, false),
            Rotation::Repeat => (Some(token.to_owned()), false),
            Rotation::Rotate { .. } => (Some(self.issue_refresh_token(config, now, index)), true),
        };
        if let Some(record) = self.refresh_tokens.get_mut(token) {
            record.first_used.get_or_insert(now);
            if rotated {
                record.successors.extend(refresh_token.clone());
            }
        }
        Ok(Refreshed { grant: index, scope, outcome, refresh_token, rotated })
    }

    /// A token that may be used now, with its grant.
    pub(super) fn access(&self, now: SystemTime, token: &str) -> Result<(&AccessToken, &Grant), Refusal> {
        let Some(record) = self.access_tokens.get(token) else {
            return Err(Refusal::token("the access token is unknown"));
        };
        let Some(grant) = self.grants.get(record.grant) else {
            return Err(Refusal::token("the access token is unknown"));
        };
        if record.revoked || grant.revoked {
            return Err(Refusal::token("the access token was revoked"));
        }
        if record.expires.is_some_and(|expires| now >= expires) {
            return Err(Refusal::token("the access token has expired"));
        }
        Ok((record, grant))
    }

    /// Revokes one token (RFC 7009 §2.1): an access token alone, a refresh token with its whole grant. Says
    /// which grant it was, or nothing where there was nothing to revoke.
    pub(super) fn revoke_token(&mut self, client: &Client, token: &str) -> Result<Option<usize>, Refusal> {
        let refresh = self.refresh_tokens.get(token).map(|record| record.grant);
        let access = self.access_tokens.get(token).map(|record| record.grant);
        let Some(index) = refresh.or(access) else { return Ok(None) };
        let Some(grant) = self.grants.get_mut(index) else { return Ok(None) };
        if grant.client != client.id() {
            return Err(Refusal::grant("the token was issued to another client"));
        }
        if refresh.is_some() {
            let alive = !grant.revoked;
            grant.revoked = true;
            return Ok(alive.then_some(index));
        }
        let alive = !grant.revoked;
        Ok(self.revoke_access_token(token).filter(|_| alive))
    }

    /// Revokes one access token and says which grant it was of, where it was alive.
    pub(super) fn revoke_access_token(&mut self, token: &str) -> Option<usize> {
        let record = self.access_tokens.get_mut(token).filter(|record| !record.revoked)?;
        record.revoked = true;
        Some(record.grant)
    }
}

/// A time too far ahead for the clock counts as now, rather than panicking.
pub(super) fn later(now: SystemTime, by: Duration) -> SystemTime {
    now.checked_add(by).unwrap_or(now)
}
