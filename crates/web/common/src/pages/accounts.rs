//! The accounts page, and the page where one signs in.

use std::time::{Duration, SystemTime};

use authflow_core::{Expiry, Health, ReconnectReason, Scopes};
use maud::{Markup, html};

use super::document::{Button, Document, Look, NO_VALUES, Sign, Value, Values, heard_only, isolated};
use super::texts::{Text, Texts};
use super::{ACCOUNT_FIELD, AccountRow, Notice, NoticeKind, ProviderLink};

/// So many scopes are seen at once; the others are behind a word that opens them.
const SCOPES_SEEN: usize = 8;

/// What the accounts page shows.
#[derive(Clone, Copy)]
pub(super) struct Overview<'a> {
    pub(super) texts: &'a Texts,
    pub(super) connections: &'a [AccountRow<'a>],
    pub(super) providers: &'a [ProviderLink<'a>],
    pub(super) unreadable: usize,
    pub(super) notice: Option<Notice<'a>>,
    pub(super) token: Option<&'a str>,
    pub(super) return_to: Option<&'a str>,
    pub(super) now: SystemTime,
}

/// A provider and the connections there.
struct Group<'a> {
    name: &'a str,
    connect: Option<&'a str>,
    rows: Vec<&'a AccountRow<'a>>,
}

