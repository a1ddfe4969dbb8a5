//! X1 within a process: a flight dies at each await point, and another process takes over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;

use super::point_world::{Both, Outcome, Place, Stops, World};
use super::{Connections, Point, Probe};
use crate::ConnectionKey;
use crate::error::{ErrorKind, Operation};
use crate::quirks::Rotation;
use crate::token_store::TokenStore as _;

/// Dies at one point, once.
#[derive(Debug)]
struct DiesAt(Mutex<Option<Point>>);

#[async_trait]
impl Probe for DiesAt {
    async fn at(&self, point: Point) {
        let mut dies_at = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *dies_at == Some(point) {
            *dies_at = None;
            drop(dies_at);
            panic!("planted");
        }
    }
}

/// How far the flight had come that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// The refresh token was not sent.
    Nothing,
    /// It was sent, and the provider said no, in this way, and did not use it up.
    Refused(StatusCode, &'static str),
    /// The provider used it up, and nobody wrote down what it gave.
    Committed,
    /// The new tokens are in the store.
    Saved,
}

const POINTS: [(Point, Reached); 11] = [
    (Point::P0Load, Reached::Nothing),
    (Point::P1Join, Reached::Nothing),
    (Point::P2Lease, Reached::Nothing),
    (Point::P3Again, Reached::Nothing),
    (Point::P4Mark, Reached::Nothing),
    (Point::P5Send, Reached::Nothing),
    (Point::P8Check, Reached::Committed),
    (Point::P9Save, Reached::Committed),
    (Point::P10Publish, Reached::Saved),
    // The lease is given back, or ends with a save that tells all how long to wait.
    (Point::P11Release, Reached::Refused(StatusCode::UNAUTHORIZED, "invalid_client")),
    (Point::P11Release, Reached::Refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")),
];

#[tokio::test]
async fn x1_a_flight_that_dies_at_any_point_is_taken_over() {
    for rotation in [Rotation::Strict, Rotation::Grace(60), Rotation::None] {
        for (point, reached) in POINTS {
            dies_at(rotation, point, reached).await;
        }
    }
}

async fn dies_at(rotation: Rotation, point: Point, reached: Reached) {
    let case = format!("{point:?}, {reached:?}, {rotation:?}");
    let world = World::new(rotation);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    if let Reached::Refused(status, code) = reached {
        world.server.ledger.lock().unwrap().refuses = Some((status, code));
    }
    let dies_at = DiesAt(Mutex::new(Some(point)));
    let first = if point == Point::P4Mark {
        // It is passed where the lease comes with a mark that was not there before.
        world.process_with(Both(world.meanwhile(&key, Some(world.mark())), dies_at))
    } else {
        world.process_with(dies_at)
    };
    match first.token(&key).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{case}: who waited is woken"),
        Ok(token) => assert_eq!((token.expose(), reached), ("AT-2", Reached::Saved), "{case}: it is saved"),
    }
    // Nobody renews the lease.
    world.clock.advance(Duration::from_secs(10));
    let second = world.process().token(&key).await;
    let same = first.token(&key).await;
    let again = if rotation == Rotation::Strict { Outcome::UsedUp } else { Outcome::UsedAgain };
    let refreshes = match reached {
        Reached::Nothing | Reached::Saved => vec![Outcome::Used],
        Reached::Refused(..) => vec![Outcome::Refused, Outcome::Used],
        Reached::Committed => vec![Outcome::Used, again],
    };
    assert_eq!(world.refreshes(), refreshes, "{case}");
    let counter = world.store.load(&key).await.unwrap().into_record().unwrap().version.counter();
    assert_eq!(counter, 2, "{case}");
    for outcome in [second, same] {
        match (reached, rotation) {
            // Between the answer and the save lies what no client can help: it is named, and not taken for a revocation.
            (Reached::Committed, Rotation::Strict) => {
                assert_eq!(outcome.unwrap_err().kind(), ErrorKind::RotationLost, "{case}");
            }
            (Reached::Committed, _) => assert_eq!(outcome.unwrap().expose(), "AT-3", "{case}"),
            _ => assert_eq!(outcome.unwrap().expose(), "AT-2", "{case}"),
        }
    }
}

