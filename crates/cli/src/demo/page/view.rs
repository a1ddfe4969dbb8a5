//! The page as a whole, and how times are written.

use std::time::{Duration, SystemTime};

use authflow_testkit::FaultSpan;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::accounts::{self, Card};
use super::app::{BASE, Demo};
use super::feed::{Lane, News};
use super::{faults, sequence};
use crate::demo::fault;
use crate::demo::stage::Stage;
use crate::terminal::printable;

/// A small picture of two who are connected, so that no browser asks for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M5 8h6' \
                    stroke='%230b57d0' stroke-width='2'/%3E%3Ccircle cx='4' cy='8' r='3' fill='%230b57d0'/%3E%3Ccircle cx='12' \
                    cy='8' r='3' fill='%231a7f37'/%3E%3C/svg%3E";

pub(super) fn page(demo: &Demo, cards: &[Card<'_>], news: &News) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "authflow demo" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href="/demo/page.css";
                script src="/demo/page.js" defer {}
            }
            body data-revision=(news.revision) data-now=(accounts::now()) {
                a class="skip" href="#sequence" { "Skip to the messages" }
                header {
                    h1 { "authflow demo" }
                    p {
                        (servers(demo)) " and one application, this page, run on this machine. Connect an account, and read \
                        what they say to each other. "
                        @match &demo.story.own {
                            None => { "Nothing leaves the machine, nothing is kept, every secret is masked." }
                            Some(own) => {
                                "Beside them is " (printable(own.title())) ", which is not the demo's: it gets what is sent to it. Nothing \
                                 else leaves the machine, nothing is kept, every secret is masked."
                            }
                        }
                    }
                    p id="lost" class="problem" role="status" hidden { "The demo has ended. Start it again, and open its new address." }
                    p id="trouble" class="problem" role="status" hidden {}
                    noscript { p class="problem" { "Without script this page does not move: reload it to see what is new." } }
                }
                main {
                    a id="latest" class="latest" href="#sequence" hidden { "The messages" }
                    div class="side" {
                        section aria-labelledby="accounts-title" {
                            h2 id="accounts-title" { "Connected accounts" }
                            div id="accounts" { (accounts::cards(cards)) }
                        }
                        (fault_panel(demo, cards))
                        p class="faint" {
                            "The plain accounts page that every application gets: " a href=(BASE) { (BASE) } "."
                        }
                    }
                    section class="talk" aria-labelledby="sequence-title" {
                        div class="bar" {
                            h2 id="sequence-title" { "What is said" }
                            form method="post" action="/demo/clear" data-live {
                                button type="submit" class="quiet" id="clear" { "Clear" span class="unseen" { " the messages" } }
                            }
                        }
                        div id="sequence" class="scroll" tabindex="0" role="group" aria-labelledby="sequence-title" {
                            div class="lanes" aria-hidden="true" {
                                div class="rail" {
                                    @for lane in Lane::ALL { span class="lane" { (lane.name()) } }
                                }
                                div class="said faint" { "message, and what it is for" }
                            }
                            div role="log" aria-live="polite" aria-relevant="additions" aria-label="Messages" {
                                ol id="messages" { (sequence::messages(demo, &news.messages)) }
                            }
                            div id="empty" hidden[!news.messages.is_empty()] { (first_steps()) }
                            p class="end faint" { a href="#accounts-title" { "Back to the accounts" } }
                            div id="newest" {}
                        }
                    }
                }
            }
        }
    }
}

fn servers(demo: &Demo) -> &'static str {
    match demo.story.stages.len() {
        1 => "An authorization server",
        2 => "Two authorization servers",
        _ => "Three authorization servers",
    }
}

fn first_steps() -> Markup {
    html! {
        p { strong { "Nothing was said yet." } }
        p class="faint" {
            "Arrows will be what is sent, dots what somebody does or notices. What a server " i { "records" } " is in its ledger: its \
             own list of what it did."
        }
        ol {
            li { "Press " b { "Connect" } ". The browser goes to the authorization server, you approve, and it comes back with a code." }
            li { "Watch the access token run down. In its last quarter it is refreshed, and nobody notices." }
            li { "Press " b { "Call the API" } " to see it used." }
            li { "Let a server misbehave, and see what an application notices of it." }
            li { "Press " b { "Disconnect" } ". The tokens are revoked at the provider, not only forgotten." }
        }
    }
}

