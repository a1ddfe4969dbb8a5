//! Names that do not resolve, resolve to something else, or resolve to where nobody answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authflow_core::{
    Delivery, Error, ErrorKind, HttpClient as _, HttpError, HttpErrorKind, HttpResponse, Limits, Recovery,
};
use authflow_reqwest::ReqwestClient;
use common::clock::ManualClock;
use common::server::{Seen, answer};
use common::tls::{Ca, answering};
use common::{all_text, post, what};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

/// Without a port, so that the resolver's counts.
const URL: &str = "https://provider.example/token";
const HOST: &str = "provider.example";

/// What a resolver says.
#[derive(Clone)]
enum Says {
    Addresses(Vec<SocketAddr>),
    Fails(&'static str),
    Nothing,
}

/// Says one thing after the other, and the last for ever.
struct Resolver {
    says: Vec<Says>,
    asked: watch::Sender<usize>,
}

impl Resolver {
    fn saying(says: impl Into<Vec<Says>>) -> Arc<Self> {
        Arc::new(Self { says: says.into(), asked: watch::Sender::new(0) })
    }

    fn asked(&self) -> usize {
        *self.asked.borrow()
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        assert_eq!(name.as_str(), HOST);
        let says = self.says.get(self.asked()).or(self.says.last()).cloned().unwrap();
        self.asked.send_modify(|asked| *asked += 1);
        Box::pin(async move {
            match says {
                Says::Addresses(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Says::Fails(message) => Err(io::Error::other(message).into()),
                Says::Nothing => std::future::pending().await,
            }
        })
    }
}

/// A client with this resolver, that trusts `ca` alone.
fn client(
    resolver: &Arc<Resolver>,
    clock: &Arc<ManualClock>,
    ca: &Ca,
    change: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> ReqwestClient {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap()])
        .dns_resolver(Arc::clone(resolver));
    ReqwestClient::from_client(change(builder).build().unwrap()).with_clock(clock.clone())
}

/// Sends a POST to a provider that `resolver` finds. Pauses before a resend end at once.
async fn send(resolver: &Arc<Resolver>, ca: &Ca) -> (Result<HttpResponse, HttpError>, Arc<ManualClock>) {
    let clock = ManualClock::without_pauses();
    let sent = client(resolver, &clock, ca, |builder| builder).send(post(URL), &Limits::default()).await;
    (sent, clock)
}

/// A provider with a certificate for its name, and its address.
async fn provider(ca: &Ca) -> (Arc<Seen>, SocketAddr) {
    let close = answer(200, "Connection: close\r\n", b"{}");
    let seen = answering(ca.acceptor(HOST, |_| {}), close).await;
    let address = address(&seen);
    (seen, address)
}

fn address(seen: &Seen) -> SocketAddr {
    seen.url("").strip_prefix("http://").unwrap().parse().unwrap()
}

fn assert_may_be_retried(error: HttpError) {
    assert_eq!(error.delivery(), Delivery::NotSent);
    let error = Error::from(error);
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Network, Recovery::Retry { after: None }));
}

#[tokio::test]
async fn x15_a_name_without_addresses_is_not_sent_and_may_be_retried() {
    for says in [
        Says::Fails("no such name (NXDOMAIN)"),
        Says::Fails("the name server failed (SERVFAIL)"),
        Says::Addresses(Vec::new()),
    ] {
        let resolver = Resolver::saying([says]);
        let (sent, clock) = send(&resolver, &Ca::new()).await;
        let error = sent.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Transport, Delivery::NotSent));
        assert_eq!((resolver.asked(), clock.pauses().len()), (3, 2), "it is tried three times");
        assert!(!all_text(&error).contains(HOST), "{}", all_text(&error));
        assert_may_be_retried(error);
    }
}

#[tokio::test]
async fn x15_a_name_that_flaps_costs_a_resend_and_one_request() {
    let ca = Ca::new();
    let (seen, address) = provider(&ca).await;
    let fails = Says::Fails("the name server failed (SERVFAIL)");
    let resolver = Resolver::saying([fails.clone(), fails, Says::Addresses(vec![address])]);
    let (sent, clock) = send(&resolver, &ca).await;
    assert_eq!(sent.unwrap().body, b"{}");
    assert_eq!((resolver.asked(), clock.pauses().len()), (3, 2));
    assert_eq!((seen.connections(), seen.requests()), (1, 1));
}

