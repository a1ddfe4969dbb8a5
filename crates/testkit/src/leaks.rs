//! Looks for planted secrets where none may be.

#[cfg(feature = "tracing")]
mod capture;
mod forms;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(feature = "tracing")]
pub use self::capture::LogCapture;
use self::forms::Forms;
pub use self::forms::LeakForm;
use crate::server::Ledger;

/// Knows the secrets of a test and looks for them in whatever the code under test wrote: logs, errors, pages, `Debug`.
///
/// A secret is found as it is, percent-encoded, in base64 (alone or inside a longer text, such as `Basic` credentials), in
/// hexadecimal, with escapes, and as the list of numbers that `Debug` makes of bytes. A clone is a handle to the same
/// detector.
///
/// ```
/// use authflow_testkit::{LeakDetector, LeakForm};
///
/// let leaks = LeakDetector::new();
/// leaks.plant("access token", "planted/access+1");
///
/// leaks.scan("GET /me 200");
/// leaks.assert_clean();
///
/// let found = leaks.scan("GET /me?token=planted%2Faccess%2B1 200");
/// assert_eq!(found[0].form(), LeakForm::PercentEncoded);
/// assert_eq!(found[0].to_string(), "access token, percent-encoded, in line 1");
/// ```
#[derive(Clone, Default)]
pub struct LeakDetector(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    planted: Vec<(Arc<str>, Forms)>,
    found: Vec<Leak>,
    scanned: usize,
}

/// The fewest bytes of a secret that can be told from chance.
const MIN_SECRET: usize = 8;

impl LeakDetector {
    /// A detector that knows no secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers a secret under a name that may be shown. The same secret may be planted again.
    ///
    /// # Panics
    ///
    /// If the secret has fewer than 8 bytes: it would be found by chance, or its encoded forms would be missed.
    #[track_caller]
    pub fn plant(&self, label: &str, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        assert!(
            secret.len() >= MIN_SECRET,
            "the planted {label} has fewer than {MIN_SECRET} bytes: take a longer one"
        );
        let mut state = self.state();
        if !state.planted.iter().any(|(_, forms)| forms.is_of(secret)) {
            state.planted.push((label.into(), Forms::new(secret)));
        }
    }

    /// Remembers what a server gave out and what it was sent in return: codes, tokens, verifiers.
    pub fn plant_all_of(&self, ledger: &Ledger) {
        for entry in ledger.entries() {
            for issued in entry.issued() {
                self.plant("an issued secret", issued.value());
            }
            for name in ["code", "code_verifier", "refresh_token"] {
                if let Some(value) = entry.form_value(name).filter(|value| value.len() >= MIN_SECRET) {
                    self.plant(name, value);
                }
            }
        }
    }

    /// Looks through `text`, remembers what it finds for [`assert_clean`](Self::assert_clean), and returns it.
    pub fn scan(&self, text: impl AsRef<[u8]>) -> Vec<Leak> {
        self.scan_named("", text)
    }

    /// The same, and says in each [`Leak`] where the text came from.
    pub fn scan_named(&self, place: &str, text: impl AsRef<[u8]>) -> Vec<Leak> {
        let text = forms::Text::new(text.as_ref());
        let mut state = self.state();
        state.scanned = state.scanned.saturating_add(1);
        let mut found = Vec::new();
        for (label, forms) in &state.planted {
            for (form, line) in forms.find(&text) {
                found.push(Leak { label: Arc::clone(label), form, line, place: place.into() });
            }
        }
        state.found.extend(found.iter().cloned());
        found
    }

    /// Looks through an error: its `Display`, its `Debug`, and those of all its sources.
    pub fn scan_error(&self, place: &str, error: &(dyn std::error::Error + 'static)) -> Vec<Leak> {
        let mut text = format!("{error:?}");
        let mut next = Some(error);
        while let Some(error) = next {
            text.push_str(&format!("\n{error}\n{error:?}"));
            next = error.source();
        }
        self.scan_named(place, text)
    }

    /// Everything that was found so far.
    #[must_use]
    pub fn found(&self) -> Vec<Leak> {
        self.state().found.clone()
    }

    /// Fails the test if anything was found so far.
    ///
    /// # Panics
    ///
    /// If a secret was found; also if nothing was planted or nothing was looked through, for that proves nothing.
    #[track_caller]
    pub fn assert_clean(&self) {
        let state = self.state();
        assert!(!state.planted.is_empty(), "no secret was planted, so that none can be found");
        assert!(state.scanned > 0, "nothing was looked through for secrets");
        let found: Vec<_> = state.found.iter().map(|leak| format!("\n  {leak}")).collect();
        assert!(found.is_empty(), "secrets were shown:{}", found.concat());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LeakDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let labels: Vec<_> = state.planted.iter().map(|(label, _)| label).collect();
        f.debug_struct("LeakDetector").field("planted", &labels).field("found", &state.found).finish()
    }
}

/// A secret where none may be. It tells which and where, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    label: Arc<str>,
    form: LeakForm,
    line: usize,
    place: Arc<str>,
}

impl Leak {
    /// The name under which the secret was planted.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How it was written.
    #[must_use]
    pub const fn form(&self) -> LeakForm {
        self.form
    }

    /// The line of the text, counted from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Where the text came from; empty if [`LeakDetector::scan`] was not told.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, in line {}", self.label, self.form, self.line)?;
        if self.place.is_empty() { Ok(()) } else { write!(f, " of {}", self.place) }
    }
}
