//! What a server's ledger tells, as lines of the sequence.

use authflow_testkit::{Endpoint, Entry, Outcome};
use url::Url;

use super::faults;
use super::feed::{Field, Lane, Line, Tone};
use crate::demo::recorder::masked_path;
use crate::demo::stage::Stage;
use crate::demo::{explain, transcript};
use crate::terminal::{masked_briefly, printable};

/// The lines of an entry. Requests of the browser are told from here only; those of the application it has told itself, and the
/// ledger adds what the server did.
pub(super) fn lines(entry: &Entry, stage: &Stage) -> Vec<Line> {
    let mut lines = match entry.endpoint() {
        Endpoint::Authorization => asked(entry),
        Endpoint::Consent => decided(entry),
        // The browser's wish for an icon.
        Endpoint::Other => Vec::new(),
        endpoint => vec![acted(entry, if endpoint == Endpoint::Resource { Lane::Api } else { Lane::Server })],
    };
    if let Some(fault) = entry.fault() {
        let at = if entry.endpoint() == Endpoint::Resource { Lane::Api } else { Lane::Server };
        let text = format!("The fault {fault} shows: {}.", faults::about(fault, stage));
        lines.push(Line::Note { at, text, tone: Tone::Bad });
    }
    lines
}

/// The authorization request, as it arrived.
fn asked(entry: &Entry) -> Vec<Line> {
    let fields = entry.query().iter().map(|(name, value)| Field {
        name: printable(name),
        value: shown(name, value),
        about: explain::authorization(name),
    });
    let about = match entry.outcome() {
        Outcome::Refused { .. } => {
            "The browser brings the application's question, and the server does not like it."
        }
        _ => "The browser brings the application's question. The password stays between user and server.",
    };
    let request = Line::Arrow {
        from: Lane::Browser,
        to: Lane::Server,
        name: format!("{} {}", entry.method(), masked_path(entry.path())),
        about: about.to_owned(),
        fields: fields.collect(),
        tone: Tone::Plain,
        took: None,
    };
    vec![request, answered(entry)]
}

/// The user's decision.
fn decided(entry: &Entry) -> Vec<Line> {
    let decision = entry.form_value("decision").map(printable);
    let about = match decision.as_deref() {
        Some("approve") => "The user approves, on the server's own page.",
        Some("deny") => "The user denies, on the server's own page.",
        _ => "The user answers the consent page.",
    };
    let fields = decision.map(|value| Field {
        name: "decision".to_owned(),
        value,
        about: "which button the user pressed",
    });
    let request = Line::Arrow {
        from: Lane::Browser,
        to: Lane::Server,
        name: format!("{} {}", entry.method(), masked_path(entry.path())),
        about: about.to_owned(),
        fields: fields.into_iter().collect(),
        tone: Tone::Plain,
        took: None,
    };
    vec![request, answered(entry)]
}

/// What the browser got.
fn answered(entry: &Entry) -> Line {
    let status = entry.status();
    let (what, about, tone) = match entry.outcome() {
        Outcome::ConsentShown => (
            "consent page".to_owned(),
            "The server asks the user. The application does not see this page.",
            Tone::Plain,
        ),
        Outcome::CodeIssued => (
            "back to the application, with a code".to_owned(),
            "Approved. The code is no token yet: it is good once, for a minute, and only with the verifier.",
            Tone::Good,
        ),
        Outcome::Denied => (
            "back to the application, with error=access_denied".to_owned(),
            "Denied. There is no code, and the application is told why.",
            Tone::Bad,
        ),
        other => (transcript::outcome(other), "The server does not go on.", Tone::Bad),
    };
    Line::Arrow {
        from: Lane::Server,
        to: Lane::Browser,
        name: format!("{status} {what}"),
        about: about.to_owned(),
        fields: Vec::new(),
        tone,
        took: None,
    }
}

/// What the server did with a request of the application.
fn acted(entry: &Entry, at: Lane) -> Line {
    let who = if at == Lane::Api { "The API" } else { "The server" };
    let mut text = format!("{who} records: {}", transcript::outcome(entry.outcome()));
    let who: Vec<String> = [("client", entry.client()), ("user", entry.subject())]
        .into_iter()
        .filter_map(|(what, who)| Some(format!("{what} {}", printable(who?))))
        .collect();
    if !who.is_empty() {
        text.push_str(&format!(" ({})", who.join(", ")));
    }
    let issued: Vec<&str> = entry.issued().iter().map(|issued| transcript::kind(issued.kind())).collect();
    if !issued.is_empty() {
        text.push_str(&format!("; issued {}", issued.join(" and ")));
    }
    text.push('.');
    let tone = match entry.outcome() {
        Outcome::Refused { .. } | Outcome::RefreshReused | Outcome::CodeReused | Outcome::Faulted => {
            Tone::Bad
        }
        _ => Tone::Plain,
    };
    Line::Note { at, text, tone }
}

/// A parameter of the authorization request or the callback as it may be seen. The state is not for others while it waits for its
/// callback.
pub(super) fn shown(name: &str, value: &str) -> String {
    match name {
        "state" | "nonce" => masked_briefly(value),
        "redirect_uri" => redirect_uri(value),
        _ => crate::demo::recorder::shown(name, value),
    }
}

/// The same where the server is not the demo's own: what is not known to be harmless may be called anything there.
pub(super) fn shown_of_a_stranger(name: &str, value: &str) -> String {
    const OPEN: [&str; 14] = [
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "error",
        "error_description",
        "error_uri",
        "grant_type",
        "iss",
        "prompt",
        "redirect_uri",
        "response_mode",
        "response_type",
        "scope",
        "token_type_hint",
    ];
    if OPEN.contains(&name) { shown(name, value) } else { masked_briefly(value) }
}

fn redirect_uri(value: &str) -> String {
    // It is the application's own; what somebody else put there need not be shown whole.
    let Ok(url) = Url::parse(value) else { return masked_briefly(value) };
    format!("{}{}", url.origin().ascii_serialization(), masked_path(url.path()))
}

#[cfg(test)]
mod tests {
    use super::shown_of_a_stranger;

    #[test]
    fn h1_a_parameter_of_another_server_is_masked_unless_it_is_known_to_be_harmless() {
        const SECRET: &str = "2YotnFZFEjr1zCsicMWpAA-2YotnFZFEjr1zCsicMWpAA";
        for name in ["code", "state", "client_secret", "app_secret", "login_hint", "assertion", "", "Scope"] {
            assert_eq!(shown_of_a_stranger(name, SECRET), "2YotnF****", "{name}");
        }
        assert_eq!(shown_of_a_stranger("grant_type", "authorization_code"), "authorization_code");
        let redirect_uri = format!("http://127.0.0.1:7/{SECRET}?code={SECRET}");
        assert!(!shown_of_a_stranger("redirect_uri", &redirect_uri).contains(SECRET));
    }
}
