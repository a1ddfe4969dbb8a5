//! The loopback listener that the callback arrives at (RFC 8252 §7.3 and §8.3).
//!
//! It is bound before the authorization URL is built, answers nothing but the one callback, and closes afterwards. The callback
//! is answered with a redirect to a page of this listener, so that code and state do not stay in the browser's address bar.

mod address;
mod connection;
mod outcome;
mod page;
mod request;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use authflow::{Clock as _, SystemClock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

pub(crate) use self::address::{Place, place};
pub use self::outcome::Outcome;
pub use self::request::{Head, Site, read_head};
use crate::failure::Failure;
use crate::room;
use outcome::Owed;
use page::Page;
use request::Refusal;

/// What a callback was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The flow is finished: there are tokens.
    Done,
    /// The user denied.
    Denied,
    /// It was the callback, and the flow failed.
    Failed,
    /// The callback came before.
    AlreadyDone,
    /// It was not the callback. The message is for the terminal, never for the page.
    Stray(String),
}

/// Says what a callback is. The listener has checked host, method and path.
#[async_trait]
pub(crate) trait Judge: Send + Sync + 'static {
    async fn judge(self: Arc<Self>, query: String) -> Verdict;
}

/// So many times [`Limits::connections`] may be open where all are being answered.
const ANSWERING: usize = 8;

/// So many connections may be silent at once, where the process may open as many files.
const CROWD: usize = 64;

/// What the listener bears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the head of a request to arrive, and again for the answer to leave.
    pub(crate) time: Duration,
    /// Connections at once that have not said all yet.
    pub(crate) connections: usize,
    /// Connections in all, after which the wait is given up.
    pub(crate) hits: usize,
    /// How long the end waits for a browser that was sent to the result and has not asked for it.
    pub(crate) follow: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // Longer than a busy machine holds up a browser, which does not come a second time. Who follows no redirects waits for
        // it once, and has what was asked for before.
        let (time, follow) = (Duration::from_secs(30), Duration::from_secs(15));
        // A crowd that says nothing does not take the files that the exchange needs.
        let connections = (room::files(2 * CROWD) / 2).max(1);
        Self { time, connections, hits: 20_000, follow }
    }
}

/// A listener that is bound and does not answer yet.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<TcpListener>,
    site: Site,
    redirect_uri: String,
}

/// A listener that answers until it is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    loops: Vec<AbortHandle>,
    answering: mpsc::Receiver<()>,
    exhausted: watch::Receiver<bool>,
    owed: watch::Receiver<usize>,
    follow: Duration,
}

impl Listener {
    /// Binds the address of a redirect URI. Port 0 stands for a free one.
    pub(crate) fn bind(place: &Place) -> Result<Self, Failure> {
        let sockets = place.bind()?;
        let port = match sockets.first().map(TcpListener::local_addr) {
            Some(Ok(address)) => address.port(),
            Some(Err(error)) => return Err(Failure::io("the listener has no address", error)),
            None => return Err(Failure::local("there is no address to listen at")),
        };
        let (site, redirect_uri) = place.at_port(port);
        Ok(Self { sockets, site, redirect_uri })
    }

    /// The redirect URI, with the port that was bound.
    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Begins to answer.
    pub(crate) fn serve(self, judge: Arc<dyn Judge>, limits: Limits) -> Serving {
        let (answer_guard, answering) = mpsc::channel(1);
        let (give_up, exhausted) = watch::channel(false);
        let owed = Owed::new();
        let watched = owed.watch();
        let shared =
            Arc::new(Shared { site: self.site, judge, limits, hits: AtomicUsize::new(0), give_up, owed });
        let loops = self
            .sockets
            .into_iter()
            .map(|socket| {
                tokio::spawn(accept(socket, Arc::clone(&shared), answer_guard.clone())).abort_handle()
            })
            .collect();
        Serving { loops, answering, exhausted, owed: watched, follow: limits.follow }
    }
}

