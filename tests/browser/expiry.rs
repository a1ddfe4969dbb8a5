//! A flow that took too long, in an application in this process: its clock is moved.

use std::sync::Arc;
use std::time::Duration;

use crate::chromium::Browsers;
use crate::example::Which;
use crate::framework::{Actix, Axum, Framework};
use crate::stores::Kind;
use crate::world::{Setup, TTL, World};

driven! {
    a4_an_expired_flow_says_so_and_can_begin_again,
}

async fn a4_an_expired_flow_says_so_and_can_begin_again(which: Which, browsers: Arc<Browsers>) {
    match which {
        Which::Axum => expired::<Axum>(browsers).await,
        Which::Actix => expired::<Actix>(browsers).await,
    }
}

async fn expired<F: Framework>(browsers: Arc<Browsers>) {
    let world: World<F> = Setup::new(Kind::Memory).await.on_loopback().offering_sign_in().start().await;
    let page = browsers.open().await;
    let whoami = format!("{}/whoami", world.origin);
    page.goto(&format!("{}/auth/example/connect?return_to=/whoami", world.origin)).await;
    world.clock.advance(TTL - Duration::from_secs(30));
    // The person comes back to the page and presses the button; the provider still takes it.
    page.goto(page.url().await.as_str()).await;
    world.clock.advance(Duration::from_secs(31));
    page.approve().await;
    page.arrives_at(&format!("{}/auth/example/callback", world.origin)).await;
    assert_eq!(world.token_requests(), 0, "no code goes out");
    let expired = page.heading().await;
    page.press("main [href^='/auth/example/connect'], main [action^='/auth/example/connect'] button").await;
    page.approve().await;
    // The next attempt leads to where this one would have.
    page.is_at(&whoami).await;
    assert_eq!(world.token_requests(), 1, "after {expired:?} one can begin again");
    assert_eq!(page.text().await, "new-0");
}
