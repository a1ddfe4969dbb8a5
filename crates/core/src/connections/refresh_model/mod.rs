//! The refresh protocol, explored whole: two processes, one store, one authorization server, and everything that can go wrong
//! between any two of their steps. What the processes decide, they decide with the functions of `plan`.
//!
//! A step is what happens at once: one operation of the store, one request, one decision. In between, in any order: the other
//! process's steps, a process that dies and begins anew, a lease that ends (which is also what a pause looks like from outside),
//! a request or an answer that is lost, time that passes, a disconnect, a new connect, a store that loses its last write.

mod explore;
mod invariants;
mod process;
mod server;
mod tests;

use std::time::{Duration, SystemTime};

use super::contents::{Contents, Ended, ReconnectReason};
use super::plan::{self, Conflict, Demand, Fate, Moment, Policy, Step, Unsent};
use crate::quirks::{RefreshPolicy, Rotation};
use crate::scopes::Scopes;
use crate::token::{Expiry, TokenSet};
use crate::token_store::{Incarnation, LeaseHolder, RefreshMark, Version};

/// The decisions, so that one of them can be broken.
#[derive(Clone, Copy)]
struct Rules {
    assess: fn(&Contents, &Version, Option<&RefreshMark>, &Policy, f64, Demand, Moment) -> Step,
    mark_after: fn(Option<&RefreshMark>, LeaseHolder, [u8; 32], SystemTime) -> RefreshMark,
    mark_of: fn(Option<RefreshMark>, Option<RefreshMark>) -> Option<RefreshMark>,
    mark_that_counts: fn(Option<RefreshMark>, Option<&Unsent>) -> Option<RefreshMark>,
    may_repeat: fn(Rotation, &RefreshMark, SystemTime) -> bool,
    attempts: fn(&RefreshMark, Option<&RefreshMark>) -> u32,
    reason_of_refusal: fn(Rotation, u32) -> ReconnectReason,
    stays_in_doubt: fn(Fate, u32) -> bool,
    conflict: fn(&Version, &Version, bool) -> Conflict,
}

impl Rules {
    const OURS: Self = Self {
        assess: plan::assess,
        mark_after: plan::mark_after,
        mark_of: plan::mark_of,
        mark_that_counts: plan::mark_that_counts,
        may_repeat: plan::may_repeat,
        attempts: plan::attempts,
        reason_of_refusal: plan::reason_of_refusal,
        stays_in_doubt: plan::stays_in_doubt,
        conflict: plan::conflict,
    };
}

/// The `n`th token set of a family: a family is what one connect began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Token {
    family: u8,
    n: u8,
}

/// Who holds a lease or wrote a mark. One whose process has died, or has begun anew, is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Process(u8),
    /// A process whose lease was lost, and that knows that it sent nothing under it.
    Unsent(u8),
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Mark {
    owner: Owner,
    token: Token,
    attempt: u32,
    at: u8,
}

/// What the store holds for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stored {
    Record(Record),
    Tombstone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    connect: u8,
    counter: u8,
    token: Token,
    ended: Option<ReconnectReason>,
    lease: Option<Owner>,
    mark: Option<Mark>,
    /// The mark that a save took away which says that nobody asks for a while.
    doubt: Option<Mark>,
}

impl Record {
    fn version(&self) -> Version {
        Version::new(Incarnation::from_bytes([self.connect; 16]), u64::from(self.counter))
    }

    fn is_version_of(&self, other: &Self) -> bool {
        (self.connect, self.counter) == (other.connect, other.counter)
    }
}

