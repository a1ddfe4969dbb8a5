//! What holds for every page, and what each says.

use std::collections::BTreeSet;

use authflow_core::{Error, ErrorKind, Expiry, Health, ReconnectReason, Scopes};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::document::Value;
use super::samples::{Names, SIGN_IN, TOKEN, Tag, hours, now, read};
use super::*;

fn rendered(names: &Names) -> Vec<(String, String)> {
    let pages = DefaultPages::default().application("Example & Co", "/");
    let mut all = Vec::new();
    names.each(|name, page| all.push((name.to_owned(), pages.render(page))));
    all
}

fn page(name: &str) -> String {
    let all = rendered(&Names::kind());
    all.into_iter().find(|(known, _)| known == name).expect("a page of this name").1
}

fn hostile() -> Vec<Names> {
    [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></bdi><h1>",
        "a\u{202e}tnuocca\u{2069}\u{2067}",
        "javascript:alert(1)",
        "https://evil.example/",
        "&lt;b&gt; &amp;amp; &#60;",
        "{provider}{time}{count}",
        "line\r\nbreak\0and\u{1b}[31m",
        "",
    ]
    .into_iter()
    .map(Names::same)
    .chain([Names::same(&"long ".repeat(2_000)), Names::same(&"W".repeat(10_000))])
    .collect()
}

fn sound(name: &str, page: &str) -> Vec<Tag> {
    let (tags, _) = read(page);
    let all = |wanted: &str| tags.iter().filter(|tag| tag.name == wanted).collect::<Vec<_>>();
    for once in ["html", "head", "title", "style", "body", "main", "h1"] {
        assert_eq!(all(once).len(), 1, "{name}: <{once}> stands there once");
    }
    assert_eq!(tags[0].attribute("lang"), Some("en"), "{name}");
    assert_eq!(tags[0].attribute("dir"), Some("ltr"), "{name}");
    assert!(!page.contains("<title></title>"), "{name} has a title");
    let metas: Vec<_> = all("meta").iter().filter_map(|tag| tag.attribute("name")).collect();
    assert_eq!(metas, ["viewport", "color-scheme", "robots"], "{name}");

    let known = BTreeSet::from([
        "html", "head", "meta", "title", "style", "body", "header", "main", "section", "div", "h1", "h2",
        "h3", "p", "span", "bdi", "a", "form", "input", "button", "ul", "li", "dl", "dt", "dd", "time",
        "details", "summary", "svg", "path",
    ]);
    let mut ids = BTreeSet::new();
    let mut level = 0;
    for tag in &tags {
        assert!(known.contains(&*tag.name), "{name}: <{}>", tag.name);
        for (attribute, value) in &tag.attributes {
            assert_ne!(attribute, "style", "{name}: the policy forbids it");
            assert!(!attribute.starts_with("on") && attribute != "src", "{name}: {attribute}");
            if attribute == "href" || attribute == "action" {
                assert!(value.is_empty() || value.starts_with('/'), "{name}: {attribute} {value}");
                assert!(value.is_empty() || known_path(value), "{name}: {value} is of the data");
            }
            if attribute == "id" {
                assert!(ids.insert(value.clone()), "{name}: id {value} twice");
            }
        }
        if let Some(heading) = tag.name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok()) {
            assert!(heading <= level + 1, "{name}: <h{heading}> after <h{level}>");
            level = heading;
        }
        if let Some(label) = tag.attribute("aria-labelledby") {
            assert!(tags.iter().any(|tag| tag.attribute("id") == Some(label)), "{name}: {label}");
        }
    }
    let fields = all("input");
    assert!(fields.iter().all(|field| field.attribute("type") == Some("hidden")), "{name}");
    let tokens = fields.iter().filter(|field| field.attribute("name") == Some(TOKEN_FIELD));
    // Nobody has a token before signing in, and needs none.
    let expected = if name == "sign-in" { 0 } else { all("form").len() };
    assert_eq!(tokens.filter(|field| field.attribute("value") == Some(TOKEN)).count(), expected, "{name}");
    assert!(all("form").iter().all(|form| form.attribute("method") == Some("post")), "{name}");
    assert_eq!(all("button").len(), all("form").len(), "{name}: a button for each form");
    tags
}

