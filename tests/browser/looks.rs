//! How every page looks, on a phone and on a desk, in the light and in the dark: pictures to look at, and axe-core's judgement.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authflow::User;
use authflow_testkit::{Endpoint, ErrorCode, Fault, ScriptedUser};
use serde_json::json;

use crate::application::SESSION;
use crate::axe::assert_accessible;
use crate::chromium::Browsers;
use crate::example::Which;
use crate::framework::{Actix, Axum, Framework};
use crate::jar::SameSite;
use crate::page::Page;
use crate::stage::{SIGN_IN, Stage};
use crate::stores::Kind;
use crate::world::{OTHER, Setup, TTL, World};

driven! {
    the_example_and_its_provider,
    the_pages_of_whoever_is_signed_in,
    the_pages_of_whoever_is_not,
}

/// `target/tmp/screenshots`, and a folder for each program.
fn folder(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(of)
}

async fn look(which: Which, page: &Page, name: &str) {
    look_at(which.name(), page, name).await;
}

/// The page in front, by every screen and light.
pub(crate) async fn look_at(program: &str, page: &Page, name: &str) {
    look_on(&[(390, false), (390, true), (1280, false), (1280, true)], program, page, name).await;
}

/// The page in front, on screens of these widths, in the light or in the dark.
pub(crate) async fn look_on(screens: &[(u32, bool)], program: &str, page: &Page, name: &str) {
    std::fs::create_dir_all(folder(program)).unwrap();
    page.heading().await;
    for &(width, dark) in screens {
        page.show_on(width, dark).await;
        let light = if dark { "dark" } else { "light" };
        let name = format!("{name}-{width}-{light}");
        let overflow = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let overflow = page.driver().execute(overflow, Vec::new()).await.unwrap();
        assert_eq!(overflow, json!(0), "{name}: nobody has to scroll sideways");
        ends_with_what_it_shows(page, &name).await;
        assert_accessible(page, &name).await;
        std::fs::write(folder(program).join(format!("{name}.png")), page.picture(width).await).unwrap();
        page.show_on(width, dark).await;
    }
}

/// How much of nothing there may be below a page, in pixels.
const MARGIN: f64 = 48.0;

/// Nobody scrolls into blank paper: what is out of sight makes a document as long as what is in sight.
async fn ends_with_what_it_shows(page: &Page, name: &str) {
    let heights = "const all = document.documentElement;
        return [all.scrollHeight, Math.max(all.clientHeight, document.body.getBoundingClientRect().bottom + scrollY)]";
    let heights = page.driver().execute(heights, Vec::new()).await.unwrap();
    let [document, shown] = [0, 1].map(|at| heights[at].as_f64().unwrap());
    assert!(
        document <= shown + MARGIN,
        "{name}: the document ends at {document}, and what it shows at {shown}"
    );
}

async fn the_example_and_its_provider(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    page.goto(&stage.app.url("/")).await;
    look(which, &page, "example-signed-out").await;
    page.follow(SIGN_IN).await;
    look(which, &page, "consent").await;
    page.approve().await;
    page.arrives_at(&stage.app.url("/")).await;
    look(which, &page, "example-signed-in").await;
}

/// A browser on this machine's http, with somebody signed in.
async fn signed_in<F: Framework>(world: &World<F>, page: &Page, name: &str) {
    page.goto(&format!("{}/auth/example/denied", world.origin)).await;
    let session = world.application.session(Some(&User::new("acme", name)));
    page.set_cookie(SESSION, &session, SameSite::Lax).await;
}

async fn the_pages_of_whoever_is_signed_in(which: Which, browsers: Arc<Browsers>) {
    match which {
        Which::Axum => of_a_user::<Axum>(which, browsers).await,
        Which::Actix => of_a_user::<Actix>(which, browsers).await,
    }
}