/// What it brought may be served, and refused by an API, before it has landed: then it is no answer any more.
#[tokio::test]
async fn f22_a_flight_does_not_answer_who_was_refused_with_what_it_brought() {
    let world = World::new(Rotation::Strict);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    let stops = Stops::at(Place::Before(Point::P10Publish));
    let process = world.process_with(Arc::clone(&stops));
    let first = tokio::spawn({
        let (process, key) = (process.clone(), key.clone());
        async move { process.token(&key).await }
    });
    stops.is_reached().await;
    let brought = process.token(&key).await.unwrap();
    assert_eq!(brought.expose(), "AT-2");
    let replaced = tokio::spawn(async move {
        let inner = &process.0;
        let provider = inner.provider(key.provider_id(), Operation::Send).unwrap();
        inner.replace(provider, &inner.slot(&key), &brought).await
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    stops.go_on();
    assert_eq!(first.await.unwrap().unwrap().expose(), "AT-2");
    assert_eq!(replaced.await.unwrap().unwrap().unwrap().expose(), "AT-3");
    assert_eq!(world.refreshes(), [Outcome::Used; 2]);
}

/// P11 where nothing was sent: what was found stays true, and the lease ends by itself.
#[tokio::test]
async fn x1_r6_a_flight_that_dies_before_it_gives_back_an_unused_lease_leaves_the_mark_that_it_found() {
    let world = World::new(Rotation::Strict);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3550));
    let mark = world.mark();
    let dies_at = DiesAt(Mutex::new(Some(Point::P11Release)));
    let first = world.process_with(Both(world.meanwhile(&key, Some(mark.clone())), dies_at));
    assert_eq!(first.token(&key).await.unwrap().expose(), "AT-1");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let record = world.store.load(&key).await.unwrap().into_record().unwrap();
    assert_eq!((record.mark, record.lease.is_some()), (Some(mark), true));
    world.clock.advance(Duration::from_secs(50));
    assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.refreshes(), [Outcome::Used]);
}

/// P11 where nothing is to be sent after all.
#[tokio::test]
async fn r6_the_mark_that_is_found_with_a_lease_is_put_back_where_nothing_is_sent() {
    for is_marked in [true, false] {
        let world = World::new(Rotation::Strict);
        let key = world.connect().await;
        world.clock.advance(Duration::from_secs(3550));
        let mark = Some(world.mark()).filter(|_| is_marked);
        let process = world.process_with(world.meanwhile(&key, mark.clone()));
        assert_eq!(process.token(&key).await.unwrap().expose(), "AT-1");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let record = world.store.load(&key).await.unwrap().into_record().unwrap();
        assert_eq!((record.mark, record.lease), (mark, None));
        assert_eq!(world.refreshes(), []);
    }
}

/// Another process refreshes before the lease is asked for.
#[derive(Debug)]
struct Refreshes(Mutex<Option<Connections>>, ConnectionKey);

#[async_trait]
impl Probe for Refreshes {
    async fn at(&self, point: Point) {
        let other = if point == Point::P2Lease { self.0.lock().unwrap().take() } else { None };
        if let Some(other) = other {
            other.token(&self.1).await.unwrap();
        }
    }
}

#[tokio::test]
async fn f2_what_changed_before_the_lease_is_adopted() {
    let world = World::new(Rotation::Strict);
    let key = world.connect().await;
    world.clock.advance(Duration::from_secs(3600));
    let process = world.process_with(Refreshes(Mutex::new(Some(world.process())), key.clone()));
    assert_eq!(process.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.refreshes(), [Outcome::Used]);
}
