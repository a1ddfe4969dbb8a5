//! Keys whose parts look alike.

use std::collections::{HashMap, HashSet};

use authflow_core::{
    ConnectionKey, LeaseOutcome, LeaseRequest, Record, Remove, RemoveOutcome, TokenStore, User,
};

use super::fixture::{LONG, Names, TokenStoreFixture, connect, holder, lease, record};
use super::listing::list;
use crate::conformance::{Failure, Outcome, Verdict, ensure, succeed};

/// Two texts that something takes for one: a collation, a file system, a string that ends at its NUL, a column too short.
struct Pair {
    /// What the second has, and the first has not.
    with: &'static str,
    texts: [String; 2],
    /// The same for a provider's id, which is 1 to 128 visible characters of ASCII.
    providers: [String; 2],
}

/// F25, F26: whatever the parts are in which two keys look alike, one alone or several, they are different connections: each
/// has its own bytes, its own lease, its own place in the list of its own user, and is removed alone.
pub async fn f26_lookalikes_in_each_part_do_not_mix<S: TokenStore>(fixture: TokenStoreFixture<S>) -> Outcome {
    let (store, other, names) = (fixture.store(), fixture.other(), Names::new()?);
    let keys = lookalikes(&names);
    let bytes = |n: usize| n.to_string().into_bytes();
    for (n, (key, _)) in keys.iter().enumerate() {
        connect(store, key, &bytes(n)).await?;
    }
    let holders = keys.iter().map(|_| holder()).collect::<Result<Vec<_>, _>>()?;
    for (n, ((key, label), holder)) in keys.iter().zip(&holders).enumerate() {
        match lease(other, key, LeaseRequest::new(*holder, LONG)).await? {
            LeaseOutcome::Leased { record, .. } => own(&record, key, &bytes(n), label)?,
            outcome => {
                return Err(Failure::new(format!(
                    "while lookalikes of it are leased, {label} is leased with {outcome:?}"
                )));
            }
        }
    }
    for (n, ((key, label), holder)) in keys.iter().zip(&holders).enumerate() {
        let found = record(store, key).await?;
        own(&found, key, &bytes(n), label)?;
        let leased = found.lease.map(|lease| lease.holder);
        ensure!(leased == Some(*holder), "{label} has the lease of another");
    }
    for user in keys.iter().map(|(key, _)| key.user()).collect::<HashSet<_>>() {
        let own_keys = keys.iter().enumerate().filter(|(_, (key, _))| key.user() == user);
        let mut left: HashMap<_, _> = own_keys.map(|(n, (key, label))| (key, (n, label))).collect();
        for listed in list(other, user, PAGE).await? {
            let Some((n, label)) = left.remove(&listed.key) else {
                return Err(Failure::new(format!(
                    "{} is in the list of a lookalike of its user",
                    listed.key
                )));
            };
            own(&listed, &keys[n].0, &bytes(n), label)?;
        }
        if let Some((_, label)) = left.values().next() {
            return Err(Failure::new(format!("{label} is not in the list of its user")));
        }
    }
    for (n, (key, label)) in keys.iter().enumerate() {
        match succeed!(store.remove(key, Remove::new(LONG)).await, "removing") {
            RemoveOutcome::Removed { record: Some(removed), .. } => own(&removed, key, &bytes(n), label)?,
            outcome => {
                return Err(Failure::new(format!(
                    "after lookalikes of it, {label} is removed with {outcome:?}"
                )));
            }
        }
    }
    Ok(Verdict::Held)
}

const PAGE: usize = 128;

fn own(record: &Record, key: &ConnectionKey, bytes: &[u8], label: &str) -> Result<(), Failure> {
    ensure!(record.key.to_bytes() == key.to_bytes(), "{label} came back as another");
    ensure!(record.sealed.as_bytes() == bytes, "{label} has the bytes of another");
    Ok(())
}

/// Of each pair, the one or the other in each of the four parts; and how a failure names the key.
fn lookalikes(names: &Names) -> Vec<(ConnectionKey, String)> {
    let mut keys = HashSet::new();
    let mut all = Vec::new();
    for Pair { with, texts, providers } in pairs() {
        for which in 0..16_usize {
            let [tenant, id, provider, account] = [8, 4, 2, 1].map(|part| usize::from(which & part != 0));
            let user = User::new(format!("{}{}", names.tenant, texts[tenant]), texts[id].as_str());
            let key =
                ConnectionKey::new(&user, providers[provider].as_str()).with_account(texts[account].as_str());
            let parts: Vec<_> =
                [(tenant, "tenant"), (id, "user"), (provider, "provider"), (account, "account")]
                    .into_iter()
                    .filter_map(|(second, part)| (second == 1).then_some(part))
                    .collect();
            let label = match parts.as_slice() {
                [] => format!("the key without {with}"),
                parts => format!("the key with {with} in its {}", parts.join(" and ")),
            };
            if keys.insert(key.clone()) {
                all.push((key, label));
            }
        }
    }
    all
}

fn pairs() -> Vec<Pair> {
    let pair = |with, texts: [&str; 2], providers: [&str; 2]| Pair {
        with,
        texts: texts.map(str::to_owned),
        providers: providers.map(str::to_owned),
    };
    let long = |length: usize, end: &str| format!("{}{end}", "x".repeat(length));
    vec![
        pair("a capital", ["u", "U"], ["p", "P"]),
        pair("a capital beyond ASCII", ["\u{e9}", "\u{c9}"], ["p", "P"]),
        pair("a letter in two parts", ["\u{e9}", "e\u{301}"], ["p-q", "p_q"]),
        pair("an accent", ["e", "\u{e9}"], ["p", "p'"]),
        pair("a sharp s", ["ss", "\u{df}"], ["p.q", "p_q"]),
        pair("a blank at the end", ["u", "u "], ["p", "p+"]),
        pair("a blank at the beginning", ["u", " u"], ["p", "+p"]),
        pair("a character that is not seen", ["u", "u\u{200b}"], ["p", "p%"]),
        pair("a NUL at the end", ["u", "u\0"], ["p", "p%00"]),
        pair("another text after a NUL", ["u\0a", "u\0b"], ["p%00a", "p%00b"]),
        Pair {
            with: "another end",
            texts: ["a", "b"].map(|end| long(10 * 1024, end)),
            providers: ["a", "b"].map(|end| long(127, end)),
        },
    ]
}
