//! A person's way through the program of a README: sign in, connect, one call of the API, disconnect.

use std::collections::BTreeMap;
use std::process::Stdio;

use authflow_testkit::{AuthorizationServer, ScriptedUser};
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, RequestBuilder, StatusCode};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::{connect_actix, connect_axum, stand_in};

const CHILD: &str = "AUTHFLOW_NEWCOMER_TEST_CHILD";
const LISTENING: &str = "listening on ";

/// The program, in a process of its own: it reads its environment.
struct Program {
    origin: String,
    process: Child,
}

impl Program {
    /// Runs `test` of this binary again, which is to serve, with a key for the API.
    async fn start(test: &str, server: &AuthorizationServer, key: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .env("STACKEXCHANGE_CLIENT_ID", "client-1")
            .env("STACKEXCHANGE_CLIENT_SECRET", "a-secret")
            .env("STACKEXCHANGE_KEY", key)
            .env("STACKEXCHANGE_STAND_IN", server.base_url())
            .env("AUTHFLOW_KEYS", "k1:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, origin)) = line.split_once(LISTENING) {
                return Self { origin: origin.to_owned(), process };
            }
        }
        panic!("the program has ended: {:?}", process.wait_with_output().await);
    }

    /// The next line of its log.
    async fn logged(&mut self) -> String {
        let mut log = BufReader::new(self.process.stderr.as_mut().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).await.unwrap();
        line
    }
}

/// Any free port, and its address, which the process that began this one waits for.
#[allow(clippy::print_stdout, reason = "it is how the parent is told")]
fn listen() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    println!("{LISTENING}{origin}");
    (listener, origin)
}

/// A browser at one site: it keeps its cookies, and follows nothing.
struct Browser {
    origin: String,
    client: Client,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: StatusCode,
    location: String,
    body: String,
}

impl Browser {
    fn at(program: &Program) -> Self {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { origin: program.origin.clone(), client, cookies: BTreeMap::new() }
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = self.client.get(format!("{}{path}", self.origin));
        self.send(request.header("accept", "text/html").header("sec-fetch-mode", "navigate")).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Page {
        let request = self.client.post(format!("{}{path}", self.origin)).header(ORIGIN, &self.origin);
        let form = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        self.send(form).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
            if cookie.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.remove(name);
            }
        }
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let status = answer.status();
        Page { status, location: location.unwrap_or_default(), body: answer.text().await.unwrap() }
    }
}

/// The first form of a page whose action ends with `action`: its whole action, and its fields.
fn form(page: &str, action: &str) -> Option<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split_once('"')?.0.replace("&amp;", "&"))
    };
    page.split("<form").skip(1).find_map(|form| {
        let form = form.split("</form>").next()?;
        let to = attribute(form, "action").filter(|to| to.split('?').next().unwrap().ends_with(action))?;
        let mut fields = url::form_urlencoded::Serializer::new(String::new());
        for input in form.split("<input").skip(1) {
            fields.append_pair(&attribute(input, "name")?, &attribute(input, "value").unwrap_or_default());
        }
        Some((to, fields.finish()))
    })
}

/// The stand-in, the program, and a browser in which somebody is signed in to it.
async fn signed_in(test: &str, key: &str) -> (AuthorizationServer, Program, Browser) {
    let server = stand_in::start("http://127.0.0.1/auth/stackexchange/callback").await.unwrap();
    let program = Program::start(test, &server, key).await;
    let mut browser = Browser::at(&program);
    let signed_in = browser.post("/login", "").await;
    assert_eq!((signed_in.status, signed_in.location.as_str()), (StatusCode::SEE_OTHER, "/"));
    (server, program, browser)
}

/// Presses the button, and approves.
async fn connect(server: &AuthorizationServer, program: &Program, browser: &mut Browser) -> Page {
    let (connect, fields) = form(&browser.get("/").await.body, "/connect").expect("the button");
    let to_provider = browser.post(&connect, &fields).await;
    assert_eq!(to_provider.status, StatusCode::SEE_OTHER, "{}", to_provider.body);
    assert!(to_provider.location.starts_with(server.base_url()), "{}", to_provider.location);
    let callback = ScriptedUser::new().approve(&to_provider.location).await.unwrap();
    browser.get(callback.strip_prefix(&program.origin).expect("a callback of ours")).await
}