/// What may still go wrong, and what has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Faults {
    crashes: u8,
    /// Requests that are not sent, or are lost, or whose answers are lost; answers of the store that are lost.
    losses: u8,
    lease_ends: u8,
    /// The provider, or the user at the provider, ends the connection.
    revocations: u8,
    disconnects: u8,
    connects: u8,
    lost_writes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    stored: Stored,
    /// What the store held before its last write.
    before: Option<Record>,
    server: server::Server,
    processes: [process::Process; 2],
    left: Faults,
    time: u8,
    /// How often each of the first family's tokens was sent.
    sent: [u8; MAX_TOKENS],
    /// How many faults have happened that excuse a second use of a refresh token.
    excuses: u8,
    /// Whether tokens were given that no process ever held, or whose process died with them.
    is_excused: [bool; 2],
}

/// Time goes on in steps: the first token near its end, then nearer by more than the grace, the first over, the second over.
const TIMES: u8 = 4;
/// The time of a mark of which nobody knows it.
const NO_TIME: u8 = u8::MAX;
const MAX_TOKENS: usize = 8;
const LIFETIME: u64 = 1000;
const GRACE: u64 = 30;

struct World {
    rules: Rules,
    policy: Policy,
    rotation: Rotation,
    provider: Provider,
    mix: Mix,
    contents: Vec<Contents>,
}

/// How the provider deals with refresh tokens.
#[derive(Clone, Copy, Debug)]
struct Provider {
    rotation: Rotation,
    /// Whether a second use of a refresh token ends all that came of it, or is refused only.
    revokes_families: bool,
}

/// How often the processes call, and what may go wrong.
#[derive(Clone, Copy, Debug)]
struct Mix {
    calls: [u8; 2],
    faults: Faults,
}

impl Mix {
    /// Whether one process is alone, and learns of all that it did.
    fn is_one_that_knows(&self) -> bool {
        let Faults { crashes, losses, lost_writes, .. } = self.faults;
        self.calls[1] == 0 && (crashes, losses, lost_writes) == (0, 0, 0)
    }
}

impl World {
    fn new(rules: Rules, provider: Provider, mix: Mix) -> Self {
        let rotation = provider.rotation;
        let quirk = RefreshPolicy { rotation, ..RefreshPolicy::default() };
        let policy = Policy::new(&quirk, Duration::from_secs(60), Duration::from_secs(1_000_000));
        let mut contents = Vec::new();
        for family in 0..2 {
            for n in 1..=u8::try_from(MAX_TOKENS).unwrap() {
                contents.extend(REASONS.map(|ended| contents_of(Token { family, n }, ended)));
            }
        }
        Self { rules, policy, rotation, provider, mix, contents }
    }

    fn begin(&self) -> State {
        let token = Token { family: 0, n: 1 };
        let record =
            Record { connect: 0, counter: 1, token, ended: None, lease: None, mark: None, doubt: None };
        State {
            stored: Stored::Record(record),
            before: None,
            server: server::Server::new(),
            processes: self.mix.calls.map(process::Process::new),
            left: self.mix.faults,
            time: 0,
            sent: [0; MAX_TOKENS],
            excuses: 0,
            is_excused: [false; 2],
        }
    }

    fn assess(&self, record: &Record, mark: Option<Mark>, time: u8) -> Step {
        let contents = &self.contents[place(record.token, record.ended)];
        let mark = mark.map(|mark| self.mark(&mark));
        let moment = Moment { now: now(time), seen_at: now(time), seen_for: Duration::ZERO };
        (self.rules.assess)(
            contents,
            &record.version(),
            mark.as_ref(),
            &self.policy,
            0.0,
            Demand::Valid,
            moment,
        )
    }

    fn mark(&self, mark: &Mark) -> RefreshMark {
        RefreshMark::new(holder(mark.owner), self.hash(mark.token), now(mark.at)).attempt(mark.attempt)
    }

    /// Of the refresh token: one that is not rotated stays the same.
    fn hash(&self, token: Token) -> [u8; 32] {
        let n = if self.rotation == Rotation::None { 0 } else { token.n };
        let mut hash = [0; 32];
        (hash[0], hash[1]) = (token.family, n);
        hash
    }

