//! The scripted user, over real connections.

use std::sync::{Arc, Mutex};

use authflow_testkit::{
    AuthorizationServer, Client, Endpoint, Fault, Outcome, Personality, ScriptedUser, UserError,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use url::Url;

use crate::support::{REDIRECT, authorization_query, challenge, exchange, verifier};

async fn server() -> AuthorizationServer {
    AuthorizationServer::builder().start().await.unwrap()
}

fn url(server: &AuthorizationServer, challenge: &str, changes: &[(&str, &str)]) -> String {
    format!(
        "{}?{}",
        server.authorization_endpoint(),
        authorization_query("public-client", challenge, changes)
    )
}

fn parameter(url: &str, name: &str) -> Option<String> {
    Url::parse(url).unwrap().query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// Answers one request after the other with what was prepared, and keeps what was sent.
struct Prepared {
    base: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Prepared {
    async fn serve(responses: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            for response in responses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let length = stream.read(&mut request).await.unwrap();
                seen.lock().unwrap().push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        Self { base, requests, task }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn page(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn redirect(status: u16, location: &str, headers: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nLocation: {location}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_user_approves_and_the_client_gets_tokens() {
    let server = server().await;
    let verifier = verifier();
    let callback = ScriptedUser::new().approve(&url(&server, &challenge(&verifier), &[])).await.unwrap();
    assert!(callback.starts_with(&format!("{REDIRECT}?code=")));
    assert_eq!(parameter(&callback, "state").as_deref(), Some("state-1"));
    let code = parameter(&callback, "code").unwrap();
    assert_eq!(exchange(&server, &code, &verifier, &[]).await.status, 200);
    let outcomes: Vec<Outcome> =
        server.ledger().entries().iter().map(|entry| entry.outcome().clone()).collect();
    assert_eq!(outcomes, [Outcome::ConsentShown, Outcome::CodeIssued, Outcome::CodeRedeemed]);
}

#[tokio::test]
async fn a_user_denies() {
    let server = server().await;
    let callback = ScriptedUser::new().deny(&url(&server, &challenge(&verifier()), &[])).await.unwrap();
    assert_eq!(parameter(&callback, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&callback, "state").as_deref(), Some("state-1"));
}

#[tokio::test]
async fn errors_at_the_authorization_endpoint_come_back_as_they_should() {
    let server = server().await;
    let user = ScriptedUser::new();
    let told =
        user.approve(&url(&server, &challenge(&verifier()), &[("scope", "everything")])).await.unwrap();
    assert_eq!(parameter(&told, "error").as_deref(), Some("invalid_scope"));
    let shown = user.approve(&url(&server, &challenge(&verifier()), &[("client_id", "nobody")])).await;
    assert!(matches!(shown, Err(UserError::Refused(page)) if page.status() == 400));
}

#[tokio::test]
async fn the_callback_is_delivered_to_whoever_listens() {
    let listener = Prepared::serve(vec![page("Content-Type: text/plain\r\n", "done")]).await;
    let user = ScriptedUser::new();
    let page = user.deliver(&format!("{}/callback?code=c&state=s#fragment", listener.base)).await.unwrap();
    assert_eq!((page.status(), page.body(), page.header("content-type")), (200, "done", Some("text/plain")));
    let request = &listener.requests()[0];
    assert!(request.starts_with("GET /callback?code=c&state=s HTTP/1.1\r\n"), "{request}");
    let authority = listener.base.strip_prefix("http://").unwrap();
    assert!(request.to_ascii_lowercase().contains(&format!("host: {authority}\r\n")));
    assert!(!format!("{page:?}").contains("done"));
}

#[tokio::test]
async fn a_foreign_server_with_a_login_form_cookies_and_detours_works_too() {
    let login = r#"<!-- <form action="/trap"> --><script>"<form action='/trap'>"</script>
        <form action="/login?next=%2Fa&amp;x=1" METHOD=post><input type=hidden name="csrf" value="&quot;t&#x26;&quot;">
        <input name=login><input type='password' name='password'/><input type=checkbox name=remember value=1>
        <input type=checkbox name=known value=1 checked><button type="button" name="b" value="x">Show</button>
        <button type="submit" name="go" value="1">Sign in</button></form>"#;
    let responses = vec![
        redirect(
            302,
            "/login",
            "Set-Cookie: session=1; Path=/; HttpOnly\r\nSet-Cookie: deep=2; Path=/only/here\r\n",
        ),
        page("Set-Cookie: csrf=3\r\n", login),
        redirect(307, "/again", "Set-Cookie: csrf=; Max-Age=0\r\n"),
        redirect(303, "http://127.0.0.1:1/callback?code=%41+b&state=s", ""),
    ];
    let server = Prepared::serve(responses).await;
    let user = ScriptedUser::new().fill("login", "alice").fill("password", "p&w");
    let callback = user.approve(&format!("{}/authorize?client_id=c", server.base)).await.unwrap();
    assert_eq!(callback, "http://127.0.0.1:1/callback?code=%41+b&state=s", "byte for byte");
    let requests = server.requests();
    assert!(requests[1].starts_with("GET /login HTTP/1.1"));
    assert!(requests[1].contains("cookie: session=1\r\n"), "{}", requests[1]);
    assert!(requests[2].starts_with("POST /login?next=%2Fa&x=1 HTTP/1.1"));
    assert!(requests[2].contains("cookie: session=1; csrf=3\r\n"));
    let form = "csrf=%22t%26%22&login=alice&password=p%26w&known=1&go=1";
    assert!(requests[2].ends_with(form), "{}", requests[2]);
    assert!(requests[3].starts_with("POST /again HTTP/1.1") && requests[3].ends_with(form));
    assert!(requests[3].contains("cookie: session=1\r\n"), "a cookie that was taken back is gone");
    assert!(!format!("{user:?}").contains("session=1"));
}

#[tokio::test]
async fn denial_takes_the_link_where_there_is_no_button() {
    let consent = r#"<form method="post" action="/confirm"><button>Continue</button></form>
        <a href="/help">Help</a> <a href="/abort?x=1&amp;y=2">[ <b>Cancel</b> ]</a>"#;
    let server = Prepared::serve(vec![
        page("", consent),
        redirect(302, "https://client.example/callback?error=access_denied", ""),
    ])
    .await;
    let callback = ScriptedUser::new().deny(&format!("{}/authorize", server.base)).await.unwrap();
    assert_eq!(callback, "https://client.example/callback?error=access_denied");
    assert!(server.requests()[1].starts_with("GET /abort?x=1&y=2 HTTP/1.1"));
}

#[tokio::test]
async fn a_form_that_gets_puts_its_fields_into_the_query() {
    let form = r#"<form action="/go?old=1"><input name=a value="b c"><input type=submit value=Yes></form>"#;
    let server = Prepared::serve(vec![page("", form), redirect(302, "https://client.example/", "")]).await;
    ScriptedUser::new().approve(&format!("{}/authorize", server.base)).await.unwrap();
    assert!(server.requests()[1].starts_with("GET /go?a=b+c HTTP/1.1"), "{}", server.requests()[1]);
}

#[tokio::test]
async fn a_callback_on_the_servers_own_origin_is_known_by_the_redirect_uri() {
    let server = Prepared::serve(vec![redirect(302, "/app/callback?code=c", "")]).await;
    let target = format!(
        "{}/authorize?redirect_uri={}%2Fapp%2Fcallback",
        server.base,
        server.base.replace(':', "%3A").replace('/', "%2F")
    );
    let callback = ScriptedUser::new().approve(&target).await.unwrap();
    assert_eq!(callback, format!("{}/app/callback?code=c", server.base));
}

#[tokio::test]
async fn what_leads_nowhere_is_told() {
    let user = ScriptedUser::new();
    for remote in ["https://127.0.0.1/", "http://client.example/", "http://10.0.0.1/", "ftp://127.0.0.1/"] {
        assert!(matches!(user.approve(remote).await, Err(UserError::NotLoopback)), "{remote}");
    }
    assert!(matches!(user.approve("nonsense").await, Err(UserError::Url)));
    let bare = Prepared::serve(vec![page("", "<p>nothing to see</p>")]).await;
    assert!(matches!(user.approve(&bare.base).await, Err(UserError::NoForm(_))));
    let circle = Prepared::serve(vec![redirect(302, "/", ""); 20]).await;
    assert!(matches!(user.approve(&circle.base).await, Err(UserError::Circles)));
    let huge = Prepared::serve(vec![page("", &"x".repeat((4 << 20) + 1))]).await;
    assert!(matches!(user.open(&huge.base).await, Err(UserError::TooLarge)));
}

#[tokio::test]
async fn broken_connections_are_errors() {
    let server = server().await;
    let user = ScriptedUser::new();
    for fault in [Fault::ResetBeforeResponse, Fault::TruncatedBody] {
        server.fault_next(Endpoint::Authorization, fault);
        let result = user.approve(&url(&server, &challenge(&verifier()), &[])).await;
        assert!(matches!(result, Err(UserError::Http(_))), "{result:?}");
    }
    let address = server.base_url().to_owned();
    drop(server);
    assert!(matches!(user.open(&address).await, Err(UserError::Io(_))));
}

#[tokio::test]
async fn a_fragment_with_a_route_is_followed_as_contentstacks_page_would() {
    let client = Client::public("c").redirect_uri("https://client.example/callback").app_uid("A");
    let server = AuthorizationServer::builder()
        .personality(Personality::Contentstack)
        .client(client)
        .start()
        .await
        .unwrap();
    let base = server.base_url();
    let query = |verifier: &str| {
        let changes = [("redirect_uri", "https://client.example/callback"), ("scope", "user:read")];
        authorization_query("c", &challenge(verifier), &changes)
    };
    let forms = [
        format!("{base}/apps/A/authorize?{}", query(&verifier())),
        format!("{base}/#!/apps/A/authorize?{}", query(&verifier())),
        format!("{base}/?{}#!/apps/A/authorize", query(&verifier())),
    ];
    for form in forms {
        let callback = ScriptedUser::new().approve(&form).await.unwrap();
        assert!(callback.starts_with("https://client.example/callback?code="), "{form}");
        assert_eq!(parameter(&callback, "location").as_deref(), Some("NA"));
    }
}
