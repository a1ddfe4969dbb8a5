//! What must hold for any bytes that arrive at the loopback listener, and for the flow that gets what the listener takes.

use std::future::IntoFuture as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use authflow::{
    AuthorizationResponse, Binding, ClientCredentials, ConfiguredProvider, Delivery, Flow, HttpClient,
    HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits, PendingFlow, Provider, StateContext,
    StateKey, StateStore, StoreError, User, async_trait,
};
use authflow_cli::fuzzing::{Head, Outcome, Site, read_head};

/// The state of the one flow that is pending: that of the seed `callback`.
const STATE: &str = "af0ifjsldkj";
const REDIRECT_URI: &str = "http://127.0.0.1:4000/callback";
const USER: &str = "user-42";

/// Judges `bytes` by a reader that is slow and plain, and knows only what is right.
pub(crate) fn check(bytes: &[u8]) {
    let site = Site { host: "127.0.0.1:4000".to_owned(), path: "/callback".to_owned(), query: None };
    let read = read_head(bytes, &site);
    // What is decided stays decided, however much follows.
    if read.is_some() {
        let mut more = bytes.to_vec();
        more.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(read_head(&more, &site), read);
    } else {
        assert!(bytes.len() < 16 * 1024 && !bytes.windows(4).any(|window| window == b"\r\n\r\n"));
    }
    let target = match read {
        Some(Head::Callback(query)) => {
            assert!(!query.is_empty());
            check_state(&query);
            format!("/callback?{query}")
        }
        Some(Head::Result(Outcome::Done)) => "/authflow-result/done".to_owned(),
        Some(Head::Result(Outcome::Denied)) => "/authflow-result/denied".to_owned(),
        Some(Head::Result(Outcome::Failed)) => "/authflow-result/failed".to_owned(),
        Some(Head::Result(Outcome::AlreadyDone)) => "/authflow-result/already-done".to_owned(),
        Some(Head::Refused(_)) | None => return,
    };
    let text = String::from_utf8_lossy(bytes).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    assert!(
        first == format!("GET {target} HTTP/1.1") || first == format!("GET {target} HTTP/1.0"),
        "{first:?}"
    );
    let hosts: Vec<&str> =
        lines.filter(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("host:"))).collect();
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    assert_eq!(hosts[0][5..].trim_matches([' ', '\t']), "127.0.0.1:4000");
    assert!(!head.contains('\0'));
}

/// The listener takes any query; it is the engine that judges the state. A token is asked for only where a slow reader finds the
/// pending flow's state and a code, each exactly once, and no other answer.
fn check_state(query: &str) {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.strip_prefix('?').unwrap_or(query).as_bytes())
            .into_owned()
            .collect();
    let values = |name: &str| {
        pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    let (asked, codes) = judge(query);
    assert!(asked.len() <= 1, "{query:?}");
    if let Some(asked) = asked.first() {
        assert!(matches!(values("state")[..], [state] if key(state) == *asked), "{query:?}");
    }
    if codes.is_empty() {
        // Of a good callback nothing is lost: it is the only one that the user will bring.
        let is_good = matches!(pairs.as_slice(), [(code, value), (state, own)]
            if code == "code" && state == "state" && own == STATE
                && !value.is_empty() && value.bytes().all(|b| (0x20..=0x7e).contains(&b)));
        let escapes_are_whole = !query.contains('%');
        assert!(!(is_good && escapes_are_whole), "{query:?}");
    } else {
        assert_eq!(values("state"), [STATE]);
        assert_eq!(values("code"), codes);
        assert!(values("error").is_empty(), "{query:?}");
    }
}

/// What the store was asked for, and the codes that were sent.
fn judge(query: &str) -> (Vec<StateKey>, Vec<String>) {
    let Ok(response) = AuthorizationResponse::from_query(query) else { return Default::default() };
    let seen = Arc::new(Seen::default());
    let provider = Provider::builder("p")
        .authorization_endpoint("https://as.example/authorize")
        .token_endpoint("https://as.example/token")
        .build()
        .expect("a fixed provider");
    let credentials = ClientCredentials::public("client-1").redirect_uri(REDIRECT_URI);
    let manager = ConfiguredProvider::from_provider(provider, credentials, OnePending(Arc::clone(&seen)))
        .expect("a fixed manager");
    let flow = Flow::builder(manager).http_client(Refuses(Arc::clone(&seen))).build().expect("a fixed flow");
    let binding = Binding::user("", USER);
    let mut finish = std::pin::pin!(flow.finish(&response, &binding).into_future());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let finished = std::future::Future::poll(finish.as_mut(), &mut cx);
    assert!(matches!(finished, std::task::Poll::Ready(Err(_))), "nothing waits, and no token is given");
    let asked = std::mem::take(&mut *seen.asked.lock().expect("no other thread"));
    let codes = std::mem::take(&mut *seen.codes.lock().expect("no other thread"));
    (asked, codes)
}

fn key(state: &str) -> StateKey {
    StateKey::new("p", state, &Binding::user("", USER)).expect("it is bound to a user")
}

#[derive(Debug, Default)]
struct Seen {
    asked: Mutex<Vec<StateKey>>,
    codes: Mutex<Vec<String>>,
}

/// Has one pending flow.
#[derive(Debug)]
struct OnePending(Arc<Seen>);

#[async_trait]
impl StateStore for OnePending {
    async fn store_state(
        &self,
        _: &StateContext<'_>,
        _: &StateKey,
        _: PendingFlow,
        _: Duration,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_state(
        &self,
        cx: &StateContext<'_>,
        asked: &StateKey,
    ) -> Result<Option<PendingFlow>, StoreError> {
        self.0.asked.lock().expect("no other thread").push(*asked);
        Ok((*asked == key(STATE)).then(|| {
            let mut pending = PendingFlow::new("p", REDIRECT_URI, cx.now, Duration::from_secs(600));
            pending.owner = Some(User::new("", USER));
            pending.code_verifier = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
            pending
        }))
    }
}

/// Keeps the code of a token request, and answers none.
#[derive(Debug)]
struct Refuses(Arc<Seen>);

#[async_trait]
impl HttpClient for Refuses {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let code = url::form_urlencoded::parse(&request.body).find(|(name, _)| name == "code");
        let code = code.map(|(_, code)| code.into_owned()).unwrap_or_default();
        self.0.codes.lock().expect("no other thread").push(code);
        Err(HttpError::new(HttpErrorKind::Transport, Delivery::NotSent))
    }
}
