//! X23: many processes want the same token at the same time, and the provider takes its time.

use std::sync::Arc;
use std::time::Duration;

use authflow_testkit::{Endpoint, Fault, Outcome};

use crate::backend::Kind;
use crate::rig::{Rig, all};
use crate::setup::Rotates;
use crate::world::World;

#[derive(Clone, Copy)]
struct Herd {
    processes: usize,
    users: usize,
    lease: Duration,
    /// How long the provider takes.
    delay: Duration,
}

/// The provider takes longer than a lease lasts, so that it has to be renewed.
const SMALL: [Herd; 2] = [
    Herd { processes: 2, users: 1, lease: Duration::from_secs(5), delay: Duration::from_secs(6) },
    Herd { processes: 8, users: 2, lease: Duration::from_secs(5), delay: Duration::from_secs(6) },
];
const LARGE: Herd =
    Herd { processes: 64, users: 1, lease: Duration::from_secs(10), delay: Duration::from_secs(1) };

pub async fn of_2_8_and_64(kind: Kind) {
    let rig = Rig::shared(kind).await;
    all(SMALL.map(|herd| run(Arc::clone(&rig), herd))).await;
    run(rig, LARGE).await;
}

async fn run(rig: Arc<Rig>, herd: Herd) {
    let mut world = World::expired(&rig, Rotates::Strictly).await;
    world.setup.lease = herd.lease;
    let mut worlds = vec![world];
    while worlds.len() < herd.users {
        let next = worlds[0].neighbour().await;
        worlds.push(next);
    }
    let mut processes = Vec::new();
    for at in 0..herd.processes {
        processes.push(worlds[at % herd.users].process().await);
    }
    worlds[0].server.fault_all(Endpoint::Token, Fault::SlowHeaders(herd.delay));
    for process in &mut processes {
        process.tell("token").await;
    }
    let mut answers = Vec::new();
    for process in &mut processes {
        answers.push(process.result().await);
    }
    worlds[0].server.clear_faults();
    let case = format!("{} processes, {} users", herd.processes, herd.users);
    assert_eq!(worlds[0].refreshes(), vec![Outcome::RefreshUsed; herd.users], "{case}");
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, answers[at % herd.users], "{case}");
        let token = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {answer}"));
        assert!(worlds[at % herd.users].is_ours(token), "{case}");
    }
    for (world, answer) in worlds.iter().zip(&answers) {
        assert_eq!(world.counter().await, 2, "{case}");
        world.check_healthy(answer, &case).await;
    }
    processes.into_iter().for_each(|process| rig.give_back(process));
}
