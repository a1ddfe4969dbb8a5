//! One of each page, and a reader of what was rendered. A browser of the workspace's tests is shown each of them.

use std::time::{Duration, SystemTime};

use authflow_core::{Expiry, Health, ReconnectReason, Scopes};

use super::{AccountRow, FailedReason, Notice, NoticeKind, Page, ProviderLink};

pub(super) const TOKEN: &str = "form-token-9f2c";
pub(super) const SIGN_IN: &str = "/login?next=/auth/x/connect%3Freturn_to%3D/";

/// The names that strangers choose.
#[derive(Clone)]
pub(crate) struct Names {
    pub(super) provider: String,
    pub(super) other: String,
    pub(super) account: String,
    pub(super) scopes: Vec<String>,
}

impl Names {
    pub(crate) fn kind() -> Self {
        Self {
            provider: "Stack Exchange".to_owned(),
            other: "Contentstack".to_owned(),
            account: "jane.doe@example.com".to_owned(),
            scopes: ["read_inbox", "write_access", "private_info"].map(str::to_owned).to_vec(),
        }
    }

    pub(super) fn same(name: &str) -> Self {
        let scopes = vec![name.to_owned(), format!("{name}2")];
        Self { provider: name.to_owned(), other: name.to_owned(), account: name.to_owned(), scopes }
    }

    pub(super) fn link(&self) -> ProviderLink<'_> {
        ProviderLink::new("stackexchange", &self.provider, "/auth/stackexchange/connect")
    }

    pub(super) fn other_link(&self) -> ProviderLink<'_> {
        ProviderLink::new("contentstack", &self.other, "/auth/contentstack/connect")
    }

    pub(super) fn row(&self) -> AccountRow<'_> {
        AccountRow {
            provider_id: "stackexchange",
            provider_name: &self.provider,
            account: Some(&self.account),
            disconnect: Some("/auth/stackexchange/disconnect"),
            scopes: Scopes::new(&self.scopes),
            missing_scopes: Scopes::none(),
            connected_at: now() - hours(24 * 40),
            refreshed_at: None,
            expiry: Expiry::At(now() + hours(1)),
            refresh_expiry: Expiry::Unknown,
            refreshes: false,
            paused_until: None,
            health: Health::Good,
        }
    }

    fn rows(&self) -> Vec<AccountRow<'_>> {
        let row = || self.row();
        let ended = |reason| Health::NeedsReconnect { reason, since: Some(now() - hours(5)) };
        let many = Scopes::new((0..20).map(|number| format!("scope:{number}")));
        vec![
            AccountRow {
                refreshed_at: Some(now() - hours(1)),
                refreshes: true,
                refresh_expiry: Expiry::At(now() + hours(24 * 90)),
                missing_scopes: Scopes::new(["global_inbox"]),
                ..row()
            },
            AccountRow { account: Some("42"), health: ended(ReconnectReason::Refused), ..row() },
            AccountRow {
                provider_id: "contentstack",
                provider_name: &self.other,
                account: None,
                expiry: Expiry::At(now() - hours(1)),
                health: ended(ReconnectReason::Expired),
                ..row()
            },
            AccountRow {
                provider_id: "gone",
                provider_name: "gone",
                disconnect: None,
                scopes: Scopes::none(),
                expiry: Expiry::Unknown,
                ..row()
            },
            AccountRow {
                health: Health::InDoubt,
                expiry: Expiry::Unknown,
                refreshes: true,
                scopes: many,
                ..row()
            },
            AccountRow { expiry: Expiry::Never, health: ended(ReconnectReason::AccountChanged), ..row() },
            AccountRow { health: ended(ReconnectReason::RotationLost), ..row() },
            AccountRow { health: ended(ReconnectReason::Other), ..row() },
            AccountRow { expiry: Expiry::At(now() - hours(1)), ..row() },
            AccountRow { refreshes: true, ..row() },
            AccountRow { refreshes: true, expiry: Expiry::At(now() - hours(1)), ..row() },
            AccountRow {
                refreshes: true,
                expiry: Expiry::At(now() - hours(1)),
                paused_until: Some(now() + hours(1)),
                ..row()
            },
            AccountRow { expiry: Expiry::Unknown, ..row() },
            AccountRow { expiry: Expiry::Never, ..row() },
            row(),
        ]
    }

    /// Each page with each of its faces, and a name for it.
    pub(crate) fn each(&self, mut see: impl FnMut(&str, &Page<'_>)) {
        let (provider, accounts) = (self.link(), "/auth");
        let providers = [self.link(), self.other_link()];
        let (form_token, return_to) = (Some(TOKEN), Some("/settings?tab=2&x=\"1\""));
        let rows = self.rows();
        let overview = |connections, providers, unreadable, notice| Page::Accounts {
            connections,
            providers,
            unreadable,
            notice,
            form_token,
            return_to: Some(accounts),
            now: now(),
        };
        let few = rows.get(..3).unwrap_or_default();
        see("accounts", &overview(few, &providers, 0, None));
        see("accounts-one", &overview(rows.get(..1).unwrap_or_default(), &providers, 0, None));
        see("accounts-all", &overview(&rows, &providers, 1, None));
        see("accounts-empty", &overview(&[], &providers, 0, None));
        see("accounts-no-provider", &overview(&[], &[], 0, None));
        see("accounts-unreadable", &overview(&[], &[], 3, None));
        for kind in NoticeKind::ALL {
            let notice = Some(Notice::new(kind, &self.provider));
            see(&format!("accounts-{}", kind.as_str()), &overview(few, &providers, 0, notice));
        }
        see("sign-in", &Page::SignIn { providers: &providers, return_to });
        see("sign-in-none", &Page::SignIn { providers: &[], return_to });
        for (name, then, sign_in) in [
            ("signed-out", "sign-in-then-connect", None),
            ("signed-out-led", "sign-in-then-connect-led", Some(SIGN_IN)),
        ] {
            see(name, &Page::SignedOut { accounts, sign_in });
            see(then, &Page::SignInThenConnect { provider, accounts, sign_in });
        }
        for (name, foreign) in [("confirm", false), ("confirm-foreign", true)] {
            see(name, &Page::Confirm { provider, foreign, form_token, return_to, accounts });
        }
        see("disconnect-refused", &Page::DisconnectRefused { accounts });
        see("disconnect-unclear", &Page::DisconnectUnclear { accounts });
        see("denied", &Page::Denied { provider, form_token, return_to, accounts });
        for reason in FailedReason::ALL {
            let page = Page::Failed { provider, reason, form_token, return_to, accounts };
            see(&format!("failed-{}", reason.as_str()), &page);
        }
        see("not-accepted", &Page::NotAccepted { provider, accounts });
        see("expired", &Page::Expired { provider, form_token, return_to, accounts });
        see("ended", &Page::Ended { provider, accounts });
        see("user-changed", &Page::UserChanged { provider, accounts });
        see("continue", &Page::Continue { to: "/auth/stackexchange/callback?resume=a1&again=1" });
        for (name, seconds) in
            [("unavailable", None), ("unavailable-s", Some(30)), ("unavailable-min", Some(91))]
        {
            let retry_after = seconds.map(Duration::from_secs);
            see(name, &Page::Unavailable { retry_after, reloadable: true });
        }
        see("unavailable-post", &Page::Unavailable { retry_after: None, reloadable: false });
        see("not-found", &Page::NotFound { accounts });
        see("method-not-allowed", &Page::MethodNotAllowed { accounts });
        see("too-large", &Page::TooLarge { accounts });
        see("broken", &Page::Broken { accounts });
    }
}

