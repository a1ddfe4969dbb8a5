//! `authflow status`.

use std::time::{Duration, SystemTime};

use authflow::{Clock as _, Connection, Expiry, Health, ReconnectReason, SystemClock};
use serde_json::{Value, json};

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::kept::{For, Kept};
use crate::output::{ascii, epoch_seconds, rough};
use crate::progress::telling;
use crate::terminal::{note, printable, result, shortened};

/// What is kept under one name.
struct Row {
    name: String,
    provider: Option<String>,
    health: &'static str,
    reason: Option<&'static str>,
    connection: Option<Connection>,
}

pub(crate) async fn run(args: &StatusArgs) -> Result<(), Failure> {
    let kept = Kept::open(&args.store, For::Use).await?;
    let mut rows = Vec::new();
    let incomplete = || Failure::local("not all that is kept can be read; nothing of it was changed");
    let mut unreadable = None;
    let known = kept.all_names().await?;
    known.tell_damaged();
    if known.damaged > 0 {
        unreadable = Some(incomplete());
    }
    let total = known.names.len();
    for (at, name) in known.names.into_iter().enumerate() {
        let reading = format!("Reading what is kept: {at} of {total} names are done.");
        match telling(&reading, row(&kept, &name)).await {
            Ok(row) => rows.push(row),
            Err(failure) => {
                note(format_args!("{}:", printable(&name)));
                failure.tell();
                unreadable = Some(incomplete());
                rows.push(Row { name, provider: None, health: "unreadable", reason: None, connection: None });
            }
        }
    }
    let now = SystemClock::new().now();
    if args.json {
        let connections: Vec<Value> = rows.iter().map(Row::json).collect();
        result(ascii(&json!({ "connections": connections }).to_string()))?;
    } else {
        if rows.is_empty() && unreadable.is_none() {
            note("Nothing is kept. `authflow login` connects to a provider, and keeps the connection.");
        }
        for line in table(&rows, now) {
            result(line)?;
        }
        for row in rows.iter().filter(|row| matches!(row.health, "needs_reconnect" | "not_connected")) {
            note(format_args!(
                "{}: connect again: {}",
                printable(&row.name),
                kept.command("login --name", &row.name)
            ));
        }
    }
    unreadable.map_or(Ok(()), Err)
}

async fn row(kept: &Kept, name: &str) -> Result<Row, Failure> {
    let profile = kept.profile(name).await?;
    let connections = kept.connections(&profile)?;
    let listing = connections.list(&Kept::owner(name)).await?;
    if listing.unreadable > 0 {
        return Err(Failure::local(
            "the connection cannot be read: it is damaged, or sealed with a key that is not at hand; it is left as it is",
        ));
    }
    let key = profile.key();
    let connection = listing.connections.into_iter().find(|connection| connection.key == key);
    let (health, reason) = match connection.as_ref().map(|connection| connection.health) {
        None => ("not_connected", None),
        Some(Health::Good) => ("good", None),
        Some(Health::InDoubt) => ("in_doubt", None),
        Some(Health::NeedsReconnect { reason, .. }) => ("needs_reconnect", Some(word(reason))),
        Some(_) => ("unknown", None),
    };
    let provider = Some(profile.registration.provider().to_owned());
    Ok(Row { name: name.to_owned(), provider, health, reason, connection })
}

const fn word(reason: ReconnectReason) -> &'static str {
    match reason {
        ReconnectReason::Refused => "refused",
        ReconnectReason::RotationLost => "rotation_lost",
        ReconnectReason::AccountChanged => "account_changed",
        ReconnectReason::Expired => "expired",
        _ => "other",
    }
}

impl Row {
    fn json(&self) -> Value {
        let connection = self.connection.as_ref();
        json!({
            "name": self.name,
            "provider": self.provider,
            "account": connection.and_then(|connection| connection.key.account()),
            "health": self.health,
            "reason": self.reason,
            "connected_at": connection.map(|connection| epoch_seconds(connection.connected_at)),
            "refreshed_at": connection.and_then(|connection| connection.refreshed_at).map(epoch_seconds),
            "expires_at": match connection.map(|connection| connection.expiry) {
                Some(Expiry::At(at)) => Value::from(epoch_seconds(at)),
                Some(Expiry::Never) => Value::from("never"),
                Some(Expiry::Unknown) | None => Value::Null,
            },
            "scope": connection.map(|connection| connection.scopes.join(" ")),
            "paused_until": connection.and_then(|connection| connection.paused_until).map(epoch_seconds),
            "missing_scope": connection.map(|connection| connection.missing_scopes.join(" ")),
        })
    }

    fn cells(&self, now: SystemTime) -> [String; 6] {
        let connection = self.connection.as_ref();
        let health = match (self.health, self.reason) {
            (health, Some(reason)) => format!("{}: {}", health.replace('_', " "), reason.replace('_', " ")),
            (health, None) => health.replace('_', " "),
        };
        let paused = connection.and_then(|connection| connection.paused_until?.duration_since(now).ok());
        let health = match paused {
            Some(left) => format!("{health}, refreshes in {}", rough(left)),
            None => health,
        };
        let ends = match connection.map(|connection| connection.expiry) {
            Some(Expiry::At(at)) => match at.duration_since(now) {
                Ok(left) if left > Duration::ZERO => format!("in {}", rough(left)),
                _ => "over".to_owned(),
            },
            Some(Expiry::Never) => "never".to_owned(),
            Some(Expiry::Unknown) => "unknown".to_owned(),
            None => String::new(),
        };
        let scopes = connection.map(|connection| connection.scopes.join(" ")).unwrap_or_default();
        let account = connection.and_then(|connection| connection.key.account()).unwrap_or_default();
        [
            shortened(&printable(&self.name), 24),
            shortened(&printable(self.provider.as_deref().unwrap_or_default()), 24),
            shortened(&printable(account), 24),
            health,
            ends,
            shortened(&printable(&scopes), 40),
        ]
    }
}

/// The lines of the table, with a head.
fn table(rows: &[Row], now: SystemTime) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let head = ["NAME", "PROVIDER", "ACCOUNT", "HEALTH", "TOKEN ENDS", "SCOPE"].map(str::to_owned);
    let all: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(|row| row.cells(now))).collect();
    let width = |column: usize| {
        all.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    all.iter()
        .map(|cells| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}
