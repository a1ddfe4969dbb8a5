//! F2: many processes refresh one connection all the time, each whatever it finds, at a provider that ends the whole grant where
//! a refresh token comes twice.

use authflow_testkit::{Endpoint, Outcome};
use futures_util::future::join_all;

use crate::backend::Kind;
use crate::rig::Rig;
use crate::setup::{LONG, Rotates};
use crate::world::World;

const PROCESSES: usize = 8;
/// How often the connection is refreshed at least. By hand: with the environment variable `AUTHFLOW_ROTATIONS`.
const ROTATIONS: u64 = 1_000;
/// So many at a time, between which all processes wait for each other.
const AT_A_TIME: u64 = 250;

pub async fn by_8_processes(kind: Kind) {
    let rotations = std::env::var("AUTHFLOW_ROTATIONS");
    let rotations = rotations.map_or(ROTATIONS, |rotations| rotations.parse().expect("a number"));
    let rig = Rig::shared(kind).await;
    let mut world = World::new(&rig, Rotates::Strictly).await;
    (world.setup.lease, world.setup.asks_always) = (LONG, true);
    world.connect().await;
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(world.process().await);
    }
    let mut done = 0;
    while done < rotations {
        done = rotations.min(done + AT_A_TIME);
        let line = format!("rotate {}", 1 + done);
        let answers = join_all(processes.iter_mut().map(|process| process.ask(&line))).await;
        for answer in answers {
            assert!(answer.starts_with("ok "), "after {done} rotations: {answer}");
        }
    }

    // Each refresh token was sent once, and is what came of the one before.
    let entries = world.token_entries();
    let newest = entries.last().and_then(|entry| entry.access_token()).unwrap();
    for (before, refresh) in entries.iter().zip(&entries[1..]) {
        assert_eq!(refresh.outcome(), &Outcome::RefreshUsed);
        assert_eq!(refresh.form_value("refresh_token"), before.refresh_token());
    }
    let refreshes = world.refreshes().len();
    assert_eq!(refreshes, entries.len() - 1);
    assert!(u64::try_from(refreshes).unwrap() >= rotations);
    assert_eq!(world.counter().await, u64::try_from(entries.len()).unwrap());
    assert_eq!(world.server.ledger().count(Endpoint::Revocation), 0);

    // Each was written by who sent it, and no process had it all to itself.
    let saved: Vec<_> = processes.iter().map(|process| process.said("after save saved")).collect();
    assert_eq!(saved.iter().sum::<usize>(), refreshes, "{saved:?}");
    assert!(saved.iter().filter(|saved| **saved > 0).count() > 1, "{saved:?}");
    let answers = join_all(processes.iter_mut().map(|process| process.ask("token"))).await;
    assert_eq!(answers, vec![format!("ok {newest}"); PROCESSES], "all have the newest");
    world.check_healthy(&answers[0], "after all").await;
    processes.into_iter().for_each(|process| rig.give_back(process));
}
