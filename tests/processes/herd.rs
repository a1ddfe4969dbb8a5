//! X23: many processes want the same token at the same time, and the provider takes its time.

use std::sync::Arc;
use std::time::Duration;

use authflow::{Incarnation, Renew};
use authflow_testkit::{Endpoint, Fault, Outcome};

use crate::backend::Kind;
use crate::process::{Process, in_time};
use crate::rig::{Rig, all};
use crate::setup::{LONG, Rotates};
use crate::world::{LEASE, World};

pub async fn of_2_8_and_64(kind: Kind) {
    let rig = Rig::shared(kind).await;
    for (processes, users) in [(2, 1), (8, 2), (64, 1)] {
        herd(&rig, processes, users).await;
    }
    // The same processes again, with a provider that takes up to three leases for its answer.
    let cases = [2, 8].into_iter().flat_map(|size| (0..3).map(move |leases| (size, leases)));
    all(cases.map(|(size, leases)| slow_herd(Arc::clone(&rig), size, LEASE * 2, leases))).await;
    // 64 processes have more to do than a machine has time for in a second or two.
    slow_herd(rig, 64, LEASE * 4, 2).await;
}

/// The provider's answer is held back until all the others have seen that somebody refreshes, and the lease was renewed.
async fn herd(rig: &Arc<Rig>, size: usize, users: usize) {
    let case = format!("{size} processes, {users} users");
    let mut world = World::expired(rig, Rotates::Strictly).await;
    (world.setup.lease, world.setup.is_steady) = (LONG, true);
    let mut worlds = vec![world];
    while worlds.len() < users {
        let next = worlds[0].neighbour().await;
        worlds.push(next);
    }
    let mut processes = Vec::new();
    for at in 0..size {
        processes.push(worlds[at % users].process().await);
    }
    for process in &mut processes {
        process.tell("halt after send").await;
        process.tell("token").await;
    }
    let mut holders = Vec::new();
    for (at, process) in processes.iter_mut().enumerate() {
        match process.hear("after lease").await.as_str() {
            "leased" => holders.push(at),
            other => assert_eq!(other, "held", "{case}"),
        }
    }
    for user in 0..users {
        assert_eq!(holders.iter().filter(|at| *at % users == user).count(), 1, "{case}: one holds the lease");
    }
    for at in &holders {
        processes[*at].hear("halt").await;
        check_renewed(&worlds[at % users], &mut processes[*at], &case).await;
    }
    for (at, process) in processes.iter_mut().enumerate() {
        if !holders.contains(&at) {
            assert_eq!(process.hear("after lease").await, "held", "{case}: who waits asks again");
        }
    }
    for at in &holders {
        processes[*at].go_on().await;
    }

    let mut answers = Vec::new();
    for process in &mut processes {
        answers.push(process.result().await);
    }
    assert_eq!(worlds[0].refreshes(), vec![Outcome::RefreshUsed; users], "{case}");
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, answers[at % users], "{case}");
        let token = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {answer}"));
        assert!(worlds[at % users].is_ours(token), "{case}");
    }
    for (world, answer) in worlds.iter().zip(&answers) {
        assert_eq!(world.counter().await, 2, "{case}");
        world.check_healthy(answer, &case).await;
    }
    processes.into_iter().for_each(|process| rig.give_back(process));
}

/// The lease is made shorter, as if most of its time had passed: its holder makes it long again.
async fn check_renewed(world: &World, process: &mut Process, case: &str) {
    let store = world.rig.stores().0;
    let lease = world.record().await.and_then(|record| record.lease).expect("it is leased");
    store.renew(&world.key(), &lease.holder, Renew::new(LONG / 5)).await.unwrap();
    let renewed = async {
        loop {
            assert_eq!(process.hear("after renew").await, "ok", "{case}");
            let now = world.record().await.and_then(|record| record.lease).expect("it is leased still");
            assert_eq!(now.holder, lease.holder, "{case}");
            if now.remaining > LONG / 2 {
                return;
            }
        }
    };
    in_time("the lease is renewed", renewed).await;
}

/// How often a case is repeated that the machine was too slow for.
const REPEATS: u32 = 3;

/// The provider takes `leases` times the lease for its answer, and a random part of one more. The lease is short, and is
/// renewed. Where the machine stood still for longer than that, another process refreshes too, as it should: then the case says
/// nothing, and is repeated with a lease that is twice as long. A lease that is not renewed ends however long it is.
async fn slow_herd(rig: Arc<Rig>, size: usize, lease: Duration, leases: u32) {
    for repeat in 0..=REPEATS {
        let lease = lease * 2_u32.pow(repeat);
        if has_one_holder(&rig, size, lease, leases).await {
            return;
        }
    }
    panic!("{size} processes, an answer after {leases} leases: each time a lease was lost");
}

/// Whether one process held the lease from the beginning to the end. What is said then is checked.
async fn has_one_holder(rig: &Arc<Rig>, size: usize, lease: Duration, leases: u32) -> bool {
    let part = Incarnation::random().unwrap().as_bytes()[0];
    let delay = lease * leases + lease * u32::from(part) / 256;
    let case = format!("{size} processes, an answer after {delay:?}, a lease of {lease:?}");
    let mut world = World::expired(rig, Rotates::Strictly).await;
    (world.setup.lease, world.setup.is_steady) = (lease, true);
    world.server.fault_next(Endpoint::Token, Fault::SlowHeaders(delay));
    let mut processes = Vec::new();
    for _ in 0..size {
        processes.push(world.process().await);
    }
    for process in &mut processes {
        process.tell("token").await;
    }
    let mut answers = Vec::new();
    for process in &mut processes {
        answers.push(process.result().await);
    }
    let said = |what: &str| processes.iter().map(|process| process.said(what)).sum::<usize>();
    let (leased, lost, renewed) =
        (said("after lease leased"), said("after renew lost"), said("after renew ok"));
    processes.into_iter().for_each(|process| rig.give_back(process));
    if leased > 1 || lost > 0 {
        return false;
    }
    assert_eq!(leased, 1, "{case}: one holds the lease");
    assert!(renewed >= usize::try_from(leases).unwrap(), "{case}: it is renewed");
    assert_eq!(world.refreshes(), [Outcome::RefreshUsed], "{case}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{case}: {answers:?}");
    assert_eq!(world.counter().await, 2, "{case}");
    world.check_healthy(&answers[0], &case).await;
    true
}
