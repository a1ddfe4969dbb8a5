//! Goes through every state that can be reached.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::quirks::Rotation;

use super::process::{At, Next, Outcome};
use super::server::Why;
use super::{Record, State, Stored, TIMES, World};

/// What came of it.
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) steps: usize,
    /// The way to the first state that should not be, step by step, and what is wrong with it.
    pub(super) broken: Option<(String, Vec<&'static str>)>,
}

impl World {
    pub(super) fn explore(&self) -> Explored {
        let begin = self.begin();
        let mut seen = Seen::default();
        seen.note(&begin, None);
        let mut open = VecDeque::from([begin]);
        let mut steps = 0;
        // They are looked at in the order in which they were seen first.
        for at in 0_u32.. {
            let Some(state) = open.pop_front() else { break };
            if let Err(what) = self.check_state(&state) {
                return Explored { states: seen.len(), steps, broken: Some((what, seen.way(at))) };
            }
            if state.server.is_full() {
                continue;
            }
            for (name, next) in self.all_steps(&state) {
                steps += 1;
                if let Err(what) = self.check_step(&state, &next) {
                    let mut way = seen.way(at);
                    way.push(name);
                    return Explored { states: seen.len(), steps, broken: Some((what, way)) };
                }
                if seen.note(&next, Some((at, name))) {
                    open.push_back(next);
                }
            }
        }
        Explored { states: seen.len(), steps, broken: None }
    }

    fn all_steps(&self, state: &State) -> Vec<Next> {
        let mut next = self.steps(state, 0, true);
        next.extend(self.steps(state, 1, true).into_iter().map(|(name, state)| (second(name), state)));
        self.faults(state, &mut next);
        next
    }

    /// What happens around the processes.
    fn faults(&self, state: &State, next: &mut Vec<Next>) {
        let mut go = |name, change: &dyn Fn(&mut State)| {
            let mut after = *state;
            change(&mut after);
            next.push((name, after));
        };
        for p in 0..2 {
            let at = state.processes[usize::from(p)].at;
            if state.left.crashes > 0 && !matches!(at, At::Idle | At::Done(_)) {
                go(if p == 0 { "dies" } else { "the other dies" }, &|after| {
                    after.left.crashes -= 1;
                    after.excuses += 1;
                    if let At::Check(_, super::process::Answer::Tokens(token))
                    | At::Save(_, token, _)
                    | At::SaveCheck(_, token, _) = at
                    {
                        after.is_excused[usize::from(token.family)] = true;
                    }
                    after.forget_owner(p);
                    after.processes[usize::from(p)].at = At::Idle;
                    after.processes[usize::from(p)].calls += 1;
                });
            }
        }
        if let Stored::Record(record) = state.stored {
            if state.left.lease_ends > 0 && record.lease.is_some() {
                go("the lease ends", &|after| {
                    after.left.lease_ends -= 1;
                    after.excuses += 1;
                    end_lease(after);
                });
            }
            if state.left.revocations > 0 {
                go("the provider revokes", &|after| {
                    after.left.revocations -= 1;
                    after.server.revoke(record.connect);
                });
            }
            if state.left.disconnects > 0 {
                go("disconnects", &|after| {
                    after.left.disconnects -= 1;
                    after.stored = Stored::Tombstone;
                    after.before = None;
                    after.server.revoke(record.token.family);
                });
            }
        }
        if state.left.connects > 0 {
            go("connects anew", &|after| {
                after.left.connects -= 1;
                let token = after.server.connect(1);
                after.before = None;
                after.stored = Stored::Record(Record {
                    connect: 1,
                    counter: 1,
                    token,
                    ended: None,
                    lease: None,
                    mark: None,
                    doubt: None,
                });
            });
        }
        if let Some(before) = state.before.filter(|_| state.left.lost_writes > 0) {
            go("the store loses its last write", &|after| {
                after.left.lost_writes -= 1;
                after.excuses += 1;
                after.is_excused = [true; 2];
                after.stored = Stored::Record(before);
                after.before = None;
            });
        }
        if state.time + 1 < TIMES {
            // Where there is no grace, the time that is for its end is like the one before.
            let has_grace = matches!(self.rotation, Rotation::Grace(_));
            go("time passes", &|after| after.time += if after.time == 0 && !has_grace { 2 } else { 1 });
        }
    }

