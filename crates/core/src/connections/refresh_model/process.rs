//! One process: P0 to P11, as `flight`, `refresh` and `save` go through them.

use super::super::contents::ReconnectReason;
use super::super::plan::{Conflict, Fate, Step};
use super::{Mark, Owner, Record, State, Stored, Token, World, is_over, now};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) at: At,
    /// How many calls it will make still.
    pub(super) calls: u8,
    pub(super) unsent: Option<Unsent>,
}

/// What a process knows of the last mark that it wrote, as long as it sent nothing under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unsent {
    pub(super) before: Option<Mark>,
    /// Whether the process has given up the lease.
    pub(super) is_lost: bool,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Nothing is under way.
    Idle,
    /// P0.
    Load,
    /// P2.
    Lease {
        view: Record,
        is_served: bool,
        looked_at: u8,
    },
    /// P2 again, after its answer was lost.
    LeaseAgain {
        view: Record,
        is_served: bool,
        looked_at: u8,
    },
    /// P4.
    Remark(Held),
    /// P11 where nothing is to be sent after all: the mark that was found is put back.
    PutBack(Held),
    /// P5.
    Send(Held),
    /// P8.
    Check(Held, Answer),
    /// P9, over this version.
    Save(Held, Token, u8),
    /// P9, after its answer was lost.
    SaveCheck(Held, Token, u8),
    /// The provider refused: is the record still the one that was sent?
    EndLoad(Held),
    EndSave(Held, ReconnectReason),
    /// P11 after a failure: with a save that says that nobody asks for a while, or without.
    GiveUp(Held, bool, Outcome),
    /// P11, keeping the mark or not.
    Release(Held, bool, Outcome),
    Done(Outcome),
}

/// A lease that was got, and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) view: Record,
    pub(super) mark: Mark,
    /// The mark that was found, as far as it counts.
    pub(super) found: Option<Mark>,
    pub(super) is_served: bool,
    /// Whether a second request may follow the first.
    pub(super) may_repeat: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Tokens(Token),
    InvalidGrant,
    Failed(FateOf),
}

/// [`Fate`], without the one that is an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FateOf {
    NotUsed,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Served(Token),
    Failed,
    NotConnected,
    Reconnect(ReconnectReason),
}

impl Process {
    pub(super) const fn new(calls: u8) -> Self {
        Self { at: At::Idle, calls, unsent: None }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.at, At::Idle | At::Done(_)) && self.calls == 0
    }
}

