//! Pages that say one thing: what happened, what it means, what to do.

use std::time::Duration;

use maud::{Markup, html};

use super::ProviderLink;
use super::document::{Button, Document, Look, NO_VALUES, Value, Values, main_link, way_back};
use super::texts::{Message, Text, Texts};

/// A page of one message and what can be done there.
pub(super) fn message(
    texts: &Texts,
    message: &Message,
    values: Values<'_>,
    actions: &Markup,
) -> Document<'static> {
    let part = |text: &Text| html! { @if !text.is_empty() { p { (texts.fill(text, values)) } } };
    let main = html! {
        div.card.message {
            h1 { (texts.fill(&message.title, values)) }
            (part(&message.happened))
            (part(&message.means))
            (part(&message.to_do))
            @if !actions.0.is_empty() { div.actions { (actions) } }
        }
    };
    Document { title: texts.fill_plain(&message.title, values), refresh: None, wide: false, main }
}

/// A message that is about no provider, and leads to the accounts page.
pub(super) fn elsewhere(texts: &Texts, text: &Message, accounts: &str) -> Document<'static> {
    message(texts, text, NO_VALUES, &way_back(accounts, &texts.accounts_title))
}

/// The way to sign in, where there is one: nobody sees the accounts page before that. Else the way to the accounts page.
pub(super) fn sign_in_or(texts: &Texts, sign_in: Option<&str>, accounts: &str) -> Markup {
    match sign_in {
        Some(sign_in) => main_link(sign_in, &texts.sign_in_here),
        None => way_back(accounts, &texts.accounts_title),
    }
}

pub(super) fn unavailable(
    texts: &Texts,
    retry_after: Option<Duration>,
    reloadable: bool,
) -> Document<'static> {
    let mut text = texts.unavailable.clone();
    let seconds = retry_after.map_or(0, |after| after.as_secs());
    let (wait, count) = match seconds {
        0 => (None, 0),
        1..=90 => (Some(&texts.wait_seconds), seconds),
        _ => (Some(&texts.wait_minutes), seconds.div_ceil(60)),
    };
    if let Some(wait) = wait {
        text.means = format!("{} {wait}", text.means).into();
    }
    // An empty address is this page's own, with its query, and the page need not know either.
    let reload = html! { @if reloadable { a href="" class="button primary" { (texts.reload) } } };
    message(texts, &text, &[("count", Value::Count(count))], &reload)
}

/// The step between, which goes on by itself.
pub(super) fn going_on<'a>(texts: &Texts, to: &'a str) -> Document<'a> {
    let go_on = main_link(to, &texts.go_on);
    Document { refresh: Some(to), ..message(texts, &texts.going_on, NO_VALUES, &go_on) }
}

/// A message about a provider.
pub(super) struct About<'a> {
    provider: &'a ProviderLink<'a>,
    accounts: &'a str,
    token: Option<&'a str>,
    return_to: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(super) fn new(provider: &'a ProviderLink<'a>, accounts: &'a str) -> Self {
        Self { provider, accounts, token: None, return_to: None }
    }

    pub(super) fn form(mut self, token: Option<&'a str>, return_to: Option<&'a str>) -> Self {
        (self.token, self.return_to) = (token, return_to);
        self
    }

    /// What can be done is on the accounts page.
    pub(super) fn led_away(&self, texts: &Texts, text: &Message) -> Document<'static> {
        let accounts = way_back(self.accounts, &texts.accounts_title);
        message(texts, text, &[("provider", Value::Name(self.provider.name))], &accounts)
    }

    /// What can be done is to connect.
    pub(super) fn begun(&self, texts: &Texts, text: &Message, label: &str) -> Document<'static> {
        let values = &[("provider", Value::Name(self.provider.name))];
        let connect =
            Button::new(self.provider.connect, self.token, Look::Primary, texts.fill(label, values))
                .return_to(self.return_to)
                .render();
        let accounts = way_back(self.accounts, &texts.accounts_title);
        message(texts, text, values, &html! { (connect) (accounts) })
    }
}
