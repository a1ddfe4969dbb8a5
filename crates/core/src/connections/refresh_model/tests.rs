#![allow(clippy::print_stdout, reason = "how many states there are is what one wants to know")]

use super::*;

const NO_FAULTS: Faults = Faults {
    crashes: 0,
    losses: 0,
    lease_ends: 0,
    revocations: 0,
    disconnects: 0,
    connects: 0,
    lost_writes: 0,
};

/// Each with other things that go wrong: all at once are more than can be gone through in a test's time. An optimized build
/// goes through more of them.
const MIXES: &[Mix] = &[
    Mix { calls: [2, 2], faults: NO_FAULTS },
    Mix { calls: [1, 0], faults: Faults { lease_ends: 1, revocations: 1, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { crashes: 1, lease_ends: 1, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { losses: 1, lease_ends: 1, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { losses: 2, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { crashes: 1, losses: 1, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { disconnects: 1, connects: 1, ..NO_FAULTS } },
    Mix { calls: [2, 1], faults: Faults { lost_writes: 1, ..NO_FAULTS } },
    Mix { calls: [2, 1], faults: Faults { losses: 1, revocations: 1, ..NO_FAULTS } },
];

/// Thirty times as many states, for the profile `model`: it has no debug assertions.
const MORE: &[Mix] = &[
    Mix { calls: [2, 1], faults: Faults { lease_ends: 1, revocations: 1, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { crashes: 1, lease_ends: 2, ..NO_FAULTS } },
    Mix { calls: [1, 1], faults: Faults { lease_ends: 1, disconnects: 1, connects: 1, ..NO_FAULTS } },
    Mix { calls: [2, 1], faults: Faults { crashes: 2, lease_ends: 2, ..NO_FAULTS } },
    Mix { calls: [2, 1], faults: Faults { losses: 2, lease_ends: 1, ..NO_FAULTS } },
    Mix {
        calls: [2, 1],
        faults: Faults { crashes: 1, losses: 1, lease_ends: 1, disconnects: 1, ..NO_FAULTS },
    },
    Mix {
        calls: [2, 1],
        faults: Faults { crashes: 1, lease_ends: 1, disconnects: 1, connects: 1, ..NO_FAULTS },
    },
    Mix { calls: [2, 1], faults: Faults { crashes: 1, lease_ends: 1, lost_writes: 1, ..NO_FAULTS } },
];

const STRICT: Provider = Provider { rotation: Rotation::Strict, revokes_families: true };
const STRICT_BUT_MILD: Provider = Provider { rotation: Rotation::Strict, revokes_families: false };
const GRACE: Provider = Provider { rotation: Rotation::Grace(30), revokes_families: true };
const NEVER: Provider = Provider { rotation: Rotation::None, revokes_families: false };

fn every_state_keeps_the_invariants(provider: Provider) {
    let (mut states, mut steps) = (0, 0);
    for mix in MIXES.iter().chain(if cfg!(debug_assertions) { &[] } else { MORE }) {
        let explored = World::new(Rules::OURS, provider, *mix).explore();
        if let Some((what, way)) = explored.broken {
            panic!("{provider:?}, {mix:?}: {what}\n  {}", way.join("\n  "));
        }
        states += explored.states;
        steps += explored.steps;
    }
    println!("{provider:?}: {states} states, {steps} steps");
    assert!(states > 100_000, "{provider:?}: {states} states are not all");
}

#[test]
fn x1_x3_x22_every_state_with_strict_rotation() {
    every_state_keeps_the_invariants(STRICT);
}

#[test]
fn x1_x3_x22_every_state_with_strict_rotation_and_no_families() {
    every_state_keeps_the_invariants(STRICT_BUT_MILD);
}

#[test]
fn x1_x3_x22_every_state_with_rotation_and_grace() {
    every_state_keeps_the_invariants(GRACE);
}

#[test]
fn x1_x3_x22_every_state_without_rotation() {
    every_state_keeps_the_invariants(NEVER);
}

/// A model that finds nothing proves nothing: each decision, broken, is found.
#[test]
fn each_decision_that_is_broken_is_found() {
    let broken: &[(&str, Rules)] = &[
        (
            "marks are not counted",
            Rules { mark_after: |_, holder, hash, now| RefreshMark::new(holder, hash, now), ..Rules::OURS },
        ),
        ("a mark counts that was not sent", Rules { mark_that_counts: |found, _| found, ..Rules::OURS }),
        (
            "no mark of one's own counts",
            Rules { mark_that_counts: |found, unsent| found.filter(|_| unsent.is_none()), ..Rules::OURS },
        ),
        ("a strict provider is asked again", Rules { may_repeat: |_, _, _| true, ..Rules::OURS }),
        (
            "every refusal is a revocation",
            Rules { reason_of_refusal: |_, _| ReconnectReason::Refused, ..Rules::OURS },
        ),
        (
            "every refusal is a lost rotation",
            Rules { reason_of_refusal: |_, _| ReconnectReason::RotationLost, ..Rules::OURS },
        ),
        ("no mark stays", Rules { stays_in_doubt: |_, _| false, ..Rules::OURS }),
        ("new tokens go over everything", Rules { conflict: |_, _, _| Conflict::SaveOver, ..Rules::OURS }),
        (
            "new tokens give way to everything",
            Rules { conflict: |_, _, _| Conflict::Superseded, ..Rules::OURS },
        ),
        ("a mark in the contents is not looked at", Rules { mark_of: |mark, _| mark, ..Rules::OURS }),
        ("marks of others are not looked at", Rules { attempts: |own, _| own.attempt, ..Rules::OURS }),
        (
            "marks are not looked at",
            Rules { assess: |c, v, _, p, j, d, m| plan::assess(c, v, None, p, j, d, m), ..Rules::OURS },
        ),
        ("what is good is refreshed", Rules { assess: |_, _, _, _, _, _, _| Step::Refresh, ..Rules::OURS }),
        (
            "what has ended is tried again",
            Rules {
                assess: |c, v, mark, p, j, d, m| {
                    let mut contents = c.clone();
                    contents.header.ended = None;
                    plan::assess(&contents, v, mark, p, j, d, m)
                },
                ..Rules::OURS
            },
        ),
    ];
    for (what, rules) in broken {
        let providers = [STRICT, STRICT_BUT_MILD, GRACE];
        let worlds = MIXES.iter().flat_map(|mix| providers.map(|of| (of, mix)));
        let found =
            worlds.map(|(of, mix)| World::new(*rules, of, *mix)).find_map(|world| world.explore().broken);
        let (found, way) = found.unwrap_or_else(|| panic!("{what}: nobody notices"));
        println!("{what}: {found}, after {} steps", way.len());
    }
}
