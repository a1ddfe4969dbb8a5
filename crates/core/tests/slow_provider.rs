//! X11: a provider whose answer comes late, or byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client_support;
mod connections_support;

use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    Clock as _, ConnectionKey, Connections, Delivery, ErrorKind, HttpClient, HttpError, HttpErrorKind,
    HttpRequest, HttpResponse, Limits, TokenStore as _, async_trait,
};
use connections_support::{Fault, ManualClock, Rotates, SECOND, Server, World};
use tokio::task::JoinHandle;

/// What [`Limits::default`] allows in all, and the lease of a refresh.
const DEADLINE: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(10);
/// When a client is given up that does not keep to its deadline.
const GIVEN_UP: Duration = Duration::from_secs(70);

/// The server, behind a line on which the answer takes its time.
#[derive(Debug)]
struct Slow {
    server: Arc<Server>,
    clock: ManualClock,
    until_headers: Duration,
    per_byte: Duration,
    keeps_deadline: bool,
}

impl Slow {
    async fn wait(&self, ends: Duration, time: Duration, delivery: Delivery) -> Result<(), HttpError> {
        let left = ends.saturating_sub(self.clock.monotonic());
        self.clock.sleep(time.min(left)).await;
        if time < left { Ok(()) } else { Err(HttpError::new(HttpErrorKind::Timeout, delivery)) }
    }
}

#[async_trait]
impl HttpClient for Slow {
    async fn send(&self, request: HttpRequest, limits: &Limits) -> Result<HttpResponse, HttpError> {
        let total = if self.keeps_deadline { limits.total } else { Duration::MAX };
        let ends = self.clock.monotonic().saturating_add(total);
        let answer = self.server.send(request, limits).await;
        self.wait(ends, self.until_headers, Delivery::Unknown).await?;
        let answer = answer?;
        if !self.per_byte.is_zero() {
            for _ in &answer.body {
                self.wait(ends, self.per_byte, Delivery::Answered).await?;
            }
        }
        Ok(answer)
    }
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    until_headers: Duration,
    per_byte: Duration,
    keeps_deadline: bool,
}

const fn headers_after(seconds: u64) -> Pace {
    Pace { until_headers: Duration::from_secs(seconds), per_byte: Duration::ZERO, keeps_deadline: true }
}

const BODY_BYTE_BY_BYTE: Pace = Pace { per_byte: SECOND, ..headers_after(0) };
const WITHOUT_A_DEADLINE: Pace = Pace { keeps_deadline: false, ..headers_after(300) };

fn slow(world: &World, pace: Pace) -> Slow {
    let Pace { until_headers, per_byte, keeps_deadline } = pace;
    let (server, clock) = (Arc::clone(&world.server), world.clock.clone());
    Slow { server, clock, until_headers, per_byte, keeps_deadline }
}

fn process(world: &World, pace: Pace) -> Connections {
    client_support::process(world, slow(world, pace))
}

/// A call that tells when it came to its end.
type Asked = JoinHandle<(authflow_core::Result<String>, Duration)>;

fn ask(world: &World, connections: &Connections, key: &ConnectionKey) -> Asked {
    let (connections, key, clock) = (connections.clone(), key.clone(), world.clock.clone());
    tokio::spawn(async move {
        let token = connections.token(&key).await.map(|token| token.expose().to_owned());
        (token, clock.monotonic())
    })
}

/// Lets `time` pass by seconds, and sees that the refresh keeps its lease meanwhile, so that nobody else begins one.
async fn pass_under_lease(world: &World, key: &ConnectionKey, time: Duration) {
    for second in 0..time.as_secs() {
        world.clock.settle().await;
        let record = world.store.inner.load(key).await.unwrap().into_record().unwrap();
        let lease = record.lease.unwrap_or_else(|| panic!("no lease after {second} s"));
        assert!(lease.remaining > LEASE / 2, "{:?} left of the lease after {second} s", lease.remaining);
        world.clock.advance(SECOND);
    }
    world.clock.settle().await;
}

#[tokio::test]
async fn x11_an_answer_within_the_deadline_is_waited_for_by_all_under_one_lease() {
    for seconds in [1, 10, 29] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        let (slow, other) = (process(&world, headers_after(seconds)), world.process());
        let mut asked: Vec<_> = (0..50).map(|_| ask(&world, &slow, &key)).collect();
        world.until(|| world.server.refreshes() == 1).await;
        asked.push(ask(&world, &other, &key));
        pass_under_lease(&world, &key, Duration::from_secs(seconds)).await;
        for asked in asked {
            let (token, _) = world.clock.drive(async move { asked.await.unwrap() }).await;
            assert_eq!(token.unwrap(), "AT-2", "after {seconds} s");
        }
        assert_eq!((world.server.refreshes(), world.server.most_uses()), (1, 1), "after {seconds} s");
    }
}

