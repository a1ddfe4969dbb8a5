//! X22 at each await point: while a refresh stands there its user disconnects, connects anew, or both.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::point_world::{Both, Outcome, Place, Stops, World};
use super::{Connections, Point, Removal};
use crate::error::{ErrorKind, Result};
use crate::quirks::Rotation;
use crate::token_store::{Loaded, TokenStore as _};

/// With what the provider answers a refresh that is refused there, so that nothing is saved and the lease is given back.
const PLACES: [(Place, Option<(StatusCode, &str)>); 13] = [
    (Place::Before(Point::P0Load), None),
    (Place::Before(Point::P1Join), None),
    (Place::Before(Point::P2Lease), None),
    (Place::Before(Point::P3Again), None),
    (Place::Before(Point::P4Mark), None),
    (Place::Before(Point::P5Send), None),
    (Place::P6Head, None),
    (Place::P7Body, None),
    (Place::Before(Point::P8Check), None),
    (Place::Before(Point::P9Save), None),
    (Place::Before(Point::P10Publish), None),
    (Place::Before(Point::P11Release), Some((StatusCode::UNAUTHORIZED, "invalid_client"))),
    (Place::Before(Point::P11Release), Some((StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"))),
];

/// A refresh that stands still, with three who wait for it, and the process that acts meanwhile: the same or another one.
struct Standing {
    world: World,
    key: crate::ConnectionKey,
    refreshes: Connections,
    acts: Connections,
    stops: Arc<Stops>,
    waiting: Vec<tokio::task::JoinHandle<Result<String>>>,
    place: Place,
    refused: Option<(StatusCode, &'static str)>,
    case: String,
}

impl Standing {
    async fn at(place: Place, refused: Option<(StatusCode, &'static str)>, is_here: bool) -> Self {
        let world = World::new(Rotation::Strict);
        let key = world.connect().await;
        world.clock.advance(Duration::from_secs(3600));
        world.server.ledger.lock().unwrap().refuses = refused;
        let stops = Stops::at(place);
        *world.server.stops.lock().unwrap() = Some(Arc::clone(&stops));
        let refreshes = if place == Place::Before(Point::P4Mark) {
            world.process_with(Both(world.meanwhile(&key, Some(world.mark())), Arc::clone(&stops)))
        } else {
            world.process_with(Arc::clone(&stops))
        };
        let waiting = (0..3).map(|_| {
            let (connections, key) = (refreshes.clone(), key.clone());
            tokio::spawn(async move { connections.token(&key).await.map(|token| token.expose().to_owned()) })
        });
        let waiting = waiting.collect();
        stops.is_reached().await;
        let acts = if is_here { refreshes.clone() } else { world.process() };
        let case = format!("{place:?}, {refused:?}, here: {is_here}");
        Self { world, key, refreshes, acts, stops, waiting, place, refused, case }
    }

    async fn disconnects(&self) {
        let disconnected = self.acts.disconnect(&self.key).await.unwrap();
        assert_eq!(disconnected.removal.unwrap(), Removal::Removed, "{}", self.case);
        disconnected.revocation.unwrap().unwrap();
    }

    /// The refresh goes on; what those were told who waited.
    async fn goes_on(&mut self) -> Vec<Result<String>> {
        self.stops.go_on();
        let mut told = Vec::new();
        for waiting in self.waiting.drain(..) {
            told.push(waiting.await.unwrap());
        }
        // Also what the flight does after it has told them.
        let unfinished = self.refreshes.0.tasks.subscribe().wait_for(|count| *count == 0).await.map(|_| ());
        unfinished.unwrap();
        told
    }

    /// Whether the new tokens were in the store before anybody acted.
    fn was_saved(&self) -> bool {
        self.place == Place::Before(Point::P10Publish)
    }

    /// What is right for who waited and has got no token.
    fn is_answer(&self, kind: ErrorKind) -> bool {
        match self.refused {
            None => kind == ErrorKind::NotConnected,
            Some((StatusCode::UNAUTHORIZED, _)) => kind == ErrorKind::Refused,
            Some(_) => kind == ErrorKind::Unavailable,
        }
    }
}

#[tokio::test]
async fn x22_a_disconnect_at_each_point_of_a_refresh_wins() {
    for is_here in [true, false] {
        for (place, refused) in PLACES {
            let mut standing = Standing::at(place, refused, is_here).await;
            standing.disconnects().await;
            let told = standing.goes_on().await;
            let Standing { world, key, refreshes, case, .. } = &standing;
            for told in told {
                match told {
                    Ok(token) => assert!(standing.was_saved() && token == "AT-2", "{case}: {token}"),
                    Err(error) => assert!(standing.is_answer(error.kind()), "{case}: {error}"),
                }
            }
            assert!(matches!(world.store.load(key).await.unwrap(), Loaded::Tombstone(_)), "{case}");
            assert!(world.server.in_force().is_empty(), "{case}: {:?}", world.server.in_force());
            if is_here {
                assert!(refreshes.token(key).await.is_err(), "{case}: at once");
            }
            // By then what another process did is seen.
            world.clock.advance(Duration::from_secs(31));
            for connections in [refreshes, &world.process()] {
                let error = connections.token(key).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotConnected, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn x22_a_login_at_each_point_of_a_refresh_stays_whole() {
    for (is_here, disconnects) in [(true, false), (false, false), (true, true), (false, true)] {
        for (place, refused) in PLACES {
            let mut standing = Standing::at(place, refused, is_here).await;
            if disconnects {
                standing.disconnects().await;
            }
            assert_eq!(standing.world.login(&standing.acts).await, standing.key);
            let issued = standing.world.server.issued();
            let told = standing.goes_on().await;
            let Standing { world, key, refreshes, case, .. } = &standing;
            for told in told {
                match told {
                    Ok(token) => {
                        let is_of_login = token == format!("AT-{issued}");
                        assert!(is_of_login || (standing.was_saved() && token == "AT-2"), "{case}: {token}");
                    }
                    Err(error) => {
                        assert!(refused.is_some() && standing.is_answer(error.kind()), "{case}: {error}");
                    }
                }
            }
            let record = world.store.load(key).await.unwrap().into_record().unwrap();
            assert_eq!((record.version.counter(), record.mark), (1, None), "{case}: as the login wrote it");
            if is_here {
                let token = refreshes.token(key).await.unwrap();
                assert_eq!(token.expose(), format!("AT-{issued}"), "{case}: at once");
            }
            world.clock.advance(Duration::from_secs(31));
            for connections in [refreshes, &world.process()] {
                let token = connections.token(key).await.unwrap();
                assert_eq!(token.expose(), format!("AT-{issued}"), "{case}");
            }
            // Its refresh token is the one that the store has, and it is good.
            world.clock.advance(Duration::from_secs(3600));
            let before = world.refreshes().len();
            assert!(world.process().token(key).await.is_ok(), "{case}");
            assert_eq!(world.refreshes()[before..], [Outcome::Used], "{case}");
        }
    }
}
