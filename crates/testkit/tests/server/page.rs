//! The consent page, as a user and as an attacker meet it.

use authflow_testkit::{AuthorizationServer, Client, Endpoint, Outcome};

use crate::support::{
    Answer, FORM, Hands, authorization_query, challenge, encode, exchange, get, post, post_raw, verifier,
};

fn asking() -> AuthorizationServer {
    AuthorizationServer::builder().build().unwrap()
}

async fn open(server: &AuthorizationServer) -> (Answer, String) {
    let verifier = verifier();
    let query = authorization_query("public-client", &challenge(&verifier), &[]);
    (get(server, &format!("/authorize?{query}")).await, verifier)
}

fn ticket(page: &Answer) -> String {
    let (_, after) = page.text().split_once("name=\"ticket\" value=\"").unwrap();
    after.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn b21_the_page_cannot_be_framed_scripted_or_stored() {
    let (page, _) = open(&asking()).await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"));
    assert!(policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("form-action"), "it would stop the redirect that follows the form");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(!page.text().contains("<script"));
    assert!(!page.text().contains("http://") || !page.text().contains("src="));
}

#[tokio::test]
async fn the_page_says_who_asks_for_what_and_where_it_leads() {
    let (page, _) = open(&asking()).await;
    let text = page.text();
    for needle in [
        "<html lang=\"en\">",
        "width=device-width",
        "color-scheme",
        "Example application public-client",
        "user-1",
        "<code>read</code>",
        "<code>write</code>",
        "http://127.0.0.1:7001",
        ">Approve</button>",
        ">Deny</button>",
    ] {
        assert!(text.contains(needle), "{needle}");
    }
}

#[tokio::test]
async fn b11_everything_on_the_page_is_escaped() {
    let evil = "<img src=x onerror=\"alert('1')\">&";
    let client = Client::public("evil").name(evil).redirect_uri("https://client.example/callback");
    let server = AuthorizationServer::builder().client(client).subject(evil).scopes([evil]).build().unwrap();
    let changes = [("redirect_uri", "https://client.example/callback"), ("scope", "")];
    let query = authorization_query("evil", &challenge(&verifier()), &changes);
    let page = get(&server, &format!("/authorize?{query}")).await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("<img"));
    assert!(page.text().contains("&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;"));
}

#[tokio::test]
async fn approval_gives_a_code_and_denial_an_error() {
    let server = asking();
    let (page, verifier) = open(&server).await;
    let approved = post(&server, "/consent", &[("ticket", &ticket(&page)), ("decision", "approve")]).await;
    let callback = approved.callback();
    assert_eq!(callback["state"], "state-1");
    assert_eq!(exchange(&server, &callback["code"], &verifier, &[]).await.status, 200);

    let (page, _) = open(&server).await;
    let denied = post(&server, "/consent", &[("ticket", &ticket(&page)), ("decision", "deny")]).await;
    assert_eq!(denied.callback()["error"], "access_denied");
    let outcomes: Vec<Outcome> =
        server.ledger().of(Endpoint::Consent).iter().map(|entry| entry.outcome().clone()).collect();
    assert_eq!(outcomes, [Outcome::CodeIssued, Outcome::Denied]);
}

#[tokio::test]
async fn a_ticket_is_good_once_and_not_for_ever() {
    let hands = Hands::default();
    let server = AuthorizationServer::builder().clock(hands.clock()).build().unwrap();
    let (page, _) = open(&server).await;
    let form = [("ticket", ticket(&page)), ("decision", "approve".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(post(&server, "/consent", &form).await.status, 303);
    assert_eq!(post(&server, "/consent", &form).await.status, 400);

    let (page, _) = open(&server).await;
    hands.advance(std::time::Duration::from_secs(600));
    let late = post(&server, "/consent", &[("ticket", &ticket(&page)), ("decision", "approve")]).await;
    assert_eq!(late.status, 400);
}

#[tokio::test]
async fn the_form_wants_a_ticket_and_a_decision() {
    let server = asking();
    let (page, _) = open(&server).await;
    let ticket = ticket(&page);
    let bad = [
        encode(&[("decision", "approve")]),
        encode(&[("ticket", "ticket-guessed"), ("decision", "approve")]),
        encode(&[("ticket", &ticket)]),
        encode(&[("ticket", &ticket), ("decision", "perhaps")]),
        encode(&[("ticket", &ticket), ("decision", "deny"), ("decision", "approve")]),
    ];
    for body in bad {
        assert_eq!(post_raw(&server, "/consent", &[FORM], &body).await.status, 400, "{body}");
    }
    assert_eq!(get(&server, &format!("/consent?ticket={ticket}&decision=approve")).await.status, 405);
    let good = [("ticket", ticket.as_str()), ("decision", "approve")];
    assert_eq!(post(&server, "/consent", &good).await.status, 303, "nothing of that used it up");
}

#[tokio::test]
async fn a_page_of_an_error_tells_nothing_that_was_sent() {
    let server = asking();
    let page = get(&server, "/authorize?client_id=%3Cscript%3E&redirect_uri=%3Cscript%3E").await;
    assert_eq!(page.status, 400);
    assert!(!page.text().contains("script"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}
