//! When a request that was not sent is sent again.

use std::time::Duration;

use authflow_core::{Delivery, HttpError, HttpErrorKind};
use rand::TryRng as _;
use rand::rngs::SysRng;

/// How often, after the first time.
pub(crate) const RESENDS: u32 = 2;

/// Whether another try may help and can do no harm. A certificate stays what it is, and a connection that did not come
/// in time was tried by TCP more than once.
pub(crate) fn may_help(error: &HttpError) -> bool {
    error.delivery() == Delivery::NotSent && error.kind() == HttpErrorKind::Transport
}

/// How long to wait before the first (0) or second (1) resend: 50 to 150 ms, 200 to 600 ms. The spread keeps many clients
/// from coming back to a server that restarts all at once. `None` where the system gives no randomness: then there is
/// no resend.
pub(crate) fn pause(resend: u32) -> Option<Duration> {
    let middle_us: u64 = 100_000 << (2 * u64::from(resend.min(RESENDS)));
    let spread_us = SysRng.try_next_u64().ok()? % middle_us;
    Some(Duration::from_micros(middle_us / 2 + spread_us))
}
