//! X25: the browser that goes away while something is under way.

use std::pin::pin;

use crate::browser::{Answer, Browser, From};
use crate::world::World;

/// Waits for `visit` until the provider is asked, and no longer; then the provider answers, and the application is told.
async fn leaves(world: &World, visit: impl Future<Output = Answer>) {
    let told = world.application.outcomes().len();
    world.gate.set_closed(true);
    tokio::select! {
        biased;
        () = world.gate.is_waited_at() => {}
        answer = pin!(visit) => panic!("the provider has not answered yet: {answer:?}"),
    }
    world.gate.set_closed(false);
    while world.application.outcomes().len() == told {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn x25_a_flow_whose_browser_left_is_finished_and_told() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    leaves(&world, world.deliver(&browser, &callback)).await;
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    assert_eq!(world.application.outcomes(), ["connected alpha"]);
    // Once more, as a person does who saw nothing.
    let again = world.deliver(&browser, &callback).await;
    world.assert_refused(&again, 410, 1);
    assert!(again.body.contains("href=\"/auth\""), "which shows that it is connected");
}

#[tokio::test]
async fn x25_a_disconnect_whose_browser_left_is_finished_and_told() {
    let world = World::new();
    let browser = Browser::of("alice");
    world.connect(&browser, "alpha").await;
    leaves(&world, world.post(&browser, From::Own, "/auth/alpha/disconnect", "")).await;
    assert!(world.connections("alice").await.is_empty());
    assert_eq!(world.application.outcomes(), ["connected alpha", "disconnected alpha user-1 true"]);
}