fn fault_panel(demo: &Demo, cards: &[Card<'_>]) -> Markup {
    let stages = &demo.story.stages;
    // Faults are for the demo's own servers.
    let front = accounts::in_front(demo, cards).filter(|party| demo.story.stage(*party).is_some());
    let front = front.or_else(|| stages.first().map(Stage::party));
    html! {
        section class="card" aria-labelledby="faults-title" {
            h2 id="faults-title" { "Let a server misbehave" }
            div id="faults" role="status" { (active_faults(demo)) }
            div class="row" {
                label for="fault-provider" { "Which server" }
                // Not what was chosen before the page was loaded again: the account that is connected now.
                select id="fault-provider" name="provider" form="fault-form" autocomplete="off" {
                    @for stage in stages {
                        option value=(stage.id()) selected[Some(stage.party()) == front] { (stage.title()) }
                    }
                }
            }
            @for stage in stages {
                // Without script all of them are there, each under its server's name.
                form method="post" action="/demo/fault" data-live data-of=(stage.id()) class="of" {
                    h3 { (stage.title()) }
                    input type="hidden" name="provider" value=(stage.id());
                    ul class="presets" {
                        @for preset in faults::presets(stage.provider) {
                            li {
                                button type="submit" name="preset" value=(preset.name) id={ "preset-" (stage.id()) "-" (preset.name) } {
                                    (preset.title)
                                }
                                span class="faint" { (preset.then) }
                            }
                        }
                    }
                }
            }
            form method="post" action="/demo/fault" data-live id="fault-form" {
                // Enter in a field presses the first button: what the fields say.
                button type="submit" hidden {}
                details {
                    summary { "Any other fault" }
                    div class="row" {
                        label for="fault-name" { "Fault" }
                        select id="fault-name" name="fault" {
                            @for (title, faults) in fault::groups() {
                                optgroup label=(title) {
                                    @for fault in faults { option value=(fault.name()) { (fault.name()) ": " (fault.about()) } }
                                }
                            }
                        }
                    }
                    fieldset {
                        legend { "How long" }
                        label { input type="radio" name="span" value="next" checked; " the next request" }
                        label { input type="radio" name="span" value="every"; " every request" }
                    }
                    button type="submit" id="fault-on" { "Switch on" }
                }
            }
        }
    }
}

/// The faults that are on, and the way to end them.
pub(super) fn active_faults(demo: &Demo) -> Markup {
    let active: Vec<_> = demo.story.faults().collect();
    html! {
        @if active.is_empty() {
            p class="faint" {
                @if demo.story.own.is_some() { "All of the demo's servers behave." } @else { "All servers behave." }
            }
        } @else {
            ul class="active" {
                @for (stage, set) in &active {
                    li {
                        strong { (set.fault.name()) } ", " (stage.title()) ", "
                        (match set.span { FaultSpan::Next => "the next request", FaultSpan::Every => "every request" })
                    }
                }
            }
            form method="post" action="/demo/behave" data-live {
                button type="submit" id="behave" { "Behave again" }
            }
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds(at: SystemTime) -> u128 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// A time of day, which the script writes in the reader's own zone.
pub(super) fn moment(at: SystemTime) -> Markup {
    let clock = clock(at);
    html! { time data-at=(milliseconds(at)) { (clock) " UTC" } }
}

/// The same with tenths of a second, for the order of things.
pub(super) fn moment_exact(at: SystemTime) -> Markup {
    let tenth = milliseconds(at) / 100 % 10;
    html! { time data-at=(milliseconds(at)) data-exact { (clock(at)) "." (tenth) } }
}

fn clock(at: SystemTime) -> PreEscaped<String> {
    let seconds = milliseconds(at) / 1000;
    PreEscaped(format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60))
}

/// A duration in words, as the script writes it too.
pub(super) fn seconds(left: Duration) -> String {
    match left.as_secs() {
        short @ 0..=119 => format!("{short} s"),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{moment, moment_exact, seconds};

    #[test]
    fn times_are_written_as_people_read_them() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_000 + 3_723_456);
        assert_eq!(moment(at).into_string(), r#"<time data-at="90123456">01:02:03 UTC</time>"#);
        assert_eq!(
            moment_exact(at).into_string(),
            r#"<time data-at="90123456" data-exact>01:02:03.4</time>"#
        );
        assert_eq!(seconds(Duration::from_secs(59)), "59 s");
        assert_eq!(seconds(Duration::from_secs(3601)), "60 min 1 s");
    }
}