async fn journey(test: &str) {
    let (server, program, mut browser) = signed_in(test, "a-key").await;

    // Whoever is not signed in is not let in, and is shown where to.
    let mut nobody = Browser::at(&program);
    let refused = nobody.get("/profile").await;
    assert!(refused.status != StatusCode::OK && server.ledger().entries().is_empty(), "{}", refused.status);
    for path in ["/", "/auth"] {
        assert!(nobody.get(path).await.body.contains("/login"), "{path}");
    }
    assert_eq!(nobody.get("/login").await.status, StatusCode::OK);

    // Who is is led to connect, and so by the button.
    let unconnected = browser.get("/profile").await;
    assert!(unconnected.location.contains("/auth/stackexchange/connect"), "{}", unconnected.location);
    let back = connect(&server, &program, &mut browser).await;
    assert_eq!((back.status, back.location.as_str()), (StatusCode::SEE_OTHER, "/profile"), "{}", back.body);

    let profile = browser.get("/profile").await;
    assert_eq!(profile.status, StatusCode::OK, "{}", profile.body);
    assert!(profile.body.starts_with("user "), "{}", profile.body);

    let (disconnect, fields) = form(&browser.get("/auth").await.body, "/disconnect").expect("a button");
    let disconnected = browser.post(&disconnect, &fields).await;
    assert_eq!(disconnected.status, StatusCode::SEE_OTHER, "{}", disconnected.body);
    let again = browser.get("/profile").await;
    assert!(again.location.contains("/auth/stackexchange/connect"), "{} {}", again.status, again.body);
}

/// With a wrong key for the API all seems well, until it is asked something: the log says why before that.
async fn wrong_key(test: &str) {
    let (server, mut program, mut browser) = signed_in(test, "another-key").await;
    let back = connect(&server, &program, &mut browser).await;
    assert_eq!((back.status, back.location.as_str()), (StatusCode::SEE_OTHER, "/profile"), "{}", back.body);
    let logged = program.logged().await;
    assert!(logged.starts_with("connecting: stackexchange: ") && logged.contains("key"), "{logged}");
    let profile = browser.get("/profile").await;
    assert!(profile.status.is_server_error(), "{}", profile.status);
    let logged = program.logged().await;
    assert!(logged.starts_with("authflow: stackexchange: ") && logged.contains("key"), "{logged}");
}

async fn serve_axum() {
    let (listener, origin) = listen();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    connect_axum::serve(listener, &origin).await.unwrap();
}

async fn serve_actix() {
    let program = || {
        let (listener, origin) = listen();
        actix_web::rt::System::new()
            .block_on(async { connect_actix::serve(listener, &origin).unwrap().await })
            .unwrap();
    };
    tokio::task::spawn_blocking(program).await.unwrap();
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[tokio::test]
async fn a_person_connects_and_disconnects_in_the_program_of_the_axum_readme() {
    if is_child() {
        return serve_axum().await;
    }
    journey("journey::a_person_connects_and_disconnects_in_the_program_of_the_axum_readme").await;
}

#[tokio::test]
async fn a_person_connects_and_disconnects_in_the_program_of_the_actix_readme() {
    if is_child() {
        return serve_actix().await;
    }
    journey("journey::a_person_connects_and_disconnects_in_the_program_of_the_actix_readme").await;
}

#[tokio::test]
async fn the_program_of_the_axum_readme_logs_what_fails() {
    if is_child() {
        return serve_axum().await;
    }
    wrong_key("journey::the_program_of_the_axum_readme_logs_what_fails").await;
}

#[tokio::test]
async fn the_program_of_the_actix_readme_logs_what_fails() {
    if is_child() {
        return serve_actix().await;
    }
    wrong_key("journey::the_program_of_the_actix_readme_logs_what_fails").await;
}