    /// I7: with nothing going wrong any more, both calls come to an end, and the next one gets what there is to get.
    pub(super) fn comes_to_an_end(&self, state: &State) -> Result<(), String> {
        let mut state = State { time: TIMES - 1, ..*state };
        state.processes.iter_mut().for_each(|process| process.calls = 0);
        for p in [0, 1] {
            self.run(&mut state, p)?;
        }
        // A lease that is waited for ends by itself.
        end_lease(&mut state);
        for p in [0, 1] {
            self.run(&mut state, p)?;
        }
        end_lease(&mut state);
        state.processes[0].at = At::Load;
        self.run(&mut state, 0)?;
        let At::Done(outcome) = state.processes[0].at else {
            return Err("I7: a call does not come to an end".to_owned());
        };
        match (outcome, state.stored) {
            (Outcome::Failed, _) => Err("I7: a call fails, and nothing is wrong any more".to_owned()),
            (Outcome::Served(token), _) if state.server.ended(token.family) == Some(Why::Revoked) => Ok(()),
            (Outcome::Served(token), _) if !self.is_good(&state, token) => {
                Err(format!("I2: {token:?} is served in the end, and is not the newest"))
            }
            _ => Ok(()),
        }
    }

    /// Runs one process until it has nothing to do, or waits for a lease.
    fn run(&self, state: &mut State, p: u8) -> Result<(), String> {
        for _ in 0..60 {
            let at = state.processes[usize::from(p)].at;
            if matches!(at, At::Idle | At::Done(_)) {
                return Ok(());
            }
            let Some((_, next)) = self.steps(state, p, false).into_iter().next() else { return Ok(()) };
            let waits = matches!(at, At::Lease { .. } | At::LeaseAgain { .. })
                && next.processes[usize::from(p)].at == At::Load;
            *state = next;
            if waits {
                end_lease(state);
            }
        }
        Err("I6: a process goes on for ever".to_owned())
    }
}

fn end_lease(state: &mut State) {
    if let Stored::Record(record) = &mut state.stored {
        record.lease = None;
    }
}

fn second(name: &'static str) -> &'static str {
    // The way that led to a mistake is read by people.
    const NAMES: &[(&str, &str)] = &[
        ("calls", "                    | calls"),
        ("P0 loads", "                    | P0 loads"),
        ("P2 leases", "                    | P2 leases"),
        ("P2 leases again", "                    | P2 leases again"),
        ("P2 leases, and the answer is lost", "                    | P2 leases, and the answer is lost"),
        ("P4 marks", "                    | P4 marks"),
        ("P5 sends", "                    | P5 sends"),
        ("P5 sends, and the answer is lost", "                    | P5 sends, and the answer is lost"),
        ("P5 sends, and the request is lost", "                    | P5 sends, and the request is lost"),
        ("P5 does not get there", "                    | P5 does not get there"),
        ("P8 checks", "                    | P8 checks"),
        ("P9 saves", "                    | P9 saves"),
        ("P9 saves, and the answer is lost", "                    | P9 saves, and the answer is lost"),
        ("P9 looks what was saved", "                    | P9 looks what was saved"),
        ("P5 finds its lease lost", "                    | P5 finds its lease lost"),
        ("P11 puts the mark back", "                    | P11 puts the mark back"),
        ("P11 releases", "                    | P11 releases"),
        ("P11 says that nobody asks", "                    | P11 says that nobody asks"),
        ("looks before it ends", "                    | looks before it ends"),
        ("ends", "                    | ends"),
    ];
    NAMES.iter().find(|(one, _)| *one == name).map_or(name, |(_, other)| other)
}

/// The states that were seen. There are millions, so that of each only its fingerprint is kept, of 128 bits: that two are alike
/// is less likely than that the memory errs.
#[derive(Default)]
struct Seen {
    fingerprints: HashSet<u128>,
    /// How each was reached first, but for the beginning: from which, and by what step.
    from: Vec<Option<(u32, &'static str)>>,
}

impl Seen {
    /// Whether it had not been seen.
    fn note(&mut self, state: &State, from: Option<(u32, &'static str)>) -> bool {
        let half = |which: u8| {
            let mut hasher = DefaultHasher::new();
            (which, state).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        let is_new = self.fingerprints.insert(half(0) << 64 | half(1));
        if is_new {
            self.from.push(from);
        }
        is_new
    }

    fn len(&self) -> usize {
        self.from.len()
    }

    fn way(&self, to: u32) -> Vec<&'static str> {
        let before = |at: u32| self.from.get(usize::try_from(at).ok()?).copied().flatten();
        let steps = std::iter::successors(before(to), |(from, _)| before(*from));
        let mut way: Vec<_> = steps.map(|(_, name)| name).collect();
        way.reverse();
        way
    }
}
