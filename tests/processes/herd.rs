//! X23: many processes want the same token at the same time, and the provider takes its time.

use std::sync::Arc;
use std::time::Duration;

use authflow::Renew;
use authflow_testkit::Outcome;

use crate::backend::Kind;
use crate::process::{Process, in_time};
use crate::rig::Rig;
use crate::setup::Rotates;
use crate::world::World;

/// The longest lease that there is. No machine is so slow that it ends before a test does.
const LONG: Duration = Duration::from_secs(300);

pub async fn of_2_8_and_64(kind: Kind) {
    let rig = Rig::shared(kind).await;
    for (processes, users) in [(2, 1), (8, 2), (64, 1)] {
        herd(&rig, processes, users).await;
    }
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