/// What a step is called, and where it leads.
pub(super) type Next = (&'static str, State);

impl World {
    /// Every step that process `p` may take now, well or with a loss.
    pub(super) fn steps(&self, state: &State, p: u8, with_losses: bool) -> Vec<Next> {
        let mut next = Vec::new();
        let can_lose = with_losses && state.left.losses > 0;
        let process = state.processes[usize::from(p)];
        let mut go = |name, change: &dyn Fn(&mut State) -> At| {
            let mut after = *state;
            after.processes[usize::from(p)].at = change(&mut after);
            next.push((name, after));
        };
        let lose = |after: &mut State| {
            after.left.losses -= 1;
            after.excuses += 1;
        };
        match process.at {
            At::Idle | At::Done(_) if process.calls == 0 => {}
            At::Idle | At::Done(_) => go("calls", &|after| {
                after.processes[usize::from(p)].calls -= 1;
                At::Load
            }),
            At::Load => go("P0 loads", &|after| self.look(after, p)),
            At::Lease { view, is_served, looked_at } => {
                go("P2 leases", &|after| self.lease(after, p, (view, looked_at), is_served));
                if can_lose {
                    go("P2 leases, and the answer is lost", &|after| {
                        lose(after);
                        let known = after.processes[usize::from(p)].unsent;
                        let _ = self.lease(after, p, (view, looked_at), is_served);
                        after.processes[usize::from(p)].unsent = known;
                        At::LeaseAgain { view, is_served, looked_at }
                    });
                }
            }
            At::LeaseAgain { view, is_served, looked_at } => {
                go("P2 leases again", &|after| self.lease(after, p, (view, looked_at), is_served));
            }
            At::Remark(held) => go("P4 marks", &|after| match renew(after, p, held.mark) {
                true => At::Send(held),
                false => At::Load,
            }),
            At::PutBack(held) => go("P11 puts the mark back", &|after| {
                if let Some(found) = held.found {
                    let _ = renew(after, p, found);
                }
                At::Release(held, held.found.is_some(), Outcome::Served(held.view.token))
            }),
            At::Send(held) => {
                if held.may_repeat && leased(&mut state.clone(), p).is_none() {
                    go("P5 finds its lease lost", &|_| At::Load);
                }
                let sends = |after: &mut State| after.processes[usize::from(p)].unsent = None;
                go("P5 sends", &|after| {
                    sends(after);
                    let answer = self.send(after, held);
                    At::Check(held, answer.map_or(Answer::InvalidGrant, Answer::Tokens))
                });
                if can_lose {
                    go("P5 sends, and the answer is lost", &|after| {
                        lose(after);
                        sends(after);
                        if let Some(token) = self.send(after, held) {
                            after.is_excused[usize::from(token.family)] = true;
                        }
                        At::Check(held, Answer::Failed(FateOf::Unknown))
                    });
                    go("P5 sends, and the request is lost", &|after| {
                        lose(after);
                        sends(after);
                        At::Check(held, Answer::Failed(FateOf::Unknown))
                    });
                    go("P5 does not get there", &|after| {
                        lose(after);
                        At::Check(held, Answer::Failed(FateOf::NotUsed))
                    });
                }
            }
            At::Check(held, answer) => go("P8 checks", &|after| self.check(after, p, held, answer)),
            At::Save(held, token, over) => {
                go("P9 saves", &|after| self.save(after, p, held, token, over));
                if can_lose {
                    go("P9 saves, and the answer is lost", &|after| {
                        lose(after);
                        let _ = self.save(after, p, held, token, over);
                        At::SaveCheck(held, token, over)
                    });
                }
            }
            At::SaveCheck(held, token, over) => go("P9 looks what was saved", &|after| match after.stored {
                Stored::Record(record) if record.connect == held.view.connect && record.counter == over => {
                    At::Save(held, token, over)
                }
                Stored::Record(record) if record.token == token && record.ended.is_none() => {
                    At::Done(Outcome::Served(token))
                }
                _ => self.save(after, p, held, token, over),
            }),
            At::EndLoad(held) => go("looks before it ends", &|after| match after.stored {
                Stored::Record(record)
                    if record.is_version_of(&held.view) && record.token != held.view.token =>
                {
                    At::Done(Outcome::Failed)
                }
                Stored::Record(record) if record.is_version_of(&held.view) => {
                    let own = self.mark(&held.mark);
                    let stored = record.mark.map(|mark| self.mark(&mark));
                    let attempts = (self.rules.attempts)(&own, stored.as_ref());
                    At::EndSave(held, (self.rules.reason_of_refusal)(self.rotation, attempts))
                }
                Stored::Record(_) => self.look(after, p),
                Stored::Tombstone => At::Done(Outcome::NotConnected),
            }),
            At::EndSave(held, reason) => go("ends", &|after| match after.stored {
                Stored::Record(record) if record.is_version_of(&held.view) => {
                    let ended = Record { token: held.view.token, ended: Some(reason), doubt: None, ..record };
                    write(after, ended);
                    At::Done(Outcome::Reconnect(reason))
                }
                Stored::Record(_) => self.look(after, p),
                Stored::Tombstone => At::Done(Outcome::Reconnect(reason)),
            }),
            At::GiveUp(held, keeps_mark, outcome) => {
                go("P11 releases", &|after| release(after, p, keeps_mark, outcome));
                go("P11 says that nobody asks", &|after| {
                    if let Some(record) = leased(after, p).copied() {
                        let doubt = keeps_mark.then_some(held.mark);
                        write(after, Record { doubt, ..record });
                    }
                    release(after, p, keeps_mark, outcome)
                });
            }
            At::Release(_, keeps_mark, outcome) => {
                go("P11 releases", &|after| release(after, p, keeps_mark, outcome));
            }
        }
        for (_, after) in &mut next {
            after.forget_owner_if_idle(p);
        }
        next
    }

    /// P0, P3 and whenever the record has changed: what is to be done with it.
    fn look(&self, state: &State, p: u8) -> At {
        let Stored::Record(mut view) = state.stored else { return At::Done(Outcome::NotConnected) };
        view.mark = self.mark_that_counts(self.mark_of(&view), p, state.processes[usize::from(p)].unsent);
        match self.assess(&view, view.mark, state.time) {
            Step::Serve { .. } => At::Done(Outcome::Served(view.token)),
            Step::ServeAndRefresh => At::Lease { view, is_served: true, looked_at: state.time },
            Step::Refresh => At::Lease { view, is_served: false, looked_at: state.time },
            Step::Reconnect(reason) => At::Done(Outcome::Reconnect(reason)),
        }
    }

    fn lease(&self, state: &mut State, p: u8, (view, looked_at): (Record, u8), is_served: bool) -> At {
        let time = state.time;
        let me = Owner::Process(p);
        let Stored::Record(record) = &mut state.stored else { return At::Done(Outcome::NotConnected) };
        if !record.is_version_of(&view) {
            return self.look(state, p);
        }
        if record.lease.is_some_and(|lease| lease != me) {
            return if is_served { serve(view.token, time) } else { At::Load };
        }
        let doubt = |record: &Record| record.doubt.map(|mark| (mark.token, mark.attempt, mark.at));
        if (record.token, record.ended, doubt(record)) != (view.token, view.ended, doubt(&view)) {
            // A store that lost a write gives a version a second time: X34.
            return At::Done(Outcome::Failed);
        }
        let written = self.mark_after(view.mark, p, view.token, looked_at);
        let found = self.mark_of(record);
        record.lease = Some(me);
        record.mark = Some(written);
        let found = self.mark_that_counts(found, p, state.processes[usize::from(p)].unsent);
        let mark = self.mark_after(found, p, view.token, looked_at);
        let held = Held { view, mark, found, is_served, may_repeat: true };
        state.processes[usize::from(p)].unsent = Some(Unsent { before: found, is_lost: false });
        // Of an earlier mark of its own it knows nothing any more.
        state.relabel(Owner::Unsent(p), Owner::Nobody);
        if matches!(self.assess(&view, found, time), Step::Serve { .. }) {
            return At::PutBack(held);
        }
        if mark == written { At::Send(held) } else { At::Remark(held) }
    }

    fn send(&self, state: &mut State, held: Held) -> Option<Token> {
        let token = held.view.token;
        if token.family == 0 {
            state.sent[usize::from(token.n - 1)] += 1;
        }
        state.server.refresh(token, self.provider, state.time)
    }

    fn check(&self, state: &mut State, p: u8, held: Held, answer: Answer) -> At {
        let fate = match answer {
            Answer::Tokens(token) => return At::Save(held, token, held.view.counter),
            Answer::InvalidGrant => return At::EndLoad(held),
            Answer::Failed(FateOf::NotUsed) => Fate::NotUsed,
            Answer::Failed(FateOf::Unknown) => Fate::Unknown,
        };
        let mark = self.mark(&held.mark);
        let may_repeat = (self.rules.may_repeat)(self.rotation, &mark, now(state.time));
        if fate == Fate::Unknown && held.may_repeat && may_repeat {
            let mark = Mark { attempt: (held.mark.attempt + 1).min(3), ..held.mark };
            if renew(state, p, mark) {
                return At::Send(Held { mark, may_repeat: false, ..held });
            }
        }
        let keeps_mark = (self.rules.stays_in_doubt)(fate, held.mark.attempt);
        let is_good = held.is_served && !is_over(held.view.token, state.time);
        let outcome = if is_good { Outcome::Served(held.view.token) } else { Outcome::Failed };
        At::GiveUp(held, keeps_mark, outcome)
    }

    fn save(&self, state: &mut State, p: u8, held: Held, token: Token, over: u8) -> At {
        let record = match state.stored {
            Stored::Record(record) => record,
            Stored::Tombstone => {
                state.server.revoke(token.family);
                return At::Done(Outcome::NotConnected);
            }
        };
        if (record.connect, record.counter) == (held.view.connect, over) {
            write(state, Record { token, ended: None, doubt: None, ..record });
            return At::Done(Outcome::Served(token));
        }
        let is_same_grant = record.token == held.view.token;
        match (self.rules.conflict)(&held.view.version(), &record.version(), is_same_grant) {
            Conflict::SaveOver => At::Save(held, token, record.counter),
            Conflict::Superseded => self.look(state, p),
        }
    }
}

/// P11, of the lease that is held still.
fn release(state: &mut State, p: u8, keeps_mark: bool, outcome: Outcome) -> At {
    if let Some(record) = leased(state, p) {
        record.lease = None;
        if !keeps_mark {
            record.mark = None;
        }
    }
    match outcome {
        Outcome::Served(token) => serve(token, state.time),
        outcome => At::Done(outcome),
    }
}

/// A token that a flight found is looked at once more before a caller gets it.
fn serve(token: Token, time: u8) -> At {
    if is_over(token, time) { At::Load } else { At::Done(Outcome::Served(token)) }
}

/// The next version: lease and mark go with it.
fn write(state: &mut State, record: Record) {
    if let Stored::Record(before) = state.stored {
        state.before = Some(Record { lease: None, ..before });
    }
    let counter = record.counter + 1;
    state.stored = Stored::Record(Record { counter, lease: None, mark: None, ..record });
}

fn leased(state: &mut State, p: u8) -> Option<&mut Record> {
    match &mut state.stored {
        Stored::Record(record) if record.lease == Some(Owner::Process(p)) => Some(record),
        _ => None,
    }
}

/// Writes the mark, if the lease is held still.
fn renew(state: &mut State, p: u8, mark: Mark) -> bool {
    leased(state, p).map(|record| record.mark = Some(mark)).is_some()
}

impl State {
    /// Each attempt has a holder of its own: what an earlier one left is nobody's, or known to be unsent.
    fn forget_owner_if_idle(&mut self, p: u8) {
        let process = &mut self.processes[usize::from(p)];
        if !matches!(process.at, At::Idle | At::Done(_) | At::Load | At::Lease { .. }) {
            return;
        }
        let is_unsent = process.unsent.is_some_and(|unsent| !unsent.is_lost);
        process.unsent = process.unsent.map(|unsent| Unsent { is_lost: true, ..unsent });
        self.relabel(Owner::Process(p), if is_unsent { Owner::Unsent(p) } else { Owner::Nobody });
        let is_unsent = |mark: Mark| mark.owner == Owner::Unsent(p);
        let is_marked =
            |record: &Record| record.mark.is_some_and(is_unsent) || record.doubt.is_some_and(is_unsent);
        let stored = matches!(&self.stored, Stored::Record(record) if is_marked(record));
        if !stored && !self.before.as_ref().is_some_and(is_marked) {
            self.processes[usize::from(p)].unsent = None;
        }
    }

    /// What a process knew is gone with it.
    pub(super) fn forget_owner(&mut self, p: u8) {
        self.processes[usize::from(p)].unsent = None;
        self.relabel(Owner::Process(p), Owner::Nobody);
        self.relabel(Owner::Unsent(p), Owner::Nobody);
    }

    fn relabel(&mut self, from: Owner, to: Owner) {
        let change = |record: &mut Record| {
            // Whoever holds a lease and has gone is nobody, whatever is known of the mark.
            record.lease = record.lease.map(|owner| if owner == from { Owner::Nobody } else { owner });
            let relabelled =
                |mark: Mark| Mark { owner: if mark.owner == from { to } else { mark.owner }, ..mark };
            record.mark = record.mark.map(relabelled);
            record.doubt = record.doubt.map(relabelled);
        };
        if let Stored::Record(record) = &mut self.stored {
            change(record);
        }
        if let Some(record) = &mut self.before {
            change(record);
        }
    }
}
