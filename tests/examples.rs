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
#[path = "../examples/memory_token_store.rs"]
mod memory_token_store;
#[cfg_attr(not(unix), allow(dead_code, reason = "the throwaway servers are for Unix"))]
#[path = "../examples/redis_token_store.rs"]
mod redis_token_store;
#[path = "../examples/sql_token_store.rs"]
mod sql_token_store;
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
fn connections_are_kept_in_memory() {
    memory_token_store::main().unwrap();
}

#[test]
fn connections_are_kept_in_a_database() {
    sql_token_store::main().unwrap();
}

#[test]
fn connections_in_redis_need_a_server() {
    let message = redis_token_store::redis_config(|_| None).unwrap_err();
    assert!(message.contains("REDIS_URL"), "{message}");
}

#[cfg(unix)]
const CHILD: &str = "AUTHFLOW_EXAMPLES_TEST_CHILD";

/// The environment of a process is not changed from within: this runs a test of this program again, in a process of its own,
/// and returns what the example prints.
#[cfg(unix)]
fn said_by_a_child(test: &str, variable: &str, value: &str) -> String {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .env(variable, value)
        .env_remove("REDIS_PASSWORD")
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}{complained}");
    said.into_owned()
}

#[cfg(unix)]
#[test]
fn connections_are_kept_in_the_database_of_a_server() {
    use authflow_test_servers::{Kind, Server};

    if std::env::var_os(CHILD).is_some() {
        return sql_token_store::main().unwrap();
    }
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let server = Server::start(kind);
        let test = "connections_are_kept_in_the_database_of_a_server";
        let said = said_by_a_child(test, "DATABASE_URL", &server.url());
        for line in ["Connected: ", "After a restart the token is there", "Listed: ", "Disconnected: Some("] {
            assert!(said.contains(line), "{kind:?}: no {line:?} in\n{said}");
        }
    }
}

#[cfg(unix)]
#[test]
fn two_processes_share_the_connections_in_redis() {
    use std::process::ExitCode;

    use authflow_test_servers::{Kind, Server};

    if std::env::var_os(CHILD).is_some() {
        assert_eq!(redis_token_store::main(), ExitCode::SUCCESS);
        return;
    }
    // One of its own: the example's tombstone is all that it leaves.
    let server = Server::start(Kind::Redis);
    let said = said_by_a_child("two_processes_share_the_connections_in_redis", "REDIS_URL", &server.url());
    let line = |start: &str| {
        let found = said.lines().find_map(|line| line.split_once(start));
        found.map(|(_, rest)| rest).unwrap_or_else(|| panic!("no {start:?} in\n{said}"))
    };
    let key = line("One process connected ");
    assert!(key.starts_with("example/") && !key.contains("user-42"), "{key}: the user is hashed");
    assert!(line("Another one has its token, good until ").starts_with("At("), "{said}");
    assert_eq!(line("and refreshed it: "), "2 token requests in all");
    assert_eq!(line("Disconnected: "), format!("{key} is no longer there"));
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
