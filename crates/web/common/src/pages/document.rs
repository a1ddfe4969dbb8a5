//! What all pages are made of: the document, filled-in texts, forms.

use std::time::SystemTime;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::clean::{path, shown};
use super::moment::Moment;
use super::texts::Texts;
use super::{DefaultPages, RETURN_TO_FIELD, TOKEN_FIELD};

/// What is filled into a text.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// A stranger's text.
    Name(&'a str),
    Count(u64),
    Time(SystemTime),
}

/// What is filled in, by the name that stands in braces.
pub(super) type Values<'a> = &'a [(&'static str, Value<'a>)];

pub(super) const NO_VALUES: Values<'static> = &[];

/// A piece of a text.
enum Piece<'t, 'v> {
    Plain(&'t str),
    Value(Value<'v>),
}

/// Cuts a text at what is filled in. Braces around anything else are left as they stand.
fn pieces<'t, 'v>(mut text: &'t str, values: Values<'v>) -> Vec<Piece<'t, 'v>> {
    let mut pieces = Vec::new();
    let mut plain = text;
    let mut seen = 0;
    while let Some((before, after)) = text.split_once('{') {
        let found = after.split_once('}').and_then(|(name, rest)| {
            let value = values.iter().find(|(known, _)| *known == name)?;
            Some((value.1, rest))
        });
        match found {
            Some((value, rest)) => {
                pieces.push(Piece::Plain(plain.get(..seen + before.len()).unwrap_or_default()));
                pieces.push(Piece::Value(value));
                (text, plain, seen) = (rest, rest, 0);
            }
            None => {
                seen += before.len() + 1;
                text = after;
            }
        }
    }
    pieces.push(Piece::Plain(plain));
    pieces
}

impl Texts {
    /// The text, filled in: a name keeps its direction of writing to itself, a time can be read by machines.
    pub(super) fn fill(&self, text: &str, values: Values<'_>) -> Markup {
        html! {
            @for piece in pieces(text, values) {
                @match piece {
                    Piece::Plain(text) => (text),
                    Piece::Value(Value::Name(name)) => (isolated(name)),
                    Piece::Value(Value::Count(count)) => (count),
                    Piece::Value(Value::Time(time)) => (self.time(time)),
                }
            }
        }
    }

    /// The text, filled in, where no markup can stand.
    pub(super) fn fill_plain(&self, text: &str, values: Values<'_>) -> String {
        let plain = |piece| match piece {
            Piece::Plain(text) => text.to_owned(),
            Piece::Value(Value::Name(name)) => shown(name).into_owned(),
            Piece::Value(Value::Count(count)) => count.to_string(),
            Piece::Value(Value::Time(time)) => self.written(Moment::of(time)),
        };
        pieces(text, values).into_iter().map(plain).collect()
    }

    /// A time.
    pub(super) fn time(&self, time: SystemTime) -> Markup {
        let moment = Moment::of(time);
        html! {
            @match moment.machine() {
                Some(machine) => time datetime=(machine) { (self.written(moment)) },
                None => (self.written(moment)),
            }
        }
    }

    fn written(&self, moment: Moment) -> String {
        let month = usize::from(moment.month).checked_sub(1).and_then(|index| self.months.get(index));
        self.date_time
            .replace("{day}", &moment.day.to_string())
            .replace("{month}", month.map_or("", |name| name))
            .replace("{year}", &moment.year.to_string())
            .replace("{time}", &moment.time())
    }
}

/// A stranger's text, with its direction of writing to itself.
pub(super) fn isolated(name: &str) -> Markup {
    html! { bdi { (shown(name)) } }
}

/// A document.
pub(super) struct Document<'a> {
    pub(super) title: String,
    pub(super) refresh: Option<&'a str>,
    pub(super) wide: bool,
    pub(super) main: Markup,
}

impl DefaultPages {
    pub(super) fn document(&self, document: &Document<'_>) -> String {
        let texts = &self.texts;
        let page = html! {
            (DOCTYPE)
            html lang=(texts.lang) dir=(if texts.right_to_left { "rtl" } else { "ltr" }) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    @if let Some(to) = document.refresh {
                        meta http-equiv="refresh" content={ "0;url=" (path(to)) };
                    }
                    title {
                        (document.title)
                        @if let Some((name, _)) = &self.application { " · " (shown(name)) }
                    }
                    style { (PreEscaped(&*self.style)) }
                }
                body {
                    @if let Some((name, home)) = &self.application {
                        header { a href=(path(home)) { (isolated(name)) } }
                    }
                    main class=[document.wide.then_some("wide")] { (document.main) }
                }
            }
        };
        page.into_string()
    }
}

/// How a button looks.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// What the page is for.
    Primary,
    /// What can be done as well.
    Plain,
    /// What ends something.
    Ending,
}

/// A form that is one button.
pub(super) struct Button<'a> {
    pub(super) action: &'a str,
    pub(super) token: Option<&'a str>,
    pub(super) return_to: Option<&'a str>,
    /// One more hidden field.
    pub(super) field: Option<(&'static str, &'a str)>,
    pub(super) look: Look,
    pub(super) label: Markup,
}

impl<'a> Button<'a> {
    pub(super) fn new(action: &'a str, token: Option<&'a str>, look: Look, label: Markup) -> Self {
        Self { action, token, return_to: None, field: None, look, label }
    }

    pub(super) fn return_to(mut self, return_to: Option<&'a str>) -> Self {
        self.return_to = return_to;
        self
    }

    pub(super) fn field(mut self, name: &'static str, value: &'a str) -> Self {
        self.field = Some((name, value));
        self
    }

    pub(super) fn render(self) -> Markup {
        let class = match self.look {
            Look::Primary => "button primary",
            Look::Plain => "button",
            Look::Ending => "button ending",
        };
        html! {
            form method="post" action=(path(self.action)) autocomplete="off" {
                @if let Some(token) = self.token { input type="hidden" name=(TOKEN_FIELD) value=(token); }
                @if let Some(return_to) = self.return_to {
                    input type="hidden" name=(RETURN_TO_FIELD) value=(return_to);
                }
                @if let Some((name, value)) = self.field { input type="hidden" name=(name) value=(value); }
                button type="submit" class=(class) { (self.label) }
            }
        }
    }
}

/// What a listener needs to tell buttons of the same label apart; it is not seen.
pub(super) fn heard_only(content: &Markup) -> Markup {
    html! { span.heard { " " (content) } }
}

/// The link that the page is for: it looks like a button.
pub(super) fn main_link(to: &str, label: &str) -> Markup {
    html! { a href=(path(to)) class="button primary" { (label) } }
}

/// The way back: a link that looks like one, since nothing is done by it.
pub(super) fn way_back(to: &str, label: &str) -> Markup {
    html! { a href=(path(to)) class="back" { (label) } }
}

/// The pictures beside a word. They say nothing that the word does not say.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    Good,
    Waiting,
    Attention,
}

impl Sign {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Waiting => "waiting",
            Self::Attention => "attention",
        }
    }

    pub(super) fn render(self) -> Markup {
        html! {
            svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false" {
                @match self {
                    Self::Good => path d="M3.5 8.5l3 3 6-7" {},
                    Self::Waiting => path d="M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z" {},
                    Self::Attention => path d="M8 5.5v3.5M8 11.4v.1M8 1.8l6.6 12.2H1.4z" {},
                }
            }
        }
    }
}