fn known_path(path: &str) -> bool {
    let known = ["/", "/auth", "/auth/stackexchange/callback?resume=a1&again=1", SIGN_IN];
    let actions = ["connect", "disconnect"];
    let of = |id: &str| actions.iter().any(|action| path == format!("/auth/{id}/{action}"));
    known.contains(&path) || of("stackexchange") || of("contentstack")
}

#[test]
fn b20_every_page_is_whole_and_loads_nothing() {
    let all = rendered(&Names::kind());
    assert!(all.len() > 35);
    for (name, page) in &all {
        sound(name, page);
        assert!(!page.contains("://"), "{name}: an address elsewhere");
    }
}

#[test]
fn b11_nothing_hostile_becomes_markup() {
    for names in hostile() {
        for (name, page) in rendered(&names) {
            for tag in sound(&name, &page) {
                let others =
                    tag.attributes.iter().filter(|(known, _)| tag.name != "input" || known != "value");
                let all = others.map(|(_, value)| &**value).collect::<Vec<_>>().join(" ");
                assert!(names.account.is_empty() || !all.contains(&names.account), "{name}: {all}");
            }
            let (_, texts) = read(&page);
            assert!(page.len() < 400_000, "{name}: {} bytes", page.len());
            for text in texts {
                let turned = |c: char| {
                    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                };
                assert!(!text.contains(turned), "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn b11_a_name_keeps_its_direction_to_itself() {
    let names = Names::same("<i>\u{202e}x");
    for (name, page) in rendered(&names) {
        let body = page.split_once("<body>").unwrap().1;
        let isolated = body.matches("<bdi>&lt;i&gt;\u{fffd}x").count();
        assert_eq!(body.matches("&lt;i&gt;\u{fffd}x").count(), isolated, "{name}: all inside <bdi>");
    }
}

#[test]
fn the_disconnect_form_names_the_account_as_it_is() {
    let account = "\"<b>\u{202e}&amp;".repeat(100);
    let page = rendered(&Names { account: account.clone(), ..Names::kind() }).swap_remove(0).1;
    let (tags, _) = read(&page);
    let fields: Vec<_> = tags.iter().filter(|tag| tag.attribute("name") == Some(ACCOUNT_FIELD)).collect();
    let values: Vec<_> = fields.iter().filter_map(|field| field.attribute("value")).collect();
    assert_eq!(values, [&*account, "42", ""]);
}

#[test]
fn b21_the_policy_fits_the_style_that_stands_in_the_page() {
    let dressed =
        DefaultPages::default().style(":root { --accent: teal }\r\n</style><script>alert(1)</script>");
    let page = dressed.render(&Page::NotFound { accounts: "/auth" });
    assert!(page.contains(":root { --accent: teal }\n\n<\\/style><script>alert(1)<\\/script></style>"));
    for pages in [DefaultPages::default(), dressed] {
        let page = pages.render(&Page::NotFound { accounts: "/auth" });
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = STANDARD.encode(Sha256::digest(style));
        let policy = pages.content_security_policy();
        assert_eq!(
            policy,
            format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
        );
        assert!(!policy.contains("form-action"), "browsers apply it to the redirect to the provider");
        assert!(!style.contains("url(") && !style.contains("@import") && !style.contains('\r'));
        sound("dressed", &page);
    }
}

#[test]
fn every_text_is_shown_and_nothing_else_is() {
    let (texts, names) = Texts::marked();
    let pages = DefaultPages::new(texts);
    let mut unseen: BTreeSet<String> = names.into_iter().collect();
    Names::same("DATA").each(|name, page| {
        let page = pages.render(page);
        unseen.retain(|marker| !page.contains(&format!("[{marker}]")));
        let (tags, texts) = read(&page);
        assert_eq!(tags[0].attribute("lang"), Some("[lang]"));
        assert_eq!(tags[0].attribute("dir"), Some("rtl"));
        for text in texts {
            let parts = text.split(['[', ']']).step_by(2).map(str::trim);
            let data = ["", "DATA", "DATA2", "42", "gone", "·", ",", "global_inbox"];
            for part in parts {
                assert!(
                    data.contains(&part) || part.starts_with("scope:"),
                    "{name}: {part:?} cannot be replaced"
                );
            }
        }
    });
    // The samples are of two seasons.
    unseen.retain(|name| !name.starts_with("months"));
    assert!(unseen.is_empty(), "never shown: {unseen:?}");
}

#[test]
fn a_connection_says_what_it_is_and_what_can_be_done() {
    let page = page("accounts");
    let row =
        page.split("<li>").find(|row| row.contains("<h3><bdi>jane.doe@example.com</bdi></h3>")).unwrap();
    assert!(row.contains("<p class=\"health good\">"));
    assert!(row.contains("</svg>Working</p>"), "health by a word");
    assert!(!row.contains("<p class=\"explained\">"), "what works needs no words");
    let again = "Reconnect<span class=\"heard\"> <bdi>Stack Exchange</bdi>, <bdi>jane.doe@example.com</bdi></span></button>";
    assert!(page.contains(again), "to be asked again for what was not granted");
    assert!(page.contains("<li><bdi>read_inbox</bdi></li>"));
    assert!(page.contains(
        "<dt>Not allowed</dt><dd><ul class=\"scopes missing\"><li><bdi>global_inbox</bdi></li></ul>"
    ));
    assert!(page.contains(
        "<dt>Connected since</dt><dd><time datetime=\"2026-10-12T17:00:00Z\">12 October 2026, 17:00\u{a0}UTC</time></dd>"
    ));
    assert!(page.contains(
        "Good until <time datetime=\"2026-11-21T18:00:00Z\">21 November 2026, 18:00\u{a0}UTC</time>; it renews itself"
    ));
    assert!(page.contains("It can renew itself until <time datetime=\"2027-02-19T17:00:00Z\">"));
    assert!(page.contains("</svg>Needs you</p>"));
    assert!(page.contains("<bdi>Stack Exchange</bdi> no longer accepts this connection"));
    assert!(page.contains(
        "Reconnect<span class=\"heard\"> <bdi>Stack Exchange</bdi>, <bdi>42</bdi></span></button>"
    ));
    assert!(page.contains(
        "Disconnect<span class=\"heard\"> <bdi>Stack Exchange</bdi>, <bdi>42</bdi></span></button>"
    ));
    assert!(page.contains("Ran out on <time"));
    assert!(page.contains("Your <bdi>Contentstack</bdi> account"));
    assert_eq!(
        page.matches("Connect another account").count(),
        1,
        "not where it would replace the one that is there"
    );
    assert!(page.contains("name=\"return_to\" value=\"/auth\""), "connecting comes back");
}

/// What a template's author wrote in braces and is nothing of ours stands as it is.
#[test]
fn b11_only_what_is_known_is_filled_in() {
    let texts = Texts::english();
    for (text, filled) in [
        ("{provider}", "X"),
        ("a {provider} b {provider}", "a X b X"),
        ("{who} and {provider} {", "{who} and X {"),
        ("{{provider}} }{", "{X} }{"),
        ("{who} {what} {provider}. {when}", "{who} {what} X. {when}"),
    ] {
        assert_eq!(texts.fill_plain(text, &[("provider", Value::Name("X"))]), filled);
    }
}

fn rendered_row(names: &Names, row: AccountRow<'_>) -> String {
    DefaultPages::default().render(&Page::Accounts {
        connections: &[row],
        providers: &[names.link()],
        unreadable: 0,
        notice: None,
        form_token: None,
        return_to: None,
        now: now(),
    })
}

fn access(change: impl Fn(&mut AccountRow<'_>)) -> String {
    let names = Names::kind();
    let mut row = names.row();
    change(&mut row);
    let page = rendered_row(&names, row);
    let Some((_, access)) = page.split_once("<dt>Access</dt><dd>") else {
        return String::new();
    };
    let access = access.split_once("</dd>").unwrap().0;
    let access = access.split(['<', '>']).step_by(2).collect::<String>();
    access.trim().to_owned()
}

#[test]
fn the_life_of_a_token_is_told_in_words() {
    let until = "Good until 21 November 2026, 18:00\u{a0}UTC";
    assert_eq!(access(|row| row.refreshes = true), format!("{until}; it renews itself"));
    assert_eq!(access(|_| {}), format!("{until}; after that you need to reconnect"));
    assert_eq!(access(|row| row.expiry = Expiry::Never), "Does not run out");
    assert_eq!(access(|row| row.expiry = Expiry::Unknown), "Stack Exchange does not say how long");
    let over = |row: &mut AccountRow<'_>| {
        row.refreshes = true;
        row.expiry = Expiry::At(now());
    };
    assert_eq!(access(over), "Renews itself the next time it is used");
    let pause =
        "Stack Exchange cannot renew it just now. The next try is after 21 November 2026, 18:00\u{a0}UTC.";
    let paused = |row: &mut AccountRow<'_>| {
        row.refreshes = true;
        row.paused_until = Some(now() + hours(1));
    };
    assert_eq!(access(paused), format!("{until}; it renews itself{pause}"));
    let over_and_paused = |row: &mut AccountRow<'_>| {
        paused(row);
        over(row);
    };
    let ran_out = "Ran out on 21 November 2026, 17:00\u{a0}UTC";
    assert_eq!(
        access(over_and_paused),
        format!("{ran_out}{pause}"),
        "it would not renew itself at the next use"
    );
    let not_refreshed = |row: &mut AccountRow<'_>| {
        paused(row);
        row.refreshes = false;
    };
    assert_eq!(access(not_refreshed), format!("{until}; after that you need to reconnect"));
    let of_two = |over: bool| {
        let names = Names::kind();
        let mut row = names.row();
        paused(&mut row);
        if over {
            row.expiry = Expiry::At(now());
        }
        rendered_row(&names, row)
    };
    assert!(of_two(false).contains("</svg>Working</p>"));
    assert!(of_two(true).contains("</svg>Paused</p>"), "it does not work, for now");
    let pause_is_over = |row: &mut AccountRow<'_>| {
        over(row);
        row.paused_until = Some(now());
    };
    assert_eq!(access(pause_is_over), "Renews itself the next time it is used");
    let ended = |row: &mut AccountRow<'_>| {
        row.refreshes = false;
        row.health = Health::NeedsReconnect { reason: ReconnectReason::Refused, since: None };
    };
    let by = "Not renewed any more; ends on 21 November 2026, 18:00\u{a0}UTC at the latest";
    assert_eq!(access(ended), by);
    let over = |row: &mut AccountRow<'_>| {
        ended(row);
        row.expiry = Expiry::At(now() - hours(1));
    };
    assert_eq!(access(over), "Ran out on 21 November 2026, 16:00\u{a0}UTC");
    let of_no_use = |row: &mut AccountRow<'_>| {
        ended(row);
        row.expiry = Expiry::Never;
    };
    assert_eq!(access(of_no_use), "", "a connection that has ended does not boast");
}

