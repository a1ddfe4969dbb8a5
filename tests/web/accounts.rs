//! Several accounts at one provider: each is a connection of its own.

use crate::framework::Framework;
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, World};

judged! {
    every_store:
        a_handler_gets_the_account_that_was_connected_last,
        a_handler_gets_all_accounts_to_choose_from,
        disconnect_takes_the_account_that_it_is_told,
        an_account_of_another_user_cannot_be_disconnected;
}

async fn connect_as<F: Framework>(world: &World<F>, browser: &crate::browser::Browser, account: &str) {
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(world.example.sign_in(account));
    world.connect(browser).await;
}

async fn a_handler_gets_the_account_that_was_connected_last<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.asking_for_account().start().await;
    let browser = world.browser_of("alice");
    for account in ["zoe", "ada", "mia"] {
        connect_as(&world, &browser, account).await;
        browser.get("/me").send().await.assert_contains(account);
    }
    // The same one once more: it is connected again, and no other is gone.
    connect_as(&world, &browser, "zoe").await;
    browser.get("/me").send().await.assert_contains("zoe");
    assert_eq!(world.connections_of("alice").await, [EXAMPLE; 3]);
    let page = browser.get("/auth").send().await;
    page.assert_contains("zoe").assert_contains("ada").assert_contains("mia");
}

async fn a_handler_gets_all_accounts_to_choose_from<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.asking_for_account().start().await;
    let (alice, bob) = (world.browser_of("alice"), world.browser_of("bob"));
    connect_as(&world, &bob, "bea").await;
    for account in ["zoe", "ada", "mia"] {
        connect_as(&world, &alice, account).await;
    }
    let all = alice.get("/accounts").send().await;
    let lines: Vec<&str> = all.body.lines().collect();
    assert_eq!(lines.len(), 3, "{all:?}");
    for (line, account) in lines.into_iter().zip(["mia", "ada", "zoe"]) {
        assert!(line.contains(account), "{all:?}");
    }
    assert_eq!(world.browser_of("carol").get("/accounts").send().await.body, "");
}

async fn disconnect_takes_the_account_that_it_is_told<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.asking_for_account().start().await;
    let browser = world.browser_of("alice");
    for account in ["zoe", "ada", "mia"] {
        connect_as(&world, &browser, account).await;
    }
    let path = world.path(EXAMPLE, "disconnect");
    let answer = browser.post(&path, &[("account", "ada")]).send().await;
    assert!(answer.status == 303, "{answer:?}");
    let page = browser.get("/auth").send().await;
    page.assert_contains("zoe").assert_contains("mia").assert_lacks("ada<");
    assert_eq!(world.connections_of("alice").await.len(), 2);
    // One that there is not: nothing happens to the others.
    for unknown in ["ada", "nobody", "ZOE", "zoe "] {
        browser.post(&path, &[("account", unknown)]).send().await;
        assert_eq!(world.connections_of("alice").await.len(), 2, "{unknown}");
    }
}

async fn an_account_of_another_user_cannot_be_disconnected<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.asking_for_account().start().await;
    let (alice, mallory) = (world.browser_of("acme/alice"), world.browser_of("globex/alice"));
    connect_as(&world, &alice, "ada").await;
    let path = world.path(EXAMPLE, "disconnect");
    mallory.post(&path, &[("account", "ada")]).send().await;
    mallory.post(&path, &[]).send().await;
    assert_eq!(world.connections_of("acme/alice").await, [EXAMPLE]);
    alice.get("/me").send().await.assert_contains("ada");
}
