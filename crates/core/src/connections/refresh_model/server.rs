//! The authorization server: what it gives for a refresh token, and when it ends a family.

use crate::quirks::Rotation;

use super::{Provider, Token};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Server {
    families: [Family; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct Family {
    /// The number of the last token that was issued.
    newest: u8,
    /// A bit for each refresh token that was used.
    used: u8,
    /// When the last one was used first.
    used_at: u8,
    ended: Option<Why>,
}

/// Why a family has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// A refresh token was used twice.
    Reuse,
    /// It was revoked.
    Revoked,
}

impl Server {
    pub(super) fn new() -> Self {
        Self { families: [Family { newest: 1, ..Family::default() }, Family::default()] }
    }

    /// A new connect.
    pub(super) fn connect(&mut self, family: u8) -> Token {
        self.families[usize::from(family)].newest = 1;
        Token { family, n: 1 }
    }

    /// A refresh; none if the grant is refused.
    pub(super) fn refresh(&mut self, token: Token, provider: Provider, time: u8) -> Option<Token> {
        let family = &mut self.families[usize::from(token.family)];
        if family.ended.is_some() {
            return None;
        }
        let bit = 1 << (token.n - 1);
        if family.used & bit != 0 {
            match provider.rotation {
                Rotation::None => {}
                Rotation::Grace(_) if family.used_at == time => {}
                Rotation::Grace(_) | Rotation::Strict => {
                    if provider.revokes_families {
                        family.ended = Some(Why::Reuse);
                    }
                    return None;
                }
            }
        } else {
            family.used_at = time;
        }
        family.used |= bit;
        family.newest += 1;
        Some(Token { family: token.family, n: family.newest })
    }

    pub(super) fn revoke(&mut self, family: u8) {
        self.families[usize::from(family)].ended.get_or_insert(Why::Revoked);
    }

    pub(super) fn ended(&self, family: u8) -> Option<Why> {
        self.families[usize::from(family)].ended
    }

    /// Whether a refresh with this token would be answered with another one, and nothing be lost by it.
    pub(super) fn takes(&self, token: Token, rotation: Rotation) -> bool {
        let family = &self.families[usize::from(token.family)];
        family.ended.is_none() && (rotation == Rotation::None || family.used & (1 << (token.n - 1)) == 0)
    }

    pub(super) fn was_used(&self, token: Token) -> bool {
        self.families[usize::from(token.family)].used & (1 << (token.n - 1)) != 0
    }

    /// Whether a second use of this token would be one too many.
    pub(super) fn is_beyond_grace(&self, token: Token, time: u8) -> bool {
        self.was_used(token) && self.families[usize::from(token.family)].used_at != time
    }

    pub(super) fn is_full(&self) -> bool {
        self.families.iter().any(|family| usize::from(family.newest) >= super::MAX_TOKENS)
    }
}