/// Whether the provider did it or not: nobody waits for longer than the deadline, and all are told the same.
#[tokio::test]
async fn x11_i6_past_the_deadline_all_who_wait_share_one_timeout_and_one_request() {
    for (pace, deadline) in
        [(headers_after(300), DEADLINE), (BODY_BYTE_BY_BYTE, DEADLINE), (WITHOUT_A_DEADLINE, GIVEN_UP)]
    {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        let slow = process(&world, pace);
        let began = world.clock.monotonic();
        let mut asked: Vec<_> = (0..50).map(|_| ask(&world, &slow, &key)).collect();
        world.until(|| world.server.refreshes() == 1).await;
        pass_under_lease(&world, &key, deadline / 2).await;
        // Who comes later waits for what is left.
        asked.extend((0..50).map(|_| ask(&world, &slow, &key)));
        pass_under_lease(&world, &key, deadline - deadline / 2).await;
        for asked in asked {
            assert!(asked.is_finished(), "{pace:?}: it waits past the deadline");
            let (token, at) = asked.await.unwrap();
            let error = token.unwrap_err();
            assert_eq!((error.kind(), at - began), (ErrorKind::Network, deadline), "{pace:?}");
            assert!(
                error.to_string().contains("deadline") || error.to_string().contains("in time"),
                "{error}"
            );
        }
        assert_eq!(world.server.refreshes(), 1, "{pace:?}");
        // What the provider did in the end is named when it is known (r6).
        world.clock.advance(5 * SECOND);
        let error = world.process().token(&key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RotationLost, "{pace:?}");
    }
}

/// Twice what one request may take, and ten seconds: a client that never answers is given up, by the limits of its flow.
#[tokio::test]
async fn x11_a_client_without_a_deadline_is_given_up_by_the_limits_of_its_flow() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    world.expire();
    let client = slow(&world, WITHOUT_A_DEADLINE);
    let flow = client_support::flow_builder(&world, world.provider("p"), client, Arc::clone(&world.states));
    let mut limits = Limits::default();
    limits.total = 5 * SECOND;
    let flow = flow.limits(limits).build().unwrap();
    let slow = world.builder_of(flow).build().unwrap();
    let began = world.clock.monotonic();
    let asked = ask(&world, &slow, &key);
    let (token, at) = world.clock.drive(async move { asked.await.unwrap() }).await;
    assert_eq!((token.unwrap_err().kind(), at - began), (ErrorKind::Network, 20 * SECOND));
}

#[tokio::test]
async fn x11_i7_a_provider_that_did_nothing_and_is_quick_again_costs_no_connection() {
    for pace in [headers_after(300), WITHOUT_A_DEADLINE] {
        let (world, _, key) = World::connected(Rotates::Strictly).await;
        world.expire();
        world.server.fault(Fault::LoseRequest);
        let slow = process(&world, pace);
        let (token, _) = {
            let asked = ask(&world, &slow, &key);
            world.clock.drive(async move { asked.await.unwrap() }).await
        };
        assert_eq!(token.unwrap_err().kind(), ErrorKind::Network, "{pace:?}");
        assert_eq!(world.server.refreshes(), 1, "{pace:?}");
        world.clock.advance(2 * SECOND);
        assert_eq!(world.process().token(&key).await.unwrap().expose(), "AT-2", "{pace:?}");
        assert_eq!(world.server.most_uses(), 1, "{pace:?}");
    }
}

/// Where a refresh token may be sent twice it is, once, under the same lease; then all share that timeout.
#[tokio::test]
async fn x11_r6_with_grace_or_without_rotation_there_are_two_requests_at_most() {
    for rotates in [Rotates::WithGrace, Rotates::Never] {
        let (world, _, key) = World::connected(rotates).await;
        world.expire();
        let slow = process(&world, BODY_BYTE_BY_BYTE);
        let began = world.clock.monotonic();
        let asked: Vec<_> = (0..50).map(|_| ask(&world, &slow, &key)).collect();
        world.until(|| world.server.refreshes() == 1).await;
        let refreshes = if rotates == Rotates::Never { 2 } else { 1 };
        let deadline = DEADLINE * refreshes;
        pass_under_lease(&world, &key, deadline).await;
        for asked in asked {
            assert!(asked.is_finished(), "{rotates:?}: it waits past the deadline");
            let (token, at) = asked.await.unwrap();
            assert_eq!(
                (token.unwrap_err().kind(), at - began),
                (ErrorKind::Network, deadline),
                "{rotates:?}"
            );
        }
        // A grace of 30 s is over when the deadline is.
        assert_eq!(world.server.refreshes(), usize::try_from(refreshes).unwrap(), "{rotates:?}");
        world.clock.advance(5 * SECOND);
        let token = world.process().token(&key).await.unwrap();
        assert!(world.server.takes(token.expose()), "{rotates:?}");
    }
}

/// Nobody with a good token waits for a slow provider.
#[tokio::test]
async fn x11_i6_a_good_token_is_served_while_the_provider_is_slow() {
    let (world, _, key) = World::connected(Rotates::Strictly).await;
    let slow = process(&world, headers_after(20));
    world.clock.advance(3560 * SECOND);
    for _ in 0..10 {
        let asked = ask(&world, &slow, &key);
        world.clock.settle().await;
        assert!(asked.is_finished());
        assert_eq!(asked.await.unwrap().0.unwrap(), "AT-1");
    }
    pass_under_lease(&world, &key, 20 * SECOND).await;
    assert_eq!(slow.token(&key).await.unwrap().expose(), "AT-2");
    assert_eq!(world.server.refreshes(), 1);
}
