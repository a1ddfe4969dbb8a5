//! Where connections are kept.

use std::os::unix::fs::PermissionsExt as _;

use authflow_test_servers::{Kind, Server};

use crate::support::{Running, Store, arguments, deliver, home, kept, kept_with, provider};
use crate::{assert_tells_no_secret, each_file, server};

#[tokio::test]
async fn x10_a_home_that_others_may_use_is_refused_with_the_chmod_to_run() {
    let (server, store) = (server().await, Store::files());
    std::fs::create_dir_all(home()).unwrap();
    std::fs::set_permissions(home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let chmod = format!("chmod 700 {}", home().display());
    let provider = provider(&server, server.public_client());
    let login = arguments("login", &provider, &["--no-browser"]);
    for command in [&["token", "work"][..], &["status"], &["sweep"], &["logout", "--all"], &login] {
        let ended = store.run(command).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&chmod), "{ended:?}");
        assert!(!ended.stderr.contains("authflow help"), "it would not help: {ended:?}");
    }
    assert_eq!(std::fs::read_dir(home()).unwrap().count(), 0);
    std::fs::set_permissions(home(), std::fs::Permissions::from_mode(0o700)).unwrap();
    kept(&server, &store).await;
    let keys = home().join("keys");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = store.run(&["token", "work"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
}

#[tokio::test]
async fn without_a_home_it_is_in_the_configuration_directory() {
    let server = server().await;
    let config = tempfile::tempdir().unwrap();
    let provider = provider(&server, server.public_client());
    let mut command = crate::support::command(&arguments("login", &provider, &["--no-browser"]));
    command.env_remove("AUTHFLOW_HOME").env("XDG_CONFIG_HOME", config.path()).env("HOME", config.path());
    let mut running = Running::of(command);
    let url = running.url().await;
    deliver(&authflow_testkit::ScriptedUser::new().approve(&url).await.unwrap()).await;
    assert_eq!(running.end().await.code, Some(0));
    each_file(&config.path().join("authflow"), &mut |_| ());
}

#[tokio::test]
async fn a_store_that_is_none_is_refused() {
    let store = Store::files();
    let ended = store.run(&["token", "work", "--store", "ftp://host/"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("redis://"), "{}", ended.stderr);
    let memory = store.run(&["token", "work", "--store", "sqlite::memory:"]).await;
    assert_eq!(memory.code, Some(2), "{memory:?}");
    assert!(memory.stderr.contains("ends with the command"), "{}", memory.stderr);
    let secret = Store::at("redis://:planted-password@127.0.0.1:1/").run(&["token", "work"]).await;
    assert_eq!(secret.code, Some(1), "{secret:?}");
    assert!(!secret.stderr.contains("planted-password"), "{}", secret.stderr);
}

#[tokio::test]
async fn x4_a_store_whose_server_does_not_let_us_in_is_1_whichever_it_is() {
    let [redis, postgres, mariadb] = [
        Server::start_with(Kind::Redis, &["--requirepass", "right-password"]),
        Server::start(Kind::Postgres),
        Server::start(Kind::MariaDb),
    ];
    let gone = authflow_test_servers::free_port();
    for url in [
        // Nobody answers.
        redis.url_by(gone),
        postgres.url_by(gone),
        mariadb.url_by(gone),
        // Another password or user than the right one.
        redis.url().replace("redis://", "redis://:planted-password@"),
        postgres.url().replace("authflow@", "nobody:planted-password@"),
        mariadb.url().replace("authflow@", "authflow:planted-password@"),
        // Another database than there is.
        format!("{}/99", redis.url().replace("redis://", "redis://:right-password@")),
        postgres.url().replace("/postgres", "/nowhere"),
        mariadb.url().replace("/test", "/nowhere"),
    ] {
        let ended = Store::at(&url).run(&["token", "work"]).await;
        assert_eq!(ended.code, Some(1), "{url}: {ended:?}");
        assert!(ended.stderr.contains("see that it runs and that its URL is right"), "{url}: {ended:?}");
        for part in ["planted-password", "right-password", "authflow help", "nothing is lost"] {
            assert!(!ended.stderr.contains(part), "{url}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_in_the_words_of_its_administrator() {
    let redis = Server::start_with(Kind::Redis, &["--maxmemory-policy", "allkeys-lru"]);
    let ended = Store::at(&redis.url()).run(&["token", "work"]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("set maxmemory-policy to noeviction"), "{ended:?}");
    for part in ["RedisConfig", "::", "authflow help"] {
        assert!(!ended.stderr.contains(part), "{part}: {ended:?}");
    }
}

#[tokio::test]
async fn f14_a_record_that_was_changed_is_not_read() {
    let (server, store) = (server().await, Store::files());
    kept(&server, &store).await;
    change_each_file(&home().join("connections"));
    let ended = store.run(&["token", "work"]).await;
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    assert_tells_no_secret(&server, &ended.stderr);
}

fn change_each_file(dir: &std::path::Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            change_each_file(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn h3_the_password_of_a_store_is_in_nothing_that_is_said() {
    let server = server().await;
    // Its user `default` takes any password.
    let redis = Server::start(Kind::Redis);
    let url = redis.url().replace("redis://", "redis://default:planted-password@");
    for (store, option, expected) in [
        (Store::files(), &["--store", &url][..], "`authflow token work --store URL`"),
        (Store::at(&url), &[], "`authflow token work`"),
    ] {
        let ended = kept_with(&server, &store, &[&["--name", "work"], option].concat()).await;
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(!ended.stderr.contains("planted-password"), "{}", ended.stderr);
        assert_eq!(
            ended.stderr.contains("set AUTHFLOW_STORE instead"),
            !option.is_empty(),
            "{}",
            ended.stderr
        );
    }
}