    /// The mark that process `p` writes after the one that it found.
    fn mark_after(&self, found: Option<Mark>, p: u8, token: Token, time: u8) -> Mark {
        let owner = Owner::Process(p);
        let found = found.map(|mark| self.mark(&mark));
        let mark = (self.rules.mark_after)(found.as_ref(), holder(owner), self.hash(token), now(time));
        // Three say as much as more: it is the second that makes the difference.
        Mark { owner, token, attempt: mark.attempt.min(3), at: time_of(&mark) }
    }

    /// The mark of a record, wherever it stands.
    fn mark_of(&self, record: &Record) -> Option<Mark> {
        let [mark, doubt] = [record.mark, record.doubt].map(|mark| mark.map(|mark| self.mark(&mark)));
        let found = (self.rules.mark_of)(mark.clone(), doubt);
        if found == mark { record.mark } else { record.doubt }
    }

    /// What a mark tells to process `p`, which may know better.
    fn mark_that_counts(&self, found: Option<Mark>, p: u8, unsent: Option<process::Unsent>) -> Option<Mark> {
        let before = unsent.and_then(|unsent| unsent.before);
        let known = unsent.map(|unsent| Unsent {
            holder: holder(if unsent.is_lost { Owner::Unsent(p) } else { Owner::Process(p) }),
            before: before.map(|mark| self.mark(&mark)),
        });
        let marked = found.map(|mark| self.mark(&mark));
        let counts = (self.rules.mark_that_counts)(marked.clone(), known.as_ref());
        if counts == marked { found } else { before }
    }
}

fn holder(owner: Owner) -> LeaseHolder {
    LeaseHolder::from_bytes(match owner {
        Owner::Process(number) => [number; 16],
        Owner::Unsent(number) => [100 + number; 16],
        Owner::Nobody => [u8::MAX; 16],
    })
}

const REASONS: [Option<ReconnectReason>; 3] =
    [None, Some(ReconnectReason::Refused), Some(ReconnectReason::RotationLost)];

/// Where the contents with this token stand.
fn place(token: Token, ended: Option<ReconnectReason>) -> usize {
    let ended = REASONS.iter().position(|reason| *reason == ended).expect("a reason of the model");
    (usize::from(token.family) * MAX_TOKENS + usize::from(token.n) - 1) * REASONS.len() + ended
}

fn time_of(mark: &RefreshMark) -> u8 {
    let mut times = (0..TIMES).chain([NO_TIME]);
    times.find(|time| now(*time) == mark.started_at).expect("a time of the model")
}

fn now(time: u8) -> SystemTime {
    let at = match time {
        NO_TIME => 0,
        0 => LIFETIME - 55,
        1 => LIFETIME - 55 + GRACE + 1,
        time => LIFETIME * u64::from(time - 1) + GRACE,
    };
    SystemTime::UNIX_EPOCH + Duration::from_secs(at)
}

/// Whether a token is over, or near its end, as the world is and not as anybody decides.
fn is_due(token: Token, time: u8) -> bool {
    token.n == 1 || (token.n == 2 && time == TIMES - 1)
}

fn is_first_over(time: u8) -> bool {
    time == 2
}

fn is_over(token: Token, time: u8) -> bool {
    is_due(token, time) && time > 1
}

fn contents_of(token: Token, ended: Option<ReconnectReason>) -> Contents {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let n = u64::from(token.n);
    // Whenever it came, it came before now: the model has one clock.
    let mut tokens = TokenSet::new("AT", at(0));
    tokens.refresh_token = Some("RT".into());
    let end = if n > 2 { LIFETIME * 100 } else { LIFETIME * n };
    tokens.expiry = Expiry::At(at(end));
    let contents = Contents::connected(tokens, Scopes::none(), at(0));
    match ended {
        Some(reason) => contents.ended(Ended::new(reason, at(0))),
        None => contents,
    }
}