async fn of_a_user<F: Framework>(which: Which, browsers: Arc<Browsers>) {
    let world: World<F> = Setup::new(Kind::Memory).await.on_loopback().asking_for_account().start().await;
    let at = |path: &str| format!("{}{path}", world.origin);
    let page = browsers.open().await;
    signed_in(&world, &page, "alice").await;
    let visit = async |name: &str, path: String| {
        page.goto(&path).await;
        look(which, &page, name).await;
    };
    visit("accounts-empty", at("/auth")).await;
    visit("denied", at("/auth/example/denied")).await;
    visit("failed", at("/auth/example/failed")).await;
    visit("failed-unavailable", at("/auth/example/failed?reason=unavailable")).await;
    visit("connect-asks", at("/auth/example/connect?return_to=/whoami")).await;
    visit("not-found", at("/auth/example/nothing")).await;
    visit("not-accepted", at("/auth/example/callback?code=x&state=y")).await;

    let http = world.browser_of("alice");
    world.example.sign_in("ada");
    world.connect(&http).await;
    let long = "a-very-long-name-of-an-account-that-does-not-fit-on-a-phone@example.com";
    for account in [long, "<script>alert(1)</script>", "עדה"] {
        assert!(world.other.sign_in(account));
        let url = world.begin_at(OTHER, &http, Some("/done")).await;
        let callback = world.approve(&url).await;
        assert_eq!(world.deliver(&http, &callback).await.location(), "/done");
    }
    visit("accounts", at("/auth")).await;
    // One that has ended.
    world.example.fault_all(Endpoint::Token, Fault::Refuse(ErrorCode::InvalidGrant));
    world.example.fault_all(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
    http.get("/me").send().await;
    http.get("/me").send().await;
    visit("accounts-reconnect", at("/auth")).await;
    page.press("[action='/auth/other/disconnect'] button").await;
    page.arrives_at(&at("/auth")).await;
    look(which, &page, "accounts-disconnected").await;
    world.example.clear_faults();

    // Flows of this browser, with the callbacks that become of them.
    let [expired, changed, ended] =
        [begin(&world, &page).await, begin(&world, &page).await, begin(&world, &page).await];
    let denied = ScriptedUser::new().deny(&ended).await.unwrap();
    page.goto(&denied).await;
    page.arrives_at(&at("/auth/example/denied")).await;
    visit("ended", denied).await;
    let changed = ScriptedUser::new().approve(&changed).await.unwrap();
    signed_in(&world, &page, "bob").await;
    visit("another-user", changed).await;
    signed_in(&world, &page, "alice").await;
    world.application.break_sessions(true);
    visit("session-unreadable", at("/auth")).await;
    world.application.break_sessions(false);
    let expired = ScriptedUser::new().approve(&expired).await.unwrap();
    world.clock.advance(TTL + Duration::from_secs(1));
    visit("expired", expired).await;
}

/// Begins in the real browser, and stays at the provider: the authorization URL.
async fn begin<F: Framework>(world: &World<F>, page: &Page) -> String {
    page.goto(&format!("{}/auth/example/connect", world.origin)).await;
    page.press("main form button").await;
    page.arrives_under(world.example.base_url()).await;
    page.url().await.into()
}

async fn the_pages_of_whoever_is_not(which: Which, browsers: Arc<Browsers>) {
    match which {
        Which::Axum => of_nobody::<Axum>(which, browsers).await,
        Which::Actix => of_nobody::<Actix>(which, browsers).await,
    }
}

async fn of_nobody<F: Framework>(which: Which, browsers: Arc<Browsers>) {
    let page = browsers.open().await;
    let offering: World<F> = Setup::new(Kind::Memory).await.on_loopback().offering_sign_in().start().await;
    page.goto(&format!("{}/auth", offering.origin)).await;
    look(which, &page, "sign-in").await;
    let world: World<F> = Setup::new(Kind::Memory).await.on_loopback().start().await;
    page.goto(&format!("{}/auth", world.origin)).await;
    look(which, &page, "signed-out").await;
    page.goto(&format!("{}/auth/example/connect", world.origin)).await;
    look(which, &page, "signed-out-connect").await;
}