#[test]
fn what_has_just_happened_is_told_once_and_to_listeners() {
    let said = |name| {
        let page = page(name);
        assert_eq!(page.matches("role=\"status\"").count(), 1);
        let (_, texts) = read(&page);
        texts.join(" ")
    };
    assert!(said("accounts-connected").contains("Stack Exchange is connected."));
    assert!(said("accounts-connected").starts_with("Stack Exchange is connected. · Connected accounts"));
    assert!(said("accounts-disconnected").contains("withdrawn there"));
    assert!(said("accounts-disconnected_here").contains("itself could not be told"));
    assert!(said("accounts-was_not_connected").contains("nothing to disconnect"));
    assert!(!page("accounts").contains("role=\"status\""));
}

#[test]
fn an_empty_page_explains_and_offers() {
    let page = page("accounts-empty");
    assert!(page.contains("Nothing is connected yet"));
    assert_eq!(page.matches("Not connected").count(), 2);
    assert!(page.contains("class=\"button primary\">Connect <bdi>Stack Exchange</bdi></button>"));
    let one = self::page("accounts-one");
    assert!(
        one.contains("class=\"button\">Connect <bdi>Contentstack</bdi></button>"),
        "it is no longer what the page is for"
    );
    assert!(self::page("accounts-no-provider").contains("No service has been set up yet"));
    let unreadable = self::page("accounts-unreadable");
    assert!(
        unreadable.contains("3 more connections cannot be read")
            && !unreadable.contains("Nothing is connected")
            && !unreadable.contains("Not connected"),
        "what cannot be read may be there"
    );
}

