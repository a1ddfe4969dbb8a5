//! What is refused when it is built.

use std::sync::Arc;

use authflow_core::{
    ClientCredentials, ConfiguredProvider, Connections, Flow, KnownProvider, MemoryStateStore,
    MemoryTokenStore, Provider, Result, User,
};
use authflow_testkit::LoopbackClient;
use authflow_web::{Accounts, AccountsBuilder, Application, BoxError, DefaultPages, Texts};
use bytes::Bytes;
use http::Request;
use http::header::COOKIE;
use http::request::Parts;

use crate::application::TestApplication;
use crate::browser::Answer;

fn connections(id: &str, redirect_uri: &str) -> Connections {
    let provider = Provider::builder(id)
        .name("Alpha & Co.")
        .authorization_endpoint("https://as.example/authorize")
        .token_endpoint("https://as.example/token")
        .build()
        .unwrap();
    let credentials = ClientCredentials::public("web").redirect_uri(redirect_uri);
    let manager = ConfiguredProvider::from_provider(provider, credentials, MemoryStateStore::new()).unwrap();
    let flow = Flow::builder(manager).http_client(LoopbackClient::new()).build().unwrap();
    Connections::builder().flow(flow).token_store(MemoryTokenStore::new()).build().unwrap()
}

fn build(
    id: &str,
    redirect_uri: &str,
    more: impl Fn(AccountsBuilder) -> AccountsBuilder,
) -> Result<Accounts> {
    let application = Arc::new(TestApplication::default());
    more(Accounts::builder(connections(id, redirect_uri), "https://app.example/auth", application)).build()
}

#[tokio::test]
async fn b3_each_provider_has_a_callback_of_its_own_registered() {
    assert!(build("alpha", "https://app.example/auth/alpha/callback", |it| it).is_ok());
    for wrong in [
        "https://app.example/auth/callback",
        "https://app.example/auth/beta/callback",
        "https://app.example/auth/alpha/callback/",
        "https://www.app.example/auth/alpha/callback",
    ] {
        let error = build("alpha", wrong, |it| it).unwrap_err().to_string();
        assert!(
            error.contains("`https://app.example/auth/alpha/callback`"),
            "it says what to register: {error}"
        );
    }
    let encoded = build("a/b", "https://app.example/auth/a%2Fb/callback", |it| it).unwrap();
    assert_eq!(encoded.connect_path("a/b", Some("/x?y=z")), "/auth/a%2Fb/connect?return_to=/x%3Fy%3Dz");
}

#[tokio::test]
async fn a_provider_is_called_what_it_calls_itself_or_the_application_says() {
    let right = "https://app.example/auth/alpha/callback";
    let itself = build("alpha", right, |it| it).unwrap();
    let by_us = build("alpha", right, |it| it.provider_name("alpha", "Mine")).unwrap();
    for (accounts, shown) in
        [(itself, "Connect <bdi>Alpha &amp; Co.</bdi>"), (by_us, "Connect <bdi>Mine</bdi>")]
    {
        let request = Request::get("https://app.example/auth")
            .header(COOKIE, "session=alice")
            .body(Bytes::new())
            .unwrap();
        let answer = accounts.handle(request).await;
        let page = str::from_utf8(answer.body()).unwrap();
        assert!(page.contains(shown), "{page}");
    }
}

#[tokio::test]
async fn mistakes_are_found_when_it_is_built() {
    let right = "https://app.example/auth/alpha/callback";
    assert!(build("alpha", right, |it| it.provider_name("alfa", "Alpha")).is_err());
    assert!(build("alpha", right, |it| it.after("//evil.example")).is_err());
    assert!(build("alpha", right, |it| it.after("home")).is_err());
    for wrong in ["login", "//evil.example/?next=", "https://evil.example/?next=", "/log in", ""] {
        assert!(build("alpha", right, |it| it.sign_in_at(wrong)).is_err(), "{wrong}");
    }
    assert!(build("alpha", right, |it| it.sign_in_at("/login")).is_ok());
    assert!(build("alpha", right, |it| it.application("Shop", "//evil.example")).is_err());
    let own = |it: AccountsBuilder| it.application("Shop", "/").pages(DefaultPages::default());
    assert!(build("alpha", right, own).is_err(), "what would be dropped in silence");
    assert!(build("..", "https://app.example/auth/../callback", |it| it).is_err());
    assert!(build(".", "https://app.example/auth/./callback", |it| it).is_err());
    let application = Arc::new(TestApplication::default());
    let builder = Accounts::builder(connections("alpha", right), "http://app.example/auth", application);
    assert!(builder.build().is_err());
}

#[tokio::test]
async fn the_way_home_stays_whatever_the_words_are() {
    let german = || {
        let mut texts = Texts::english();
        texts.lang = "de".into();
        texts
    };
    let orders: [&dyn Fn(AccountsBuilder) -> AccountsBuilder; 3] = [
        &|it| it.application("Shop", "/shop"),
        &|it| it.application("Shop", "/shop").texts(german()),
        &|it| it.texts(german()).application("Shop", "/shop"),
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let accounts = build("alpha", "https://app.example/auth/alpha/callback", order).unwrap();
        let request = http::Request::get("/auth").body(bytes::Bytes::new()).unwrap();
        let page = Answer::new(accounts.handle(request).await).body;
        assert!(page.contains("<header><a href=\"/shop\"><bdi>Shop</bdi></a></header>"), "{page}");
        assert_eq!(page.contains("lang=\"de\""), number > 0, "{page}");
    }
}

/// An application that says no more than it has to.
struct Plain;

#[authflow_web::async_trait]
impl Application for Plain {
    async fn current_user(&self, _: &Parts) -> std::result::Result<Option<User>, BoxError> {
        Ok(None)
    }
}

#[tokio::test]
async fn an_application_offers_to_sign_in_only_if_it_says_so() {
    let connections = connections("alpha", "https://app.example/auth/alpha/callback");
    let builder = Accounts::builder(connections, "https://app.example/auth", Plain);
    assert!(format!("{builder:?}").contains("https://app.example/auth"));
    let accounts = builder.build().unwrap();
    assert!(format!("{accounts:?}").contains("https://app.example/auth"));
    let request = http::Request::get("/auth/alpha/connect").body(bytes::Bytes::new()).unwrap();
    assert_eq!(accounts.handle(request).await.status(), 401);
}

/// What a framework needs: a future that may move between threads, and values that may be shared.
#[tokio::test]
async fn what_is_made_fits_into_a_server() {
    fn fits<T: Clone + Send + Sync + std::fmt::Debug + 'static>(value: T) -> T {
        value
    }
    fn moves<T: Send>(value: T) -> T {
        value
    }
    struct Alpha;
    impl KnownProvider for Alpha {
        const PROVIDER_ID: &'static str = "alpha";
    }
    let accounts =
        fits(build(Alpha::PROVIDER_ID, "https://app.example/auth/alpha/callback", |it| it).unwrap());
    let request = http::Request::get("/nowhere").body(bytes::Bytes::new()).unwrap();
    assert_eq!(moves(accounts.handle(request)).await.status(), 404);
    let (parts, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    assert!(moves(accounts.client(&parts, Alpha::PROVIDER_ID)).await.is_err());
}
