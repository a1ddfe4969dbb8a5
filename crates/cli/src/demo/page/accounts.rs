//! The connected accounts: one card for each provider.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use authflow::{Clock as _, Connection, Error, Expiry, Health, SystemClock};
use authflow_web::{ACCOUNT_FIELD, RETURN_TO_FIELD};
use maud::{Markup, html};

use super::app::{BASE, Demo, left, why};
use super::feed::{Line, Message, Tone};
use super::party::Party;
use super::sequence;
use super::view::{milliseconds, moment, seconds};
use crate::args::DemoProvider;
use crate::demo::stage::Stage;
use crate::terminal::{printable, shortened};

/// What a card shows.
#[derive(Debug)]
pub(super) struct Card<'a> {
    id: &'static str,
    title: &'a str,
    about: String,
    /// What has to be registered at a server that is not the demo's.
    redirect_uri: Option<String>,
    explained: &'static str,
    refreshes: bool,
    /// Whether it is known where its access token is used.
    has_api: bool,
    /// Whether the API refused the token, and there is no other.
    is_refused: bool,
    connection: Option<Connection>,
    last: Option<Arc<Message>>,
}

/// One card for each provider, in order.
pub(super) async fn read(demo: &Demo) -> Result<Vec<Card<'_>>, Error> {
    let mut cards = Vec::new();
    for party in demo.story.parties() {
        let flow = demo.connections.flow(party.id());
        cards.push(Card {
            id: party.id(),
            title: demo.story.title(party),
            about: about(demo, party),
            redirect_uri: (party == Party::Own).then(|| demo.site.redirect_uri(party)),
            explained: explained(party),
            has_api: demo.story.resource(party).is_some(),
            is_refused: demo.story.is_refused(party),
            refreshes: flow.is_some_and(|flow| flow.provider().supports_refresh()),
            connection: demo.connection(party.id()).await?,
            last: demo.story.feed.last_note(party),
        });
    }
    Ok(cards)
}

/// In what it differs from the others; of the user's own, where it is.
fn about(demo: &Demo, party: Party) -> String {
    match (demo.story.stage(party), &demo.story.own) {
        (None, Some(own)) => format!("At {}.", printable(own.place())),
        (stage, _) => stage.map_or("", Stage::about).to_owned(),
    }
}

/// The words of that which not everybody knows.
const fn explained(party: Party) -> &'static str {
    match party {
        Party::Testkit(DemoProvider::Rfc) => {
            "PKCE ties the code to who asked; iss is the issuer, who answers."
        }
        Party::Testkit(DemoProvider::StackExchange) => "",
        Party::Testkit(DemoProvider::Contentstack) => {
            "The app uid is the number of the app in Contentstack's catalogue."
        }
        Party::Own => "What the browser and it say to each other is not shown here.",
    }
}