impl<'a> Overview<'a> {
    pub(super) fn document(&self) -> Document<'static> {
        let texts = self.texts;
        let groups = self.groups();
        let nothing = self.is_empty();
        let main = html! {
            h1 { (texts.accounts_title) }
            p.lead { (texts.accounts_lead) }
            @if let Some(notice) = self.notice { (self.notice(notice)) }
            @if self.unreadable > 0 { (self.unreadable()) }
            @if groups.is_empty() && self.unreadable == 0 {
                p.card.note { (texts.no_providers) }
            } @else if nothing {
                section.card.note aria-labelledby="empty" {
                    h2 id="empty" { (texts.empty_title) }
                    p { (texts.empty_explained) }
                }
            }
            @for (index, group) in groups.iter().enumerate() { (self.group(index, group)) }
        };
        Document { title: self.title(), refresh: None, wide: true, main }
    }

    /// Whether nothing is connected, as far as can be read.
    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.unreadable == 0
    }

    /// What has just happened comes first, since it is what a screen reader says first.
    fn title(&self) -> String {
        let texts = self.texts;
        match self.notice {
            Some(notice) => {
                let values = &[("provider", Value::Name(notice.provider_name))];
                let said = texts.fill_plain(notice_text(texts, notice.kind), values);
                format!("{said} · {}", texts.accounts_title)
            }
            None => texts.accounts_title.clone().into_owned(),
        }
    }

    /// The providers in their order, then those that are no longer set up and still have connections.
    fn groups(&self) -> Vec<Group<'a>> {
        let mut groups: Vec<(&str, Group<'a>)> = Vec::new();
        for provider in self.providers {
            let group = Group { name: provider.name, connect: Some(provider.connect), rows: Vec::new() };
            groups.push((provider.id, group));
        }
        for row in self.connections {
            match groups.iter_mut().find(|(id, _)| *id == row.provider_id) {
                Some((_, group)) => group.rows.push(row),
                None => {
                    let group = Group { name: row.provider_name, connect: None, rows: vec![row] };
                    groups.push((row.provider_id, group));
                }
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn notice(&self, notice: Notice<'_>) -> Markup {
        let sign = match notice.kind {
            NoticeKind::Connected | NoticeKind::Disconnected => Sign::Good,
            NoticeKind::DisconnectedHere | NoticeKind::WasNotConnected => Sign::Attention,
        };
        let values = &[("provider", Value::Name(notice.provider_name))];
        let text = self.texts.fill(notice_text(self.texts, notice.kind), values);
        html! { div.notice.(sign.class()) role="status" { (sign.render()) p { (text) } } }
    }

    fn unreadable(&self) -> Markup {
        let text =
            if self.unreadable == 1 { &self.texts.unreadable_one } else { &self.texts.unreadable_many };
        let count = u64::try_from(self.unreadable).unwrap_or(u64::MAX);
        let text = self.texts.fill(text, &[("count", Value::Count(count))]);
        html! { div.notice.attention { (Sign::Attention.render()) p { (text) } } }
    }

    fn group(&self, index: usize, group: &Group<'_>) -> Markup {
        let texts = self.texts;
        let id = format!("provider-{index}");
        // Where the provider tells no account, there can be only one connection: another would replace it.
        let another = !group.rows.is_empty() && group.rows.iter().all(|row| row.account.is_some());
        html! {
            section.card aria-labelledby=(id) {
                div.head {
                    h2 id=(id) { (isolated(group.name)) }
                    // What cannot be read may be one of this provider.
                    @if group.rows.is_empty() && self.unreadable == 0 { p.quiet { (texts.not_connected) } }
                }
                @if !group.rows.is_empty() {
                    ul.connections {
                        @for row in &group.rows { li { (self.row(row, group)) } }
                    }
                }
                @if let Some(connect) = group.connect {
                    @if group.rows.is_empty() {
                        div.actions { (self.connect(connect, group.name)) }
                    } @else if another {
                        div.actions.foot { (self.connect_another(connect, group.name)) }
                    }
                }
            }
        }
    }

    /// What the page is for as long as nothing is connected; afterwards what can be done as well.
    fn connect(&self, action: &str, name: &str) -> Markup {
        let look = if self.is_empty() { Look::Primary } else { Look::Plain };
        let label = self.texts.fill(&self.texts.connect, &[("provider", Value::Name(name))]);
        Button::new(action, self.token, look, label).return_to(self.return_to).render()
    }

    fn connect_another(&self, action: &str, name: &str) -> Markup {
        let label = html! { (self.texts.connect_another) (heard_only(&isolated(name))) };
        Button::new(action, self.token, Look::Plain, label).return_to(self.return_to).render()
    }

    fn row(&self, row: &AccountRow<'_>, group: &Group<'_>) -> Markup {
        let texts = self.texts;
        let values = &[("provider", Value::Name(group.name))];
        let name = match row.account {
            Some(account) => isolated(account),
            None => texts.fill(&texts.account_unnamed, values),
        };
        let over = matches!(row.health, Health::NeedsReconnect { .. });
        let is_set_up = row.disconnect.is_some();
        html! {
            div.head {
                h3 { (name) }
                @if is_set_up { (self.health(row)) } @else { (self.not_set_up()) }
            }
            @if is_set_up {
                (self.explained(row.health, values))
            } @else {
                p.explained { (texts.fill(&texts.not_set_up_explained, values)) }
            }
            dl {
                div { dt { (texts.granted) } dd { (self.scopes(&row.scopes, "scopes")) } }
                @if !row.missing_scopes.is_empty() {
                    div {
                        dt { (texts.missing) }
                        dd {
                            (self.scopes(&row.missing_scopes, "scopes missing"))
                            p.quiet { (texts.missing_explained) }
                        }
                    }
                }
                div { dt { (texts.connected_since) } dd { (texts.time(row.connected_at)) } }
                @if let Some(at) = row.refreshed_at {
                    div { dt { (texts.last_refreshed) } dd { (texts.time(at)) } }
                }
                @if is_set_up && (!over || matches!(row.expiry, Expiry::At(_))) {
                    div { dt { (texts.access) } dd { (self.access(row, group.name)) } }
                }
            }
            (self.actions(row, group, &name))
        }
    }

    fn actions(&self, row: &AccountRow<'_>, group: &Group<'_>, name: &Markup) -> Markup {
        let texts = self.texts;
        let which = heard_only(&html! { (isolated(group.name)) ", " (name) });
        let look = match row.health {
            Health::NeedsReconnect { .. } => Some(Look::Primary),
            _ if !row.missing_scopes.is_empty() => Some(Look::Plain),
            _ => None,
        };
        html! {
            div.actions {
                @if let (Some(look), Some(connect)) = (look, group.connect) {
                    (Button::new(connect, self.token, look, html! { (texts.reconnect) (which) })
                        .return_to(self.return_to)
                        .render())
                }
                @if let Some(disconnect) = row.disconnect {
                    (Button::new(disconnect, self.token, Look::Ending, html! { (texts.disconnect) (which) })
                        .field(ACCOUNT_FIELD, row.account.unwrap_or_default())
                        .render())
                }
            }
        }
    }

    fn health(&self, row: &AccountRow<'_>) -> Markup {
        let texts = self.texts;
        let (sign, word) = match row.health {
            Health::Good if self.stands_still(row) => (Sign::Waiting, &texts.health_paused),
            Health::Good => (Sign::Good, &texts.health_good),
            Health::NeedsReconnect { .. } => (Sign::Attention, &texts.health_reconnect),
            _ => (Sign::Waiting, &texts.health_in_doubt),
        };
        html! { p.health.(sign.class()) { (sign.render()) (word) } }
    }

    /// Until when it is not refreshed, where it would be.
    fn paused(&self, row: &AccountRow<'_>) -> Option<SystemTime> {
        row.paused_until.filter(|until| row.refreshes && *until > self.now)
    }

    /// Whether there is no token that is good, and for now none to be had.
    fn stands_still(&self, row: &AccountRow<'_>) -> bool {
        self.paused(row).is_some() && row.expiry.is_over(self.now, Duration::ZERO)
    }

    fn not_set_up(&self) -> Markup {
        let sign = Sign::Attention;
        html! { p.health.(sign.class()) { (sign.render()) (self.texts.health_not_set_up) } }
    }

    fn explained(&self, health: Health, values: Values<'_>) -> Markup {
        let texts = self.texts;
        match health {
            Health::Good => html! {},
            Health::NeedsReconnect { reason, since } => html! {
                p.explained {
                    (texts.fill(reason_text(texts, reason), values))
                    @if let Some(since) = since {
                        " " (texts.fill(&texts.reconnect_since, &[("time", Value::Time(since))]))
                    }
                }
            },
            _ => html! { p.explained { (texts.in_doubt_explained) } },
        }
    }

    /// How long the access lasts.
    fn access(&self, row: &AccountRow<'_>, provider: &str) -> Markup {
        let texts = self.texts;
        let provider = ("provider", Value::Name(provider));
        let ended = matches!(row.health, Health::NeedsReconnect { .. });
        let over = row.expiry.is_over(self.now, Duration::ZERO);
        let refreshes = row.refreshes;
        let text = match (row.expiry, refreshes) {
            (Expiry::Never, _) => &texts.access_forever,
            (Expiry::Unknown, true) => &texts.access_unknown_refreshed,
            (Expiry::Unknown, false) => &texts.access_unknown,
            (Expiry::At(_), true) if self.stands_still(row) => &texts.access_ended,
            (Expiry::At(_), true) if over => &texts.access_refreshed_on_use,
            (Expiry::At(_), false) if over => &texts.access_ended,
            (Expiry::At(_), false) if ended => &texts.access_until_ended,
            (Expiry::At(_), true) => &texts.access_until_refreshed,
            (Expiry::At(_), false) => &texts.access_until_ends,
        };
        let until = match (row.refresh_expiry, refreshes) {
            (Expiry::At(until), true) => Some(until),
            _ => None,
        };
        html! {
            @match row.expiry {
                Expiry::At(time) => (texts.fill(text, &[("time", Value::Time(time))])),
                Expiry::Never | Expiry::Unknown => (texts.fill(text, &[provider])),
            }
            @if let Some(until) = self.paused(row) {
                p.quiet { (texts.fill(&texts.refresh_paused, &[provider, ("time", Value::Time(until))])) }
            }
            @if let Some(until) = until {
                p.quiet { (texts.fill(&texts.refresh_until, &[("time", Value::Time(until))])) }
            }
        }
    }

    fn scopes(&self, scopes: &Scopes, class: &str) -> Markup {
        let texts = self.texts;
        let list = |skip: usize, take: usize| {
            html! {
                ul class=(class) {
                    @for scope in scopes.iter().skip(skip).take(take) { li { (isolated(scope)) } }
                }
            }
        };
        let more = scopes.len().saturating_sub(SCOPES_SEEN);
        let count = u64::try_from(more).unwrap_or(u64::MAX);
        html! {
            @if scopes.is_empty() {
                span.quiet { (texts.granted_none) }
            } @else {
                (list(0, SCOPES_SEEN))
                @if more > 0 {
                    details {
                        summary { (texts.fill(&texts.more, &[("count", Value::Count(count))])) }
                        (list(SCOPES_SEEN, more))
                    }
                }
            }
        }
    }
}

fn notice_text(texts: &Texts, kind: NoticeKind) -> &Text {
    match kind {
        NoticeKind::Connected => &texts.notice_connected,
        NoticeKind::Disconnected => &texts.notice_disconnected,
        NoticeKind::DisconnectedHere => &texts.notice_disconnected_here,
        NoticeKind::WasNotConnected => &texts.notice_was_not_connected,
    }
}

fn reason_text(texts: &Texts, reason: ReconnectReason) -> &Text {
    match reason {
        ReconnectReason::Refused => &texts.reconnect_refused,
        ReconnectReason::RotationLost => &texts.reconnect_rotation_lost,
        ReconnectReason::AccountChanged => &texts.reconnect_account_changed,
        ReconnectReason::Expired => &texts.reconnect_expired,
        _ => &texts.reconnect_other,
    }
}

pub(super) fn sign_in(
    texts: &Texts,
    providers: &[ProviderLink<'_>],
    return_to: Option<&str>,
) -> Document<'static> {
    let label = |name| texts.fill(&texts.sign_in, &[("provider", Value::Name(name))]);
    let main = html! {
        div.card.message {
            h1 { (texts.sign_in_title) }
            @if providers.is_empty() {
                p { (texts.no_providers) }
            } @else {
                p { (texts.sign_in_lead) }
                div.actions.column {
                    @for provider in providers {
                        (Button::new(provider.connect, None, Look::Plain, label(provider.name))
                            .return_to(return_to)
                            .render())
                    }
                }
            }
        }
    };
    Document { title: texts.fill_plain(&texts.sign_in_title, NO_VALUES), refresh: None, wide: false, main }
}
