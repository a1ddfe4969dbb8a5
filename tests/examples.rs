//! The examples do what they say. The two that need a registration say which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../examples/configured_provider.rs"]
mod configured_provider;
#[allow(dead_code, reason = "run by hand: it needs a registration")]
#[path = "../examples/contentstack.rs"]
mod contentstack;
#[path = "../examples/custom_provider.rs"]
mod custom_provider;
#[path = "../examples/custom_state_store.rs"]
mod custom_state_store;
#[path = "../examples/file_token_store.rs"]
mod file_token_store;
#[allow(dead_code, reason = "run by hand: it needs a server")]
#[path = "../examples/redis_token_store.rs"]
mod redis_token_store;
#[path = "../examples/sqlite_token_store.rs"]
mod sqlite_token_store;
#[allow(dead_code, reason = "run by hand: it needs a registration")]
#[path = "../examples/stackexchange.rs"]
mod stackexchange;

#[test]
fn a_provider_with_a_hook_runs_a_whole_flow() {
    custom_provider::main().unwrap();
}

#[test]
fn a_provider_without_code_runs_a_whole_flow() {
    configured_provider::main().unwrap();
}

#[test]
fn pending_flows_are_kept_in_the_applications_session() {
    custom_state_store::main().unwrap();
}

#[test]
fn connections_are_kept_in_files() {
    file_token_store::main().unwrap();
}

#[test]
fn connections_are_kept_in_a_database() {
    sqlite_token_store::main().unwrap();
}

#[test]
fn connections_in_redis_need_a_server() {
    let message = redis_token_store::redis_config(|_| None).unwrap_err();
    assert!(message.contains("REDIS_URL"), "{message}");
}

#[test]
fn the_real_ones_say_which_variables_to_set_and_where_to_register() {
    let message = stackexchange::stack_exchange(|_| None).unwrap_err();
    assert!(
        message.contains("STACKEXCHANGE_CLIENT_ID") && message.contains("https://stackapps.com/"),
        "{message}"
    );
    let message = contentstack::contentstack(|_| None).unwrap_err();
    assert!(message.contains("CONTENTSTACK_APP_UID") && message.contains("Developer Hub"), "{message}");
}

#[test]
fn the_real_ones_take_their_registration_from_the_environment() {
    let all = |name: &str| match name {
        "CONTENTSTACK_REGION" => Some("azure-eu".to_owned()),
        name if name.ends_with("_SECRET") => None,
        _ => Some("value-1".to_owned()),
    };
    assert!(stackexchange::stack_exchange(all).is_ok());
    assert!(contentstack::contentstack(all).is_ok());
    let wrong = |name: &str| all(name).map(|_| "moon".to_owned());
    assert!(contentstack::contentstack(wrong).unwrap_err().contains("CONTENTSTACK_REGION"));
}