/// The one that there is most to do with: the last to be connected, else the last that was spoken of.
pub(super) fn in_front(demo: &Demo, cards: &[Card<'_>]) -> Option<Party> {
    let connected = cards.iter().filter_map(|card| Some((card.connection.as_ref()?.connected_at, card.id)));
    let last = connected.max_by_key(|(at, _)| *at).and_then(|(_, id)| demo.story.party_of(id));
    last.or_else(|| demo.story.feed.last_provider())
}

pub(super) fn cards(cards: &[Card<'_>]) -> Markup {
    html! { @for card in cards { (self::card(card)) } }
}

fn card(card: &Card<'_>) -> Markup {
    let heading = format!("account-{}", card.id);
    let (state, tone) = match card.connection.as_ref().map(|connection| connection.health) {
        None => ("Not connected", "off"),
        Some(_) if card.is_refused => ("Connect again", "bad"),
        Some(Health::Good) => ("Connected", "good"),
        Some(Health::InDoubt) => ("A refresh is in doubt", "warn"),
        Some(_) => ("Connect again", "bad"),
    };
    html! {
        article class={ "card " (tone) } aria-labelledby=(heading) {
            div class="head" {
                h3 id=(heading) { (card.title) }
                span class={ "pill " (tone) } { (state) }
            }
            @match &card.connection {
                None => {
                    p class="faint" {
                        (card.about)
                        @if !card.explained.is_empty() { " " (card.explained) }
                    }
                    @if let Some(redirect_uri) = &card.redirect_uri {
                        p class="faint" { "It has to know this redirect URI: " code class="whole" { (redirect_uri) } }
                    }
                    div class="buttons" { (connect(card, "Connect", true)) }
                }
                Some(connection) => (connected(card, connection)),
            }
            @if let Some(last) = &card.last { (said(last)) }
        }
    }
}

/// The last that was said about it, for those who do not have the sequence in view.
fn said(message: &Message) -> Markup {
    html! {
        @if let Line::Note { text, tone, .. } = &message.line {
            p class={ "last " (sequence::tone_class(*tone)) } {
                (moment(message.at)) " "
                @if *tone == Tone::Survived { strong { "Survived." } " " }
                (text)
            }
        }
    }
}

fn connected(card: &Card<'_>, connection: &Connection) -> Markup {
    let needs = match connection.health {
        Health::NeedsReconnect { reason, .. } => Some(why(reason)),
        _ if card.is_refused => {
            Some("the API no longer accepts the access token, and no other is to be had.")
        }
        _ => None,
    };
    html! {
        dl {
            @if let Some(account) = connection.key.account() {
                dt { "Account" }
                dd { (shortened(&printable(account), 40)) }
            }
            dt { "Allowed" }
            dd { @for scope in connection.scopes.iter() { code { (printable(scope)) } " " } }
            dt { "Connected" }
            dd {
                (moment(connection.connected_at))
                @if let Some(at) = connection.refreshed_at { ", last refreshed " (moment(at)) }
            }
        }
        @if let Some(needs) = needs {
            p class="problem" { "The connection has ended: " (needs) }
        } @else {
            (life(card, connection))
        }
        div class="buttons" {
            @if needs.is_some() {
                (connect(card, "Connect again", true))
            } @else {
                @if card.has_api { (action("/demo/call", card, "Call the API", true)) }
                @if card.refreshes { (action("/demo/refresh", card, "Refresh now", !card.has_api)) }
            }
            form method="post" action={ (BASE) "/" (card.id) "/disconnect" } {
                (back_here())
                @if let Some(account) = connection.key.account() {
                    input type="hidden" name=(ACCOUNT_FIELD) value=(account);
                }
                button type="submit" id={ "disconnect-" (card.id) } class="quiet" {
                    "Disconnect" span class="unseen" { " " (card.title) }
                }
            }
        }
    }
}

/// How long the access token is good for.
fn life(card: &Card<'_>, connection: &Connection) -> Markup {
    let begun = connection.refreshed_at.unwrap_or(connection.connected_at);
    match (connection.expiry, left(connection)) {
        (Expiry::At(until), Some(left)) => {
            let whole = until.duration_since(begun).unwrap_or_default();
            bar(card, until, whole, left)
        }
        (Expiry::Never, _) => html! { p class="faint" { "The access token has no end." } },
        _ => html! { p class="faint" { "The provider did not say how long the access token is good for." } },
    }
}

fn bar(card: &Card<'_>, until: SystemTime, whole: Duration, left: Duration) -> Markup {
    let label = format!("{}: what is left of the access token's time", card.title);
    html! {
        div class="life" data-until=(milliseconds(until)) data-whole=(whole.as_millis()) {
            p {
                "Access token: " strong class="left" { (seconds(left)) } " left"
                span class="faint" { ", until " (moment(until)) }
            }
            progress max=(whole.as_millis().max(1)) value=(left.as_millis()) aria-label=(label) {}
            p class="faint" {
                @if card.refreshes { "Refreshed in the last quarter, without you." }
                @else { "No refresh here: at its end you connect again." }
            }
        }
    }
}

fn connect(card: &Card<'_>, word: &str, is_main: bool) -> Markup {
    html! {
        form method="post" action={ (BASE) "/" (card.id) "/connect" } {
            (back_here())
            button type="submit" id={ "connect-" (card.id) } class=[is_main.then_some("main")] {
                (word) span class="unseen" { " " (card.title) }
            }
        }
    }
}

/// Afterwards to this page, and not to the plain one.
fn back_here() -> Markup {
    html! { input type="hidden" name=(RETURN_TO_FIELD) value="/"; }
}

fn action(to: &str, card: &Card<'_>, word: &str, is_main: bool) -> Markup {
    let id = format!("{}-{}", to.rsplit('/').next().unwrap_or_default(), card.id);
    html! {
        form method="post" action=(to) data-live {
            input type="hidden" name="provider" value=(card.id);
            button type="submit" id=(id) class=[is_main.then_some("main")] {
                (word) span class="unseen" { ": " (card.title) }
            }
        }
    }
}

/// Now, for the script's clock.
pub(super) fn now() -> u128 {
    milliseconds(SystemClock::new().now())
}
