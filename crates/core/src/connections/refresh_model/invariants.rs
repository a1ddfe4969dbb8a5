//! What holds in every state, and at every step: I1 to I8.

use crate::quirks::Rotation;

use super::super::contents::ReconnectReason;
use super::process::{At, Outcome, Process};
use super::server::Why;
use super::{Owner, State, Stored, Token, World, is_due, is_first_over, is_over};

impl World {
    pub(super) fn check_state(&self, state: &State) -> Result<(), String> {
        if let Stored::Record(record) = state.stored {
            if record.token.family != record.connect {
                return Err("I3: a connect holds the tokens of another".to_owned());
            }
            let is_revoked = state.server.ended(record.connect) == Some(Why::Revoked);
            // I5: why a connection ended is told as it was.
            match record.ended {
                // That another use of an older token ended the family, nobody can know who did not make it.
                Some(ReconnectReason::Refused) if state.server.was_used(record.token) && !is_revoked => {
                    return Err("I5: a lost rotation is told as a refusal".to_owned());
                }
                Some(_) if state.server.takes(record.token, self.rotation) => {
                    return Err("I5: a connection that works is told to be over".to_owned());
                }
                // A process that is alone, and neither dies nor loses an answer, knows what it sent.
                Some(ReconnectReason::RotationLost)
                    if self.mix.is_one_that_knows() && state.sent[usize::from(record.token.n - 1)] < 2 =>
                {
                    return Err("I5: a refusal is told as a lost rotation".to_owned());
                }
                Some(ReconnectReason::RotationLost) if state.excuses == 0 => {
                    return Err("I2: a rotation is lost, and nothing went wrong".to_owned());
                }
                _ => {}
            }
            let is_quiet = state.processes.iter().all(|process| matches!(process.at, At::Idle | At::Done(_)));
            let is_lost = state.server.ended(record.connect).is_none()
                && !state.server.takes(record.token, self.rotation);
            if is_quiet && is_lost && !state.is_excused[usize::from(record.connect)] {
                return Err("I1: the newest refresh token is not in the store".to_owned());
            }
        }
        for (token, sent) in state.sent.iter().enumerate() {
            if *sent > 1 + state.excuses {
                return Err(format!("I2: token {} is sent {sent} times", token + 1));
            }
        }
        if state.server.ended(0) == Some(Why::Reuse) && state.excuses == 0 {
            return Err("I2: the provider saw a refresh token twice, and nothing went wrong".to_owned());
        }
        let has_idle = state.processes.iter().any(|process| matches!(process.at, At::Idle | At::Done(_)));
        if has_idle && (is_first_over(state.time) || state.processes.iter().all(Process::is_over)) {
            self.comes_to_an_end(state)?;
        }
        Ok(())
    }

    pub(super) fn check_step(&self, before: &State, after: &State) -> Result<(), String> {
        let has_lost = before.left.lost_writes != after.left.lost_writes;
        match (before.stored, after.stored) {
            (Stored::Record(old), Stored::Record(new)) if old.connect == new.connect && !has_lost => {
                if new.counter < old.counter || new.counter > old.counter + 1 {
                    return Err("I4: a version does not follow the one before".to_owned());
                }
                if new.counter == old.counter && (new.token, new.ended) != (old.token, old.ended) {
                    return Err("I4: a version has two contents".to_owned());
                }
                // A store that lost a write gives its version once more, and what is written for the one can hit the other. Then
                // what is there works, or the user is asked to connect again.
                let had_lost = before.left.lost_writes < self.mix.faults.lost_writes;
                let is_bearable = new.ended.is_some() || after.server.takes(new.token, self.rotation);
                if new.token.n < old.token.n && !(had_lost && is_bearable) {
                    return Err("I1: older tokens are saved over newer ones".to_owned());
                }
            }
            (Stored::Tombstone, Stored::Record(_)) if before.left.connects == after.left.connects => {
                return Err("I4: what was disconnected is back".to_owned());
            }
            (Stored::Record(old), Stored::Record(new)) if old.connect > new.connect => {
                return Err("I4: an earlier connect is back".to_owned());
            }
            _ => {}
        }
        for p in 0..2 {
            let (was, is) = (before.processes[usize::from(p)].at, after.processes[usize::from(p)].at);
            if let (At::Send(held), At::Check(..)) = (was, is) {
                self.check_send(before, p, held.view.token, held.mark.attempt)?;
            }
            if let (
                At::Lease { .. } | At::LeaseAgain { .. } | At::Check(..),
                At::Remark(held) | At::Send(held),
            ) = (was, is)
            {
                self.check_risk(before, held.view.token, held.mark.attempt)?;
            }
            if let (At::Lease { .. } | At::Load, At::Done(Outcome::Served(token))) = (was, is) {
                if is_over(token, before.time) && before.time == after.time {
                    return Err("I3: a token that is over is served".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Time may pass until it is sent: what counts is when it was decided.
    fn check_risk(&self, state: &State, token: Token, attempt: u32) -> Result<(), String> {
        let is_beyond =
            matches!(self.rotation, Rotation::Grace(_)) && state.server.is_beyond_grace(token, state.time);
        if is_beyond && attempt > 1 && !is_over(token, state.time) {
            return Err(
                "I2: a refresh token is sent beyond its grace while there is something to lose".to_owned()
            );
        }
        Ok(())
    }

    fn check_send(&self, state: &State, p: u8, token: Token, attempt: u32) -> Result<(), String> {
        if !is_due(token, state.time) {
            return Err("I6: a token that is good is refreshed".to_owned());
        }
        // The same process repeats at once where the provider lets it; what is meant is the risk, not the number.
        if attempt > 1 && self.rotation == Rotation::Strict && !is_over(token, state.time) {
            return Err("I2: a refresh token in doubt is sent while there is something to lose".to_owned());
        }
        match state.stored {
            Stored::Record(record) if record.lease == Some(Owner::Process(p)) && record.token != token => {
                Err("I8: a refresh token is sent whose successor is known".to_owned())
            }
            Stored::Record(record) if record.lease == Some(Owner::Process(p)) && record.mark.is_none() => {
                Err("I2: a refresh token is sent without a mark".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether a token that is served is the one that goes on: its refresh token is the newest.
    pub(super) fn is_good(&self, state: &State, token: Token) -> bool {
        state.server.takes(token, self.rotation)
            || state.is_excused[usize::from(token.family)]
            || state.server.ended(token.family).is_some()
    }
}
