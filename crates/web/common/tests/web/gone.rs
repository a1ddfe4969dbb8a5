//! X25: the browser that goes away while something is under way.

use std::pin::pin;

use crate::browser::{Answer, Browser, From};
use crate::world::World;

/// Waits for `visit` until the provider is asked, and no longer; then the provider answers.
async fn leaves(world: &World, visit: impl Future<Output = Answer>) {
    world.gate.set_closed(true);
    tokio::select! {
        biased;
        () = world.gate.is_waited_at() => {}
        answer = pin!(visit) => panic!("the provider has not answered yet: {answer:?}"),
    }
    world.gate.set_closed(false);
    assert_eq!(world.accounts.connections().drain(std::time::Duration::from_secs(60)).await.unfinished, 0);
}

#[tokio::test]
async fn x25_a_flow_whose_browser_left_is_finished_and_told() {
    let world = World::new();
    let browser = Browser::of("alice");
    let callback = world.until_callback(&browser, "alpha", "/done").await;
    leaves(&world, world.deliver(&browser, &callback)).await;
    assert_eq!(world.connections("alice").await, ["alpha user-1"]);
    assert_eq!(world.application.outcomes(), ["connected alpha"]);
    assert_eq!(world.token_requests(), 1);
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
