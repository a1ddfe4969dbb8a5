//! Services that are not hyper's: what they see, when they are called, and what they need not be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use authflow_core::ErrorKind;
use authflow_tower::{BoxError, ConnectionLayer, Error};
use http::{Request, Response, StatusCode};
use support::World;
use tokio::sync::Barrier;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};

fn layer(world: &World) -> ConnectionLayer {
    ConnectionLayer::new(world.connections.clone(), world.key.clone())
}

fn answer(status: u16) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn get(uri: &str) -> Request<String> {
    Request::get(uri).body("body".to_owned()).unwrap()
}

/// As `tower::Service` asks for it: each call needs a `poll_ready` of its own on this instance, and a clone has none. It
/// answers 401 as often as it is told.
#[derive(Default)]
struct Strict {
    is_ready: bool,
    refusals: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { is_ready: false, refusals: Arc::clone(&self.refusals), calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !self.is_ready {
            self.is_ready = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        let left = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        ready(Ok(answer(if left.is_ok() { 401 } else { 200 })))
    }
}

#[tokio::test]
async fn the_service_inside_is_ready_before_each_call() {
    let world = World::rfc().await;
    let strict = Strict::default();
    strict.refusals.store(1, Ordering::SeqCst);
    let mut client = layer(&world).layer(strict.clone());
    for calls in [2, 3] {
        let response = client.ready().await.unwrap().call(get(&world.api())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(strict.calls.load(Ordering::SeqCst), calls);
    }
    assert_eq!(world.refreshes(), 1);
}

/// The place that the first attempt had is free again for the second.
#[tokio::test]
async fn a_limit_of_one_is_enough_for_two_attempts() {
    let world = World::rfc().await;
    let strict = Strict::default();
    strict.refusals.store(1, Ordering::SeqCst);
    let service = ServiceBuilder::new().concurrency_limit(1).service(strict);
    let response = layer(&world).layer(service).oneshot(get(&world.api())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn f22_fifty_refusals_make_one_refresh() {
    let world = World::rfc().await;
    let old = format!("Bearer {}", world.token().await);
    let calls = Arc::new(AtomicUsize::new(0));
    // Nobody has an answer before all are refused.
    let all = Arc::new(Barrier::new(50));
    let api = service_fn(|request: Request<String>| {
        let (all, calls) = (Arc::clone(&all), Arc::clone(&calls));
        let is_old = request.headers()["authorization"] == old;
        async move {
            calls.fetch_add(1, Ordering::SeqCst);
            if is_old {
                all.wait().await;
                return Ok::<_, Infallible>(answer(401));
            }
            Ok(answer(200))
        }
    });
    let client = layer(&world).layer(api);
    let mut requests: Vec<_> = (0..50).map(|_| Box::pin(client.clone().oneshot(get(&world.api())))).collect();
    let mut statuses = Vec::new();
    std::future::poll_fn(|cx| {
        requests.retain_mut(|request| match request.as_mut().poll(cx) {
            Poll::Ready(response) => {
                statuses.push(response.unwrap().status());
                false
            }
            Poll::Pending => true,
        });
        if requests.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    assert_eq!(statuses, [StatusCode::OK; 50]);
    assert_eq!(calls.load(Ordering::SeqCst), 100);
    assert_eq!(world.refreshes(), 1);
}

/// What was checked is what is sent, and nothing else is changed.
#[tokio::test]
async fn a_uri_stays_as_it_is_but_for_what_is_attached() {
    let world = World::rfc().await;
    let seen = Mutex::new(Vec::new());
    let api = service_fn(|request: Request<String>| {
        seen.lock().unwrap().push(request.uri().to_string());
        ready(Ok::<_, Infallible>(answer(200)))
    });
    let base = world.server.base_url();
    for (uri, expected) in [
        (format!("{base}/a/./b/../c%2e?x=%20+'y'&&z"), format!("{base}/a/./b/../c%2e?x=%20+'y'&&z")),
        (base.to_owned(), format!("{base}/")),
        (format!("{base}/?"), format!("{base}/?")),
        (base.replace("127.0.0.1", "127.1"), format!("{base}/")),
    ] {
        layer(&world).layer(api).oneshot(get(&uri)).await.unwrap();
        assert_eq!(seen.lock().unwrap().pop(), Some(expected), "{uri}");
    }
}

#[tokio::test]
async fn c5_the_port_of_the_scheme_may_be_left_out_of_a_host() {
    let world = World::rfc().await;
    let api = service_fn(|request: Request<String>| {
        assert_eq!(request.uri(), "https://api.example/me");
        ready(Ok::<_, Infallible>(answer(200)))
    });
    for uri in ["https://api.example/me", "https://API.example:443/me"] {
        for (host, is_same) in [
            ("api.example", true),
            ("Api.Example:443", true),
            ("api.example:80", false),
            ("api.example:", false),
            ("api.example.", false),
            ("evil.example", false),
        ] {
            let mut request = get(uri);
            request.headers_mut().insert("host", host.parse().unwrap());
            match layer(&world).layer(api).oneshot(request).await {
                Ok(_) => assert!(is_same, "{host}"),
                Err(error) => {
                    assert_eq!(error.connection().unwrap().kind(), ErrorKind::ForeignOrigin);
                    assert!(!is_same, "{host}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_attached_is_marked_sensitive_and_the_rest_goes_along() {
    let world = World::rfc().await;
    let api = service_fn(|request: Request<String>| {
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.headers()["x-own"], "1");
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.extensions().get(), Some(&7_u8));
        assert_eq!(request.body(), "body");
        ready(Ok::<_, Infallible>(answer(200)))
    });
    let request = Request::get(world.api()).header("x-own", "1").extension(7_u8);
    let request = request.version(http::Version::HTTP_2).body("body".to_owned()).unwrap();
    assert_eq!(layer(&world).layer(api).oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn errors_of_the_service_stay_what_they_are() {
    #[derive(Debug, thiserror::Error)]
    #[error("planted")]
    struct Planted;

    let world = World::rfc().await;
    let api = service_fn(|_: Request<String>| ready(Err::<Response<()>, _>(Planted)));
    match layer(&world).layer(api).oneshot(get(&world.api())).await.unwrap_err() {
        Error::Service(error) => assert!(error.is::<Planted>()),
        error => panic!("{error:?}"),
    }
    // Errors that are boxed already are good too, and the whole goes on into a box.
    let api = service_fn(|_: Request<String>| ready(Err::<Response<()>, BoxError>("planted".into())));
    let error: BoxError = layer(&world).layer(api).oneshot(get(&world.api())).await.unwrap_err().into();
    assert_eq!(error.to_string(), "planted");
}

/// Neither the service nor its future, body or answer needs to be `Send` or `Sync`, where the task is not.
#[tokio::test]
async fn nothing_has_to_be_send() {
    let world = World::rfc().await;
    let count = Rc::new(std::cell::Cell::new(0));
    let api = service_fn(|_: Request<Rc<str>>| {
        let count = Rc::clone(&count);
        async move {
            count.set(count.get() + 1);
            Ok::<_, Infallible>(Response::new(count))
        }
    });
    let request = Request::get(world.api()).body(Rc::from("body")).unwrap();
    layer(&world).layer(api).oneshot(request).await.unwrap();
    assert_eq!(count.get(), 1);
}

/// And where all of them are, so is the future.
#[tokio::test]
async fn what_is_send_stays_so() {
    fn is_send<T: Send + 'static>(value: T) -> T {
        value
    }
    let world = World::rfc().await;
    let client = is_send(layer(&world).layer(Strict::default()));
    let sent = tokio::spawn(is_send(client.oneshot(get(&world.api()))));
    assert_eq!(sent.await.unwrap().unwrap().status(), StatusCode::OK);
}
