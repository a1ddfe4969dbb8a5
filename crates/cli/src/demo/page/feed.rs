//! What was said: the messages of the sequence, in order, for whoever looks on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use authflow::{Clock as _, SystemClock};
use tokio::sync::watch;

use super::party::Party;
use crate::terminal::shortened;

/// The most messages that are kept: a page that is left alone for a night must not grow. The servers' ledgers do, in this process:
/// they have an entry for each request for as long as the demo runs.
const MOST: usize = 240;

/// The most fields of a message. Whoever can make a browser send a request decides how many it has, and how long they are.
const MOST_FIELDS: usize = 24;

/// The longest name and value, in characters.
const LONGEST_NAME: usize = 60;
const LONGEST_VALUE: usize = 160;

/// Who takes part, from the left to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Browser,
    Application,
    Server,
    Api,
}

impl Lane {
    pub(super) const ALL: [Self; 4] = [Self::Browser, Self::Application, Self::Server, Self::Api];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Browser => "Browser",
            Self::Application => "Application",
            Self::Server => "Authorization server",
            Self::Api => "API",
        }
    }

    pub(super) const fn place(self) -> u8 {
        match self {
            Self::Browser => 0,
            Self::Application => 1,
            Self::Server => 2,
            Self::Api => 3,
        }
    }
}

/// How something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    /// It went wrong, and nobody is without a token for it.
    Warn,
    Bad,
    /// It failed, and was withstood.
    Survived,
}

/// A parameter, a header or a member of a reply, fit to be seen.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) about: &'static str,
}

/// One line of the sequence. Nothing in it is a secret.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// Something begins.
    Act { title: String, reference: &'static str },
    /// Something is sent.
    Arrow {
        from: Lane,
        to: Lane,
        name: String,
        about: String,
        fields: Vec<Field>,
        tone: Tone,
        took: Option<Duration>,
    },
    /// Something happens at one of them.
    Note { at: Lane, text: String, tone: Tone },
}

impl Line {
    /// Leaves so much as a message may hold.
    fn cap(&mut self) {
        let Self::Arrow { name, fields, .. } = self else { return };
        *name = shortened(name, LONGEST_VALUE);
        if fields.len() > MOST_FIELDS {
            let more = fields.split_off(MOST_FIELDS.saturating_sub(1)).len();
            fields.shrink_to_fit();
            fields.push(Field { name: "...".to_owned(), value: format!("{more} more"), about: "not shown" });
        }
        for field in fields {
            field.name = shortened(&field.name, LONGEST_NAME);
            field.value = shortened(&field.value, LONGEST_VALUE);
        }
    }
}

#[derive(Debug)]
pub(super) struct Message {
    /// Grows; not without gaps.
    pub(super) id: u64,
    pub(super) at: SystemTime,
    pub(super) provider: Option<Party>,
    pub(super) line: Line,
}

/// The messages, and a revision that grows with everything that a page may show.
#[derive(Debug)]
pub(super) struct Feed {
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Arc<Message>>,
    revision: u64,
    /// The revision at which it was emptied last.
    cleared: u64,
}

/// What came after a revision.
#[derive(Debug)]
pub(super) struct News {
    pub(super) revision: u64,
    /// Whether what was shown before is to go.
    pub(super) afresh: bool,
    pub(super) messages: Vec<Arc<Message>>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { inner: Mutex::default(), revision: watch::Sender::new(0) }
    }

    pub(super) fn push(&self, provider: Option<Party>, mut line: Line) {
        line.cap();
        self.change(|inner, id| {
            let message = Message { id, at: SystemClock::new().now(), provider, line };
            inner.messages.push_back(Arc::new(message));
            if inner.messages.len() > MOST {
                inner.messages.pop_front();
            }
        });
    }

    /// Something beside the messages has changed.
    pub(super) fn touch(&self) {
        self.change(|_, _| {});
    }

    /// The last that the application had to say about a provider.
    pub(super) fn last_note(&self, provider: Party) -> Option<Arc<Message>> {
        let inner = self.lock();
        let is_note = |message: &&Arc<Message>| {
            message.provider == Some(provider)
                && matches!(message.line, Line::Note { at: Lane::Application, .. })
        };
        inner.messages.iter().rev().find(is_note).cloned()
    }

    /// The provider that something was said of last.
    pub(super) fn last_provider(&self) -> Option<Party> {
        self.lock().messages.iter().rev().find_map(|message| message.provider)
    }

    pub(super) fn clear(&self) {
        self.change(|inner, revision| {
            inner.messages.clear();
            inner.cleared = revision;
        });
    }

    /// What came after `revision`. One that is not from here counts as the beginning.
    pub(super) fn since(&self, revision: u64) -> News {
        let inner = self.lock();
        let afresh = revision < inner.cleared || revision > inner.revision;
        let after = if afresh { 0 } else { revision };
        let messages = inner.messages.iter().filter(|message| message.id > after).cloned().collect();
        News { revision: inner.revision, afresh, messages }
    }

    /// Returns when there is something after `revision`, or it is not one of here.
    pub(super) async fn wait_beyond(&self, revision: u64) {
        let mut current = self.revision.subscribe();
        // It fails only when the sender is gone, and that is ours.
        let _ = current.wait_for(|current| *current != revision).await;
    }

    fn change(&self, change: impl FnOnce(&mut Inner, u64)) {
        let mut inner = self.lock();
        let revision = inner.revision.saturating_add(1);
        inner.revision = revision;
        change(&mut inner, revision);
        self.revision.send_replace(revision);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Feed, Lane, Line, MOST, Tone};

    fn note(feed: &Feed, text: &str) {
        feed.push(None, Line::Note { at: Lane::Browser, text: text.to_owned(), tone: Tone::Plain });
    }

    #[tokio::test]
    async fn only_what_is_new_is_told() {
        let feed = Feed::new();
        note(&feed, "one");
        let first = feed.since(0);
        assert_eq!((first.messages.len(), first.afresh), (1, false));
        assert!(feed.since(first.revision).messages.is_empty());
        note(&feed, "two");
        feed.wait_beyond(first.revision).await;
        assert_eq!(feed.since(first.revision).messages.len(), 1);
        feed.touch();
        let touched = feed.since(first.revision);
        assert_eq!(touched.messages.len(), 1);
        assert!(touched.revision > first.revision + 1);
    }

    #[test]
    fn what_was_cleared_goes_from_the_page_too() {
        let feed = Feed::new();
        note(&feed, "one");
        let before = feed.since(0).revision;
        feed.clear();
        note(&feed, "two");
        let news = feed.since(before);
        assert!(news.afresh);
        assert_eq!(news.messages.len(), 1);
        assert!(!feed.since(news.revision).afresh);
        assert!(feed.since(news.revision + 9).afresh, "a page of another process begins again");
    }

    #[test]
    fn it_does_not_grow_for_ever() {
        let feed = Feed::new();
        for _ in 0..MOST + 10 {
            note(&feed, "again");
        }
        assert_eq!(feed.since(0).messages.len(), MOST);
    }
}
