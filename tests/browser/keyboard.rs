//! The accounts page without a mouse: by Tab and Enter.

use std::sync::Arc;

use fantoccini::key::Key;

use crate::chromium::Browsers;
use crate::example::Which;
use crate::page::Page;
use crate::stage::Stage;

driven! {
    connect_and_disconnect_by_keyboard,
}

/// More than there is to stop at on any page.
const STOPS: usize = 40;

/// Goes on by Tab until it stops at what is meant, which has to be seen there.
pub(crate) async fn tab_to(page: &Page, css: &str) {
    let is_there = "const at = document.activeElement;
        if (!at || !at.matches(arguments[0])) return null;
        const box = at.getBoundingClientRect(), look = getComputedStyle(at);
        return { inside: box.top >= 0 && box.bottom <= innerHeight && box.width > 0,
            ring: look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0 }";
    page.shows(css).await;
    for _ in 0..STOPS {
        page.types(Key::Tab).await;
        let found = page.driver().execute(is_there, vec![css.into()]).await.unwrap();
        if !found.is_null() {
            assert_eq!(found["inside"], true, "{css} is on the screen");
            assert_eq!(found["ring"], true, "{css} shows that it is the one");
            return;
        }
    }
    panic!("Tab does not lead to {css} in {}", page.describe().await);
}

async fn connect_and_disconnect_by_keyboard(which: Which, browsers: Arc<Browsers>) {
    let stage = Stage::new(which).await;
    let page = browsers.open().await;
    stage.sign_in(&page).await;
    page.goto(&stage.app.url("/auth")).await;
    tab_to(&page, "[action='/auth/another/connect'] button").await;
    page.leaves_by(page.types(Key::Enter), "Enter").await;
    page.is_under(stage.provider_url("another")).await;
    tab_to(&page, "button[value=approve]").await;
    page.leaves_by(page.types(Key::Enter), "Enter").await;
    page.arrives_at(&stage.app.url("/auth")).await;
    tab_to(&page, "[action='/auth/another/disconnect'] button").await;
    page.leaves_by(page.types(Key::Enter), "Enter").await;
    page.arrives_at(&stage.app.url("/auth")).await;
    page.shows("[role=status]").await;
    assert!(!page.has("[action='/auth/another/disconnect']").await, "{}", page.describe().await);
    assert_eq!(stage.revocations().await, 1);
}