#[test]
fn a_connection_whose_provider_is_gone_promises_nothing() {
    let page = page("accounts-all");
    let (_, gone) = page.split_once("<bdi>gone</bdi></h2>").expect("its group");
    let gone = gone.split_once("</section>").expect("the end of the group").0;
    assert!(gone.contains("</svg>Not in use</p>") && gone.contains("is no longer set up here"), "{gone}");
    assert!(
        !gone.contains("Working") && !gone.contains("<dt>Access</dt>") && !gone.contains("<form"),
        "{gone}"
    );
}

#[test]
fn each_failure_says_who_can_help() {
    let forms = |reason: &str| page(&format!("failed-{reason}")).matches("<form").count();
    assert_eq!(forms("unavailable"), 1);
    assert_eq!(forms("other"), 1);
    assert_eq!(forms("configuration"), 0, "trying again does not help");
    assert!(page("failed-configuration").contains("only they can mend it"));
    let of = |kind| FailedReason::of(&Error::new(kind, "something"));
    assert_eq!(of(ErrorKind::Network), FailedReason::Unavailable);
    assert_eq!(of(ErrorKind::StoreUnavailable), FailedReason::Unavailable);
    assert_eq!(of(ErrorKind::NotDurable), FailedReason::NotSaved);
    assert_eq!(of(ErrorKind::Configuration), FailedReason::Configuration);
    assert_eq!(of(ErrorKind::InvalidResponse), FailedReason::Refused);
    assert_eq!(of(ErrorKind::StateNotFound), FailedReason::Other);
    assert_eq!(of(ErrorKind::StoreCorrupt), FailedReason::Other, "the next flow is another");
    assert_eq!(of(ErrorKind::StoreContractViolated), FailedReason::Configuration);
    let answered = |code| {
        let error = Error::new(ErrorKind::AuthorizationFailed, "something");
        FailedReason::of(&error.with_server_error(ServerError::new(code, None, None)))
    };
    assert_eq!(answered("server_error"), FailedReason::Unavailable);
    assert_eq!(answered("login_required"), FailedReason::Other);
    assert!(FailedReason::ALL.into_iter().all(|reason| FailedReason::from_name(reason.as_str()) == reason));
    assert_eq!(FailedReason::from_name("<b>"), FailedReason::Other);
    assert!(NoticeKind::ALL.into_iter().all(|kind| NoticeKind::from_name(kind.as_str()) == Some(kind)));
    assert_eq!(NoticeKind::from_name("<b>"), None);
}