impl Serving {
    /// Returns once more requests came than any accident explains.
    pub(crate) async fn exhausted(&self) {
        let mut exhausted = self.exhausted.clone();
        if exhausted.wait_for(|over| *over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets a browser that was sent to its result ask for it, stops accepting, lets the answers that are under way leave, and
    /// closes.
    pub(crate) async fn close(mut self) {
        const PATIENCE: Duration = Duration::from_secs(2);
        // One that never asks has closed its window, or follows no redirects.
        let _ = timeout(self.follow, self.owed.wait_for(|owed| *owed == 0)).await;
        for accepting in &self.loops {
            accepting.abort();
        }
        // Ends when the last connection that has an answer to give drops its guard.
        let _ = timeout(PATIENCE, self.answering.recv()).await;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        for accepting in &self.loops {
            accepting.abort();
        }
    }
}

struct Shared {
    site: Site,
    judge: Arc<dyn Judge>,
    limits: Limits,
    hits: AtomicUsize,
    give_up: watch::Sender<bool>,
    owed: Owed,
}

/// A connection that may still be closed to make room.
struct Open {
    handle: AbortHandle,
    is_answering: Arc<AtomicBool>,
}

async fn accept(socket: TcpListener, shared: Arc<Shared>, answer_guard: mpsc::Sender<()>) {
    // Tasks in the set end with it; those that answer are detached, so that an answer outlives the listener.
    let mut reading = JoinSet::new();
    let mut open: VecDeque<Open> = VecDeque::new();
    let seats = Arc::new(Semaphore::new(shared.limits.connections));
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = reading.join_next() => continue,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file descriptors, or the peer is gone: not this listener's end.
                SystemClock::new().sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if shared.hits.fetch_add(1, Ordering::Relaxed) >= shared.limits.hits {
            shared.give_up.send_replace(true);
            return;
        }
        open.retain(|connection| !connection.handle.is_finished());
        if open.len() >= shared.limits.connections.saturating_mul(ANSWERING) {
            continue;
        }
        let Some(seat) = seat(&seats, &mut open).await else { return };
        let is_answering = Arc::new(AtomicBool::new(false));
        let task = handle(stream, Arc::clone(&shared), Arc::clone(&is_answering), seat, answer_guard.clone());
        open.push_back(Open { handle: reading.spawn(task), is_answering });
    }
}

/// A seat among those who have not said all yet. A crowd that talks frees seats at once; from one that is silent the older
/// half is sent away, and the newest, which may be the browser, sits down.
async fn seat(seats: &Arc<Semaphore>, open: &mut VecDeque<Open>) -> Option<OwnedSemaphorePermit> {
    const PATIENCE: Duration = Duration::from_millis(50);
    loop {
        match timeout(PATIENCE, Arc::clone(seats).acquire_owned()).await {
            Ok(seat) => return seat.ok(),
            Err(_) => {
                let silent = |connection: &&Open| !connection.is_answering.load(Ordering::SeqCst);
                let half = open.iter().filter(silent).count().div_ceil(2);
                for connection in open.iter().filter(silent).take(half) {
                    connection.handle.abort();
                }
            }
        }
    }
}

/// Reads the head here, where it can be cut off, and answers in a task of its own, which cannot.
async fn handle(
    mut stream: TcpStream,
    shared: Arc<Shared>,
    is_answering: Arc<AtomicBool>,
    seat: OwnedSemaphorePermit,
    answer_guard: mpsc::Sender<()>,
) {
    let Some(head) = connection::read(&mut stream, &shared.site, shared.limits.time).await else { return };
    is_answering.store(true, Ordering::SeqCst);
    drop(seat);
    let answer = tokio::spawn(async move {
        match head {
            Head::Callback(query) => shared.answer_callback(&mut stream, query).await,
            Head::Result(outcome) if shared.owed.is_promised(outcome) => {
                connection::write(&mut stream, &Page::Result(outcome).response(), shared.limits.time).await;
                shared.owed.pay();
            }
            Head::Result(_) => shared.refuse(&mut stream, Refusal::NotFound).await,
            Head::Refused(refusal) => shared.refuse(&mut stream, refusal).await,
        }
        drop(answer_guard);
    });
    let _ = answer.await;
}

impl Shared {
    async fn answer_callback(&self, stream: &mut TcpStream, query: String) {
        let mut debt = self.owed.begin();
        let response = match Outcome::of(&Arc::clone(&self.judge).judge(query).await) {
            None => Page::Stray.response(),
            // Where the redirect URI itself is that address, it would be taken for a callback.
            Some(outcome) if Outcome::at(&self.site.path).is_some() => Page::Result(outcome).response(),
            Some(outcome) => {
                debt.promise(outcome);
                page::redirect(outcome)
            }
        };
        if !connection::write(stream, &response, self.limits.time).await {
            debt.release();
        }
    }

    async fn refuse(&self, stream: &mut TcpStream, refusal: Refusal) {
        connection::write(stream, &Page::Refused(refusal).response(), self.limits.time).await;
    }
}

#[cfg(test)]
mod tests;
