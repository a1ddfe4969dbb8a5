//! The sequence: each message as a line with an arrow from one lane to another.

use std::sync::Arc;

use maud::{Markup, html};

use super::app::Demo;
use super::feed::{Field, Lane, Line, Message, Tone};
use super::view::moment_exact;

pub(super) fn messages(demo: &Demo, messages: &[Arc<Message>]) -> Markup {
    html! { @for one in messages { (message(demo, one)) } }
}

fn message(demo: &Demo, message: &Message) -> Markup {
    let provider = message.provider.map(|party| (party.id(), demo.story.title(party)));
    match &message.line {
        Line::Act { title, reference } => html! {
            li class="act" id={ "said-" (message.id) } data-id=(message.id) {
                (rail(&html! {}))
                div class="said" {
                    h3 { (title) }
                    span class="faint" { (reference) }
                }
            }
        },
        Line::Arrow { from, to, name, about, fields, tone, took } => html! {
            li class={ "arrow " (tone_class(*tone)) } data-id=(message.id) {
                (rail(&arrow(*from, *to)))
                div class="said" {
                    p class="meta" {
                        (moment_exact(message.at))
                        span class="way" { (from.name()) " " span aria-hidden="true" { "→" } span class="unseen" { "to" } " " (to.name()) }
                        (chip(provider))
                    }
                    p class="name" {
                        code { (name) }
                        @if let Some(took) = took { span class="faint" { (format!(" after {:.1} ms", took.as_secs_f64() * 1000.0)) } }
                    }
                    @if !about.is_empty() { p { (about) } }
                    @if !fields.is_empty() { (parameters(fields, from < to)) }
                }
            }
        },
        Line::Note { at, text, tone } => html! {
            li class={ "note " (tone_class(*tone)) } data-id=(message.id) {
                (rail(&html! { span class={ "dot l" (at.place()) } {} }))
                div class="said" {
                    p class="meta" {
                        (moment_exact(message.at))
                        span class="way" { (at.name()) }
                        (chip(provider))
                    }
                    p {
                        @match tone {
                            Tone::Survived => { strong { "Survived. " } }
                            Tone::Bad => { span class="unseen" { "Problem: " } }
                            Tone::Plain | Tone::Good | Tone::Warn => {}
                        }
                        (text)
                    }
                }
            }
        },
    }
}

fn chip(provider: Option<(&str, &str)>) -> Markup {
    html! { @if let Some((id, title)) = provider { span class={ "chip " (id) } { (title) } } }
}

/// The four life lines, with what is drawn on them.
fn rail(drawn: &Markup) -> Markup {
    html! {
        div class="rail" aria-hidden="true" {
            @for _ in Lane::ALL { span class="line" {} }
            (drawn)
        }
    }
}

fn arrow(from: Lane, to: Lane) -> Markup {
    let (low, high) = (from.min(to).place(), from.max(to).place());
    let direction = if from < to { "right" } else { "left-arrow" };
    html! { span class={ "shaft l" (low) " s" (high.saturating_sub(low)) " " (direction) } {} }
}

fn parameters(fields: &[Field], is_request: bool) -> Markup {
    let count = match (fields.len(), is_request) {
        (1, true) => "1 parameter".to_owned(),
        (many, true) => format!("{many} parameters"),
        (1, false) => "1 value".to_owned(),
        (many, false) => format!("{many} values"),
    };
    html! {
        details {
            summary { (count) }
            dl class="fields" {
                @for field in fields {
                    div {
                        dt { code { (field.name) } }
                        dd { code { (field.value) } @if !field.about.is_empty() { span { (field.about) } } }
                    }
                }
            }
        }
    }
}

pub(super) const fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Good => "good",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Survived => "survived",
    }
}