#[test]
fn the_step_between_goes_on_by_itself_and_by_a_link() {
    let page = page("continue");
    let to = "/auth/stackexchange/callback?resume=a1&amp;again=1";
    assert!(page.contains(&format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">")));
    assert!(page.contains(&format!("<a href=\"{to}\" class=\"button primary\">Go on</a>")));
    let foreign = DefaultPages::default().render(&Page::Continue { to: "//evil.example/" });
    assert!(foreign.contains("content=\"0;url=/\"") && !foreign.contains("evil"));
}

#[test]
fn b17_no_link_and_no_form_leads_elsewhere() {
    let mut names = Names::kind();
    names.account = "1".to_owned();
    let provider = ProviderLink::new("stackexchange", &names.provider, "https://evil.example/connect");
    let row = AccountRow { disconnect: Some("//evil.example/disconnect"), ..names.row() };
    let pages = DefaultPages::default().application("Example", "javascript:alert(1)");
    let overview = Page::Accounts {
        connections: &[row],
        providers: &[provider],
        unreadable: 0,
        notice: None,
        form_token: Some(TOKEN),
        return_to: None,
        now: now(),
    };
    let (form_token, return_to, accounts) = (Some(TOKEN), None, "/\\evil.example");
    for page in [overview, Page::Denied { provider, form_token, return_to, accounts }] {
        let tags = sound("elsewhere", &pages.render(&page));
        let leads = tags.iter().filter_map(|tag| tag.attribute("href").or(tag.attribute("action")));
        assert_eq!(leads.collect::<Vec<_>>(), ["/", "/", "/"]);
    }
}

