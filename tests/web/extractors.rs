//! What handlers ask for, and what is answered where it is missing.

use authflow_testkit::{Endpoint, ErrorCode, Fault};

use crate::browser::Answer;
use crate::framework::Framework;
use crate::jar::From;
use crate::stores::Kind;
use crate::world::{EXAMPLE, Setup, World};

judged! {
    memory:
        a_person_is_sent_to_connect_and_comes_back,
        a_program_is_told_where_to_connect,
        nobody_signed_in_is_401_or_a_page,
        a_connection_that_has_ended_has_to_be_made_again,
        a_person_whose_connection_turns_out_to_be_over_sees_no_json,
        one_401_of_the_api_is_one_refresh,
        a_connection_is_of_one_user;
}

fn problem(answer: &Answer) -> serde_json::Value {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    assert!(answer.header("cache-control").contains("no-store"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["title"].is_string());
    problem
}

async fn a_person_is_sent_to_connect_and_comes_back<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    assert_eq!(browser.get("/maybe").send().await.body, "no");
    let sent = browser.get("/me?tab=2&x=%20y").send().await;
    assert_eq!(sent.header("cache-control"), "no-store");
    let connect = sent.location().to_owned();
    assert!(connect.starts_with("/auth/example/connect?return_to="), "{connect}");
    let begun = browser.get(&connect).send().await;
    let callback = world.approve(begun.location()).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/me?tab=2&x=%20y");
    let answer = browser.get("/me").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(browser.get("/maybe").send().await.body, "yes");
    // From another site too: a redirect to connect links nothing by itself.
    let other = world.browser_of("bob");
    let sent = other.get("/me").from(From::CrossSite).send().await;
    let begun = other.get(sent.location()).from(From::CrossSite).send().await;
    begun.assert_page(403);
}

async fn a_program_is_told_where_to_connect<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    let programs = [
        browser.get("/me").by_script(),
        browser.get("/me").from(From::Silent).header("accept", "application/json"),
        browser.get("/me").from(From::Silent).header("accept", "*/*"),
    ];
    for program in programs {
        let answer = program.send().await;
        assert_eq!(answer.status, 401);
        let connect = problem(&answer)["connect"].as_str().unwrap().to_owned();
        assert!(connect.starts_with("/auth/example/connect"), "{connect}");
    }
    // An old browser, which does not say what it is about.
    let person = browser.get("/me").from(From::Silent).header("accept", "text/html");
    assert!(person.send().await.location().starts_with("/auth/example/connect"));
}

async fn nobody_signed_in_is_401_or_a_page<F: Framework>(kind: Kind) {
    let world: World<F> = Setup::new(kind).await.offering_sign_in().start().await;
    let nobody = world.browser();
    let answer = nobody.get("/me").by_script().send().await;
    assert_eq!(answer.status, 401);
    problem(&answer);
    assert_eq!(nobody.get("/whoami").send().await.body, "nobody");
    assert_eq!(nobody.get("/maybe").send().await.body, "no");
    let sent = nobody.get("/me").send().await;
    let begun = nobody.get(sent.location()).send().await;
    let callback = world.approve(begun.location()).await;
    let answer = world.deliver(&nobody, &callback).await;
    assert_eq!(world.follow(&nobody, answer).await.location(), "/me");
    assert_eq!(nobody.get("/me").send().await.status, 200);
}

async fn a_connection_that_has_ended_has_to_be_made_again<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    world.example.fault_all(Endpoint::Token, Fault::Refuse(ErrorCode::InvalidGrant));
    world.example.fault_all(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
    let first = browser.get("/me").by_script().send().await;
    assert_eq!(first.status, 401, "{first:?}");
    problem(&first);
    let next = browser.get("/me").by_script().send().await;
    assert_eq!(next.status, 401, "{next:?}");
    assert!(problem(&next)["connect"].as_str().unwrap().starts_with("/auth/example/connect"));
    assert!(browser.get("/me").send().await.location().starts_with("/auth/example/connect"));
    assert_eq!(browser.get("/maybe").send().await.body, "no");
    let page = browser.get("/auth").send().await;
    page.assert_page(200).assert_contains(&world.path(EXAMPLE, "connect"));
    world.example.clear_faults();
    world.connect(&browser).await;
    assert_eq!(browser.get("/me").send().await.status, 200);
}

async fn a_person_whose_connection_turns_out_to_be_over_sees_no_json<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    // The user takes it back at the provider; the application finds out while its handler runs.
    let end = |ended: bool| match ended {
        true => {
            world.example.fault_all(Endpoint::Token, Fault::Refuse(ErrorCode::InvalidGrant));
            world.example.fault_all(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
        }
        false => world.example.clear_faults(),
    };
    end(true);
    let sent = browser.get("/me?tab=2").send().await;
    assert_eq!(sent.location(), "/auth/example/connect?return_to=/me%3Ftab%3D2");
    assert_eq!(sent.header("cache-control"), "no-store");
    end(false);
    let begun = browser.get(sent.location()).send().await;
    let callback = world.approve(begun.location()).await;
    assert_eq!(world.deliver(&browser, &callback).await.location(), "/me?tab=2");
    assert_eq!(browser.get("/me?tab=2").from(From::CrossSite).send().await.status, 200);
    // A provider that ends what it gave a moment ago does not have the browser go in circles.
    end(true);
    browser.get("/me").from(From::CrossSite).send().await.assert_page(500);
}

async fn one_401_of_the_api_is_one_refresh<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    let browser = world.browser_of("alice");
    world.connect(&browser).await;
    world.example.fault_next(Endpoint::Resource, Fault::Refuse(ErrorCode::InvalidToken));
    assert_eq!(browser.get("/me").send().await.status, 200);
    assert_eq!(world.token_requests(), 2, "the exchange, and one refresh");
    assert_eq!(world.example.ledger().count(Endpoint::Resource), 2);
}

async fn a_connection_is_of_one_user<F: Framework>(kind: Kind) {
    let world = World::<F>::new(kind).await;
    for name in ["acme/alice", "acme/bob", "globex/alice"] {
        world.example.sign_in(&format!("account-of-{}", name.replace('/', "-")));
        world.connect(&world.browser_of(name)).await;
    }
    for name in ["acme/alice", "acme/bob", "globex/alice"] {
        let answer = world.browser_of(name).get("/me").send().await;
        answer.assert_contains(&format!("account-of-{}", name.replace('/', "-")));
    }
    assert_eq!(world.browser_of("globex/bob").get("/maybe").send().await.body, "no");
}