#[tokio::test]
async fn x15_a_resolver_that_hangs_is_given_up_at_the_deadline_for_the_connection() {
    // A second try would fail at once.
    let resolver = Resolver::saying([Says::Nothing, Says::Fails("the name server failed (SERVFAIL)")]);
    let clock = ManualClock::without_pauses();
    let client = client(&resolver, &clock, &Ca::new(), |builder| builder);
    let limits = Limits::default();
    let (sent, ()) = tokio::join!(client.send(post(URL), &limits), async {
        resolver.asked.subscribe().wait_for(|asked| *asked == 1).await.unwrap();
        clock.advance(limits.connect);
    });
    let error = sent.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
    assert_eq!(resolver.asked(), 1, "what did not come in time is not tried again");
    assert_may_be_retried(error);
}

#[tokio::test]
async fn x15_a_name_that_is_bound_to_another_server_gives_it_nothing() {
    let (ca, intruders) = (Ca::new(), Ca::new());
    let (seen, address_of_provider) = provider(&ca).await;
    for acceptor in [intruders.acceptor(HOST, |_| {}), ca.acceptor("127.0.0.1", |_| {})] {
        let intruder = answering(acceptor, answer(200, "", b"{}")).await;
        let resolver = Resolver::saying(
            [address_of_provider, address(&intruder)].map(|address| Says::Addresses(vec![address])),
        );
        let before = seen.requests();
        let clock = ManualClock::without_pauses();
        let client = client(&resolver, &clock, &ca, |builder| builder);
        client.send(post(URL), &Limits::default()).await.unwrap();
        let error = client.send(post(URL), &Limits::default()).await.unwrap_err();
        assert_eq!(what(&error), (HttpErrorKind::Tls, Delivery::NotSent));
        assert_eq!((intruder.connections(), intruder.requests(), resolver.asked()), (1, 0, 2));
        assert_eq!(seen.requests(), before + 1);
    }
}

#[tokio::test]
async fn x15_no_name_is_spoken_to_without_tls_wherever_it_leads() {
    let (ca, loopback) = (Ca::new(), common::server::answering(answer(200, "", b"{}")).await);
    let resolver = Resolver::saying([Says::Addresses(vec![address(&loopback)])]);
    let client = client(&resolver, &ManualClock::new(), &ca, |builder| builder);
    let error = client.send(post(&URL.replacen("https", "http", 1)), &Limits::default()).await.unwrap_err();
    assert_eq!(what(&error), (HttpErrorKind::Insecure, Delivery::NotSent));
    assert_eq!((resolver.asked(), loopback.connections()), (0, 0));
}

#[cfg(target_os = "linux")]
mod black_hole {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    /// An address that swallows who would connect: the queue behind it is full, and nobody takes from it.
    struct BlackHole {
        address: SocketAddr,
        _full: (TcpListener, TcpStream),
    }

    impl BlackHole {
        async fn new() -> Self {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            // Linux lets one more in than the queue is said to take.
            let listener = socket.listen(0).unwrap();
            let address = listener.local_addr().unwrap();
            let first = TcpStream::connect(address).await.unwrap();
            Self { address, _full: (listener, first) }
        }

        /// The same as an address of IPv6: a machine without IPv6 has this one, and not `::1`.
        fn as_ipv6(&self) -> SocketAddr {
            let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
            SocketAddr::new(mapped, self.address.port())
        }
    }

    #[tokio::test]
    async fn x15_an_ipv6_black_hole_does_not_hide_the_ipv4_address() {
        let (ca, hole) = (Ca::new(), BlackHole::new().await);
        let (seen, address) = provider(&ca).await;
        let resolver = Resolver::saying([Says::Addresses(vec![hole.as_ipv6(), address])]);
        let (sent, clock) = send(&resolver, &ca).await;
        assert_eq!(sent.unwrap().body, b"{}");
        assert_eq!((resolver.asked(), clock.pauses().len()), (1, 0));
        assert_eq!((seen.connections(), seen.requests()), (1, 1));
    }

    #[tokio::test]
    async fn x15_a_black_hole_alone_is_given_up_and_may_be_retried() {
        let hole = BlackHole::new().await;
        for address in [hole.as_ipv6(), hole.address] {
            let resolver = Resolver::saying([Says::Addresses(vec![address])]);
            // With a clock that stands still, no deadline of the request can pass.
            let client = client(&resolver, &ManualClock::new(), &Ca::new(), |builder| {
                builder.connect_timeout(Duration::from_millis(20))
            });
            let error = client.send(post(URL), &Limits::default()).await.unwrap_err();
            assert_eq!(what(&error), (HttpErrorKind::Timeout, Delivery::NotSent));
            assert_eq!(resolver.asked(), 1);
            assert_may_be_retried(error);
        }
    }
}