#[test]
fn who_is_not_signed_in_finds_where_to() {
    for name in ["signed-out", "sign-in-then-connect"] {
        let (led, page) = (page(&format!("{name}-led")), page(name));
        assert!(
            led.contains(&format!("<a href=\"{SIGN_IN}\" class=\"button primary\">Sign in</a>")),
            "{led}"
        );
        assert!(!led.contains("href=\"/auth\""), "nobody sees that page before: {led}");
        assert!(page.contains("<a href=\"/auth\" class=\"back\">Connected accounts</a>"), "{page}");
    }
}

#[test]
fn a_page_that_waits_says_how_long_and_reloads_itself() {
    assert!(page("unavailable").contains("<a href=\"\" class=\"button primary\">Reload</a>"));
    assert!(page("unavailable-s").contains("in 30 s."));
    assert!(page("unavailable-min").contains("in 2 min."));
    assert!(!page("unavailable-post").contains("<a href=\"\""));
}

#[test]
fn a_page_without_a_form_token_or_an_application_has_none() {
    let names = Names::kind();
    let page = DefaultPages::default().render(&Page::Expired {
        provider: names.link(),
        form_token: None,
        return_to: None,
        accounts: "/",
    });
    assert!(!page.contains("<input") && !page.contains("<header>"));
    assert!(page.contains("<title>That took too long</title>"));
    assert!(self::page("expired").contains("<title>That took too long · Example &amp; Co</title>"));
    assert!(self::page("expired").contains("<header><a href=\"/\"><bdi>Example &amp; Co</bdi></a></header>"));
}

#[test]
fn many_scopes_are_folded() {
    let page = page("accounts-all");
    assert!(page.contains("<details><summary>12 more</summary>"));
    let names = Names { scopes: (0..8).map(|number| number.to_string()).collect(), ..Names::kind() };
    let eight = AccountRow { missing_scopes: Scopes::none(), ..names.row() };
    let overview = Page::Accounts {
        connections: &[eight],
        providers: &[],
        unreadable: 0,
        notice: None,
        form_token: None,
        return_to: None,
        now: now(),
    };
    assert!(!DefaultPages::default().render(&overview).contains("<details>"));
}