/// 2026-11-21T17:00:00Z
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_280_400)
}

pub(super) fn hours(hours: u64) -> Duration {
    Duration::from_secs(3_600 * hours)
}

/// A start tag: its name, and its attributes as they were meant.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

fn meant(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Reads a page strictly: every `<` begins a tag, every attribute has quotes. Gives the start tags, and the text between tags
/// but for that of the style.
pub(super) fn read(page: &str) -> (Vec<Tag>, Vec<String>) {
    let (mut tags, mut texts) = (Vec::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("the document type comes first");
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>'), "a bare > in {text}");
        if !text.trim().is_empty() {
            texts.push(meant(text.trim()));
        }
        if let Some(end) = after.strip_prefix('/') {
            let (name, after) = end.split_once('>').expect("the end of an end tag");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "</{name}>");
            rest = after;
            continue;
        }
        let length = after.find(|c: char| !c.is_ascii_alphanumeric()).expect("the end of a name");
        let (name, mut after) = after.split_at(length);
        assert!(!name.is_empty(), "a bare < before {after:.40}");
        let mut tag = Tag { name: name.to_owned(), attributes: Vec::new() };
        while let Some(attribute) = after.strip_prefix(' ') {
            let (name, value) = attribute.split_once("=\"").expect("an attribute with quotes");
            let (value, end) = value.split_once('"').expect("the end of an attribute");
            assert!(
                name.chars().all(|c| c.is_ascii_alphabetic() || c == '-' || c == 'B'),
                "attribute {name}"
            );
            tag.attributes.push((name.to_owned(), meant(value)));
            after = end;
        }
        rest = after.strip_prefix('>').expect("the end of a tag");
        if tag.name == "style" {
            rest = rest.split_once("</style>").expect("the end of the style").1;
        }
        tags.push(tag);
    }
    assert!(rest.is_empty(), "text after the document: {rest}");
    (tags, texts)
}
