//! What a wrong command line gets: exit code 2, and a lesson.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write as _;

use support::{command, finish, run};

async fn teaches(arguments: &[&str], lessons: &[&str]) {
    let ended = run(arguments).await;
    assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    assert!(ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
    let text = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for lesson in lessons {
        assert!(text.contains(lesson), "{arguments:?} should mention {lesson:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_way_to_get_it() {
    teaches(&["login"], &["stackexchange", "contentstack", "--authorization-endpoint", "authflow providers"])
        .await;
    teaches(&["login", "stackexchange"], &["--client-id", "https://stackapps.com/apps/oauth/register"]).await;
    teaches(&["login", "stackexchange", "--client-id", "1"], &["--key", "stackapps.com"]).await;
    teaches(&["login", "stackexchange", "--client-id", "1", "--key", "a"], &["--site", "stackoverflow"])
        .await;
    teaches(&["login", "contentstack"], &["--client-id", "Developer Hub"]).await;
    teaches(&["login", "contentstack", "--client-id", "a"], &["--app-uid", "Developer Hub"]).await;
    teaches(&["login", "contentstack", "--client-id", "a", "--app-uid", "b"], &["--region", "azure-na"])
        .await;
    teaches(
        &["login", "--authorization-endpoint", "https://as.example/a", "--client-id", "a"],
        &["--token-endpoint"],
    )
    .await;
    teaches(
        &["login", "--token-endpoint", "https://as.example/t", "--client-id", "a"],
        &["--authorization-endpoint"],
    )
    .await;
    teaches(&["refresh", "--issuer", "https://as.example", "--client-id", "a"], &["--token-endpoint"]).await;
}

#[tokio::test]
async fn all_that_is_missing_is_named_at_once() {
    teaches(&["login", "stackexchange"], &["3 options", "--client-id is missing", "--key is", "--site is"])
        .await;
    teaches(
        &["login", "contentstack", "--client-id", " "],
        &["3 options", "--client-id is empty", "--app-uid is", "--region is"],
    )
    .await;
    teaches(
        &["login", "--issuer", "https://as.example"],
        &["--client-id is", "--authorization-endpoint is", "--token-endpoint is"],
    )
    .await;
}

/// As in `authflow providers | head -1`: the pipe is closed before anything is written.
#[cfg(unix)]
#[tokio::test]
async fn a_reader_that_has_enough_is_no_error_worth_a_word() {
    for arguments in [&["providers"][..], &["demo", "rfc", "--headless"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command(arguments);
        command.stdout(writer);
        let child = command.spawn().unwrap();
        drop(command);
        let ended: support::Ended = child.wait_with_output().await.unwrap().into();
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    teaches(&["login", "githib"], &["githib", "stackexchange"]).await;
    teaches(
        &["login", "stackexchange", "--client-id", "1", "--region", "eu"],
        &["--region", "contentstack only"],
    )
    .await;
    teaches(&["login", "contentstack", "--client-id", "1", "--key", "a"], &["--key", "stackexchange only"])
        .await;
    teaches(
        &["login", "contentstack", "--client-id", "a", "--app-uid", "b", "--region", "mars"],
        &["--region", "gcp-eu"],
    )
    .await;
    teaches(&["login", "stackexchange", "--token-endpoint", "https://as.example/t"], &["exclude each other"])
        .await;
    teaches(
        &["login", "stackexchange", "--client-id", "1", "--client-auth", "basic"],
        &["--client-secret-env"],
    )
    .await;
    teaches(&["login", "--param", "novalue"], &["prompt=consent"]).await;
    teaches(&["login", "--timeout", "0"], &["--timeout", "from 1 to 86400"]).await;
    teaches(&["demo", "--lifetime", "abc"], &["--lifetime", "seconds, from 1 to 86400"]).await;
    teaches(&["sweep", "--every", "2592001"], &["--every", "from 1 to 2592000"]).await;
    teaches(&["frobnicate"], &["frobnicate"]).await;
    teaches(&["demo", "github"], &["stackexchange", "contentstack", "rfc"]).await;
}

fn endpoints<'a>(base: &'a [String; 2], more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec![
        "login",
        "--no-browser",
        "--client-id",
        "a",
        "--authorization-endpoint",
        &base[0],
        "--token-endpoint",
        &base[1],
    ];
    arguments.extend(more);
    arguments
}

#[tokio::test]
async fn plain_http_is_for_this_machine_only() {
    for base in ["http://as.example", "http://localhost:1", "ftp://127.0.0.1", "http://user@127.0.0.1:1"] {
        let urls = [format!("{base}/a"), format!("{base}/t")];
        teaches(&endpoints(&urls, &[]), &["the authorization endpoint", "https"]).await;
    }
    let urls = ["https://as.example/a".to_owned(), "https://as.example/t".to_owned()];
    teaches(
        &endpoints(&urls, &["--redirect-uri", "http://app.example/cb"]),
        &["--redirect-uri", "127.0.0.1"],
    )
    .await;
    teaches(&endpoints(&urls, &["--redirect-uri", "/cb"]), &["--redirect-uri"]).await;
}

#[tokio::test]
async fn a_parameter_of_the_protocol_is_not_an_extra_one() {
    let urls = ["https://as.example/a".to_owned(), "https://as.example/t".to_owned()];
    for parameter in ["state=a", "redirect_uri=https://evil.example", "code_challenge=a", "client_id=b"] {
        teaches(&endpoints(&urls, &["--param", parameter]), &["parameter of the protocol"]).await;
    }
}

#[tokio::test]
async fn what_is_no_scope_is_not_left_out_in_silence() {
    let urls = ["https://as.example/a".to_owned(), "https://as.example/t".to_owned()];
    for scope in ["", " ", "two words", "a\"b", "a\\b", "a\tb", "\u{e9}"] {
        teaches(
            &endpoints(&urls, &["--scope", scope]),
            &["--scope", "RFC 6749 section 3.3", "repeat --scope"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_file_that_is_no_provider_says_where() {
    for (ending, text, lesson) in [
        (".toml", "id = \"a\"\nendpoint = 3\n", "endpoint"),
        (".json", "{\"id\": }", "line 1"),
        (".toml", "id = \"a\"\n", "endpoint"),
        (
            ".toml",
            "id = \"a\"\n[endpoints]\nauthorization_endpoint = \"http://as.example/a\"\ntoken_endpoint = \"https://as.example/t\"\n",
            "https",
        ),
    ] {
        let mut file = tempfile::Builder::new().suffix(ending).tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        teaches(&["login", file.path().to_str().unwrap(), "--client-id", "a"], &[lesson]).await;
    }
}

#[tokio::test]
async fn a_provider_that_answers_with_a_form_is_refused_before_anybody_is_sent_there() {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    let endpoints =
        "authorization_endpoint = \"https://as.example/a\"\ntoken_endpoint = \"https://as.example/t\"";
    let quirks = "[quirks.authorization_response]\nresponse_mode = \"form_post\"";
    write!(file, "id = \"a\"\n[endpoints]\n{endpoints}\n{quirks}\n").unwrap();
    let login =
        ["login", file.path().to_str().unwrap(), "--client-id", "a", "--no-browser", "--timeout", "1"];
    teaches(&login, &["form_post", "\"query\"", "authflow-axum"]).await;
    assert!(!support::home().exists(), "it is refused first of all");
    let ended = run(&login).await;
    assert!(!ended.stderr.contains("open: "), "{ended:?}");
}

#[tokio::test]
async fn h3_a_secret_has_no_place_on_the_command_line() {
    teaches(&["login", "stackexchange", "--client-secret", "hunter2"], &["--client-secret"]).await;
    // Whoever gives the secret instead of the variable's name does not see it again.
    let secret = "hunter2-hunter2-hunter2";
    let ended =
        run(&["login", "stackexchange", "--client-id", "1", "--key", "a", "--client-secret-env", secret])
            .await;
    assert_eq!(ended.code, Some(2));
    assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
    assert!(ended.stderr.contains("--client-secret-env"), "{}", ended.stderr);
    let mut empty = command(&[
        "login",
        "stackexchange",
        "--client-id",
        "1",
        "--key",
        "a",
        "--client-secret-env",
        "EMPTY_ONE",
    ]);
    empty.env("EMPTY_ONE", "");
    assert_eq!(finish(empty).await.code, Some(2));
}

#[tokio::test]
async fn help_is_a_result() {
    for arguments in
        [&["--help"][..], &["help"], &["login", "--help"], &["demo", "-h"], &["--version"], &["providers"]]
    {
        let ended = run(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        assert!(!ended.stdout.is_empty() && ended.stderr.is_empty(), "{arguments:?}: {ended:?}");
    }
    let providers = run(&["providers"]).await.stdout;
    for fact in
        ["contentstack", "stackexchange", "a comma", "PKCE", "refresh", "revocation", "--app-uid", "--site"]
    {
        assert!(providers.contains(fact), "{fact}: {providers}");
    }
}
