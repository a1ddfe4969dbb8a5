//! What asks the program to end.

/// Returns when the user or the system asks the program to end.
pub(crate) async fn asked() {
    tokio::select! {
        () = ctrl_c() => {}
        () = terminated() => {}
        () = hung_up() => {}
    }
}

/// Returns when somebody asks who does not want to wait. A terminal that is closed does not count: it and its shell may both say
/// so.
pub(crate) async fn asked_again() {
    tokio::select! {
        () = ctrl_c() => {}
        () = terminated() => {}
    }
}

async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system's own one ends the program.
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() {
    received(tokio::signal::unix::SignalKind::terminate()).await;
}

/// The terminal is closed. Whoever had the signal ignored, as `nohup` does, wants the program to go on, and a handler would end
/// that; where it is not known whether somebody did, the signal is left as it is.
#[cfg(unix)]
async fn hung_up() {
    let status = std::fs::read_to_string("/proc/self/status");
    match status.ok().as_deref().and_then(ignores_hangup) {
        Some(false) => received(tokio::signal::unix::SignalKind::hangup()).await,
        Some(true) | None => std::future::pending().await,
    }
}

#[cfg(unix)]
async fn received(kind: tokio::signal::unix::SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    }
}

/// What Linux says of a process: the mask of the signals that it ignores has one bit for each, the lowest for SIGHUP.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok().map(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

#[cfg(not(unix))]
async fn hung_up() {
    std::future::pending().await
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn x1_the_mask_of_ignored_signals_is_read() {
        for (status, expected) in [
            ("Name:\tauthflow\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000001\n", Some(false)),
            ("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n", Some(true)),
            ("SigIgn:\tnothing\n", None),
            ("SigCgt:\t0000000000000001\n", None),
            ("", None),
        ] {
            assert_eq!(ignores_hangup(status), expected, "{status:?}");
        }
    }
}
