//! The pages that come with the crate.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::accounts::Overview;
use super::document::{Document, NO_VALUES, Value};
use super::messages::{About, elsewhere, message, sign_in_or};
use super::texts::{Text, Texts};
use super::{FailedReason, Page, Pages, accounts, messages};

/// The style of the pages, in the light and the dark.
const STYLE: &str = include_str!("style.css");

/// The pages that come with the crate: plain HTML and CSS, without a script and without anything from elsewhere.
///
/// They are fit for phones, keyboards and screen readers, follow the light or dark setting of the browser, and can be said in
/// other words ([`Texts`]) and dressed in other colours ([`style`](Self::style)). For other markup, implement
/// [`Pages`], and hand what you do not want to change to a `DefaultPages`.
#[derive(Clone)]
pub struct DefaultPages {
    pub(super) texts: Texts,
    pub(super) style: String,
    pub(super) application: Option<(Text, Text)>,
    policy: String,
}

impl DefaultPages {
    /// Pages with these texts.
    #[must_use]
    pub fn new(texts: Texts) -> Self {
        let style = embeddable(STYLE);
        Self { texts, policy: policy(&style), style, application: None }
    }

    /// The name of the application and the path of its own first page, for the head of every page. Without it there is none.
    #[must_use]
    pub fn application(mut self, name: impl Into<Text>, home: impl Into<Text>) -> Self {
        self.application = Some((name.into(), home.into()));
        self
    }

    /// CSS that comes after the pages' own. Colours are custom properties of `:root`: `--accent`, `--on-accent`, `--ground`,
    /// `--card`, `--ink`, `--soft-ink`, `--line`; set them for `prefers-color-scheme: dark`, too. Nothing can be loaded from it
    /// (the policy forbids that).
    #[must_use]
    pub fn style(mut self, css: &str) -> Self {
        self.style.push_str(&embeddable(css));
        self.policy = policy(&self.style);
        self
    }
}

impl Default for DefaultPages {
    fn default() -> Self {
        Self::new(Texts::english())
    }
}

impl fmt::Debug for DefaultPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultPages")
            .field("lang", &self.texts.lang)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// CSS that cannot end the element it stands in. A browser reads these characters as others, and the hash is over what it reads.
fn embeddable(css: &str) -> String {
    css.replace(['\r', '\u{c}'], "\n").replace('\0', "\u{fffd}").replace("</", "<\\/")
}

fn policy(style: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(style));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'")
}

impl Pages for DefaultPages {
    fn render(&self, page: &Page<'_>) -> String {
        self.document(&document(&self.texts, page))
    }

    fn content_security_policy(&self) -> String {
        self.policy.clone()
    }
}

fn document<'a>(texts: &Texts, page: &Page<'a>) -> Document<'a> {
    match page {
        Page::Accounts { connections, providers, unreadable, notice, form_token, return_to, now } => {
            let overview = Overview {
                texts,
                connections,
                providers,
                unreadable: *unreadable,
                notice: *notice,
                token: *form_token,
                return_to: *return_to,
                now: *now,
            };
            overview.document()
        }
        Page::SignIn { providers, return_to } => accounts::sign_in(texts, providers, *return_to),
        Page::SignedOut { accounts, sign_in } => {
            message(texts, &texts.signed_out, NO_VALUES, &sign_in_or(texts, *sign_in, accounts))
        }
        Page::DisconnectRefused { accounts } => elsewhere(texts, &texts.disconnect_refused, accounts),
        Page::DisconnectUnclear { accounts } => elsewhere(texts, &texts.disconnect_unclear, accounts),
        Page::NotFound { accounts } => elsewhere(texts, &texts.not_found, accounts),
        Page::MethodNotAllowed { accounts } => elsewhere(texts, &texts.method_not_allowed, accounts),
        Page::TooLarge { accounts } => elsewhere(texts, &texts.too_large, accounts),
        Page::SignInThenConnect { provider, accounts, sign_in } => {
            let values = &[("provider", Value::Name(provider.name))];
            message(texts, &texts.sign_in_then_connect, values, &sign_in_or(texts, *sign_in, accounts))
        }
        Page::NotAccepted { provider, accounts } => {
            About::new(provider, accounts).led_away(texts, &texts.not_accepted)
        }
        Page::Ended { provider, accounts } => About::new(provider, accounts).led_away(texts, &texts.ended),
        Page::UserChanged { provider, accounts } => {
            About::new(provider, accounts).led_away(texts, &texts.user_changed)
        }
        Page::Confirm { provider, foreign, form_token, return_to, accounts } => {
            let text = if *foreign { &texts.confirm_foreign } else { &texts.confirm };
            About::new(provider, accounts).form(*form_token, *return_to).begun(texts, text, &texts.connect)
        }
        Page::Denied { provider, form_token, return_to, accounts } => About::new(provider, accounts)
            .form(*form_token, *return_to)
            .begun(texts, &texts.denied, &texts.try_again),
        Page::Expired { provider, form_token, return_to, accounts } => About::new(provider, accounts)
            .form(*form_token, *return_to)
            .begun(texts, &texts.expired, &texts.connect),
        Page::Failed { provider, reason, form_token, return_to, accounts } => {
            let about = About::new(provider, accounts).form(*form_token, *return_to);
            match reason {
                FailedReason::Configuration => about.led_away(texts, &texts.failed_configuration),
                FailedReason::TooLarge => about.led_away(texts, &texts.failed_too_large),
                FailedReason::NotSaved => about.begun(texts, &texts.failed_not_saved, &texts.try_again),
                FailedReason::Refused => about.begun(texts, &texts.failed_refused, &texts.try_again),
                FailedReason::SignInRefused => {
                    about.begun(texts, &texts.failed_sign_in_refused, &texts.try_again)
                }
                FailedReason::Unavailable => about.begun(texts, &texts.failed_unavailable, &texts.try_again),
                FailedReason::Other => about.begun(texts, &texts.failed_other, &texts.connect),
            }
        }
        Page::Unavailable { retry_after, reloadable } => {
            messages::unavailable(texts, *retry_after, *reloadable)
        }
        Page::Broken { accounts } => elsewhere(texts, &texts.broken, accounts),
        Page::Continue { to } => messages::going_on(texts, to),
    }
}
