//! `authflow sweep`.

use std::time::Duration;

use authflow_testkit::{AuthorizationServer, Endpoint, Outcome};

use crate::server;
use crate::support::{Running, Store, described, kept, kept_as, login, signal};

#[tokio::test]
async fn sweep_leaves_alone_what_is_not_due() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    let nothing = store.good(&["sweep"]).await;
    assert!(nothing.stdout.contains("1 kept, 0 due"), "{}", nothing.stdout);
    assert_eq!(server.ledger().count(Endpoint::Token), 1);
}

#[tokio::test]
async fn sweep_goes_through_more_names_than_it_works_on_at_once() {
    let (server, store) = (server().await, Store::files());
    for number in 0..10 {
        kept_as(&server, &store, &format!("work-{number}")).await;
    }
    let swept = store.good(&["sweep"]).await;
    assert!(swept.stdout.contains("10 kept, 0 due: 0 done, 0 to be connected again"), "{}", swept.stdout);
}

/// A provider that says that its refresh tokens lapse when its access tokens do, three seconds later.
#[tokio::test]
async fn sweep_refreshes_what_is_due_and_says_what_needs_its_user() {
    let server =
        AuthorizationServer::builder().access_token_lifetime(Duration::from_secs(3)).start().await.unwrap();
    let store = Store::files();
    let file = described(&server, "short", "refresh_token_expires_in = \"/expires_in\"");
    let id = server.public_client().id();
    let ended =
        login(&store, &["login", file.path().to_str().unwrap(), "--client-id", id, "--no-browser"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // After two seconds it is due, after three it is too late: a slow machine may see only the second.
    let due = async {
        loop {
            let swept = store.good(&["sweep"]).await;
            if swept.stdout.contains("1 due") {
                return swept;
            }
        }
    };
    let swept = tokio::time::timeout(crate::support::PATIENCE, due).await.expect("it is due some time");
    if swept.stdout.contains("1 kept, 1 due: 1 done") {
        assert_eq!(server.ledger().token_requests().pop().unwrap().outcome(), &Outcome::RefreshUsed);
    } else {
        assert!(swept.stdout.contains("1 kept, 1 due: 0 done, 1 to be connected again"), "{}", swept.stdout);
        assert!(swept.stderr.contains("authflow login --name short"), "{}", swept.stderr);
    }
}

#[tokio::test]
async fn sweep_goes_on_until_it_is_told_to_end() {
    let store = Store::files();
    let mut running = Running::of(store.command(&["sweep", "--every", "3600"]));
    let mut stdout = tokio::io::BufReader::new(running.child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    assert!(line.starts_with("0 kept"), "{line}");
    signal(&running.child, "TERM");
    let status = running.child.wait().await.unwrap();
    assert_eq!(status.code(), Some(1));
}

/// What a process has open of a database.
#[cfg(target_os = "linux")]
fn open_files(process: u32, database: &std::path::Path) -> usize {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    // One that is closed meanwhile is not open.
    let paths = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    paths.filter(|path| path.starts_with(database) || path.with_extension("db") == database).count()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn sweep_leaves_nothing_open_from_one_round_to_the_next() {
    let (server, dir) = (server().await, tempfile::tempdir().unwrap());
    let database = dir.path().join("kept.db");
    let store = Store::at(&format!("sqlite:{}", database.display()));
    kept(&server, &store).await;
    let mut running = Running::of(store.command(&["sweep", "--every", "3600"]));
    let mut stdout = tokio::io::BufReader::new(running.child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    assert!(line.starts_with("1 kept"), "{line}");
    let process = running.child.id().unwrap();
    let closed = async {
        while open_files(process, &database) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, closed).await.expect("the round ends");
}
