//! The faults that a page can switch on with one button.

use authflow_testkit::{ErrorCode, Fault, FaultSpan, RetryAfter, Sent};

/// A fault that shows something worth seeing, and what to do then.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) then: &'static str,
    fault: Fault,
    pub(super) span: FaultSpan,
}

impl Preset {
    pub(super) fn fault(&self) -> &Fault {
        &self.fault
    }
}

pub(super) fn presets() -> [Preset; 4] {
    [
        Preset {
            name: "refused-token",
            title: "The API refuses the token",
            then: "Then press Call the API: one refresh, and the request once more.",
            fault: Fault::Refuse(ErrorCode::InvalidToken),
            span: FaultSpan::Next,
        },
        Preset {
            name: "server-down",
            title: "The token endpoint is down",
            then: "Then press Refresh now: the old token is served, and the refresh tried again.",
            fault: Fault::Unavailable(RetryAfter::Seconds(7)),
            span: FaultSpan::Next,
        },
        Preset {
            name: "lost-answer",
            title: "The answer to a refresh is lost",
            then: "Then press Refresh now: the hard case, where a rotating refresh token may be used up.",
            fault: Fault::ResetAfterCommit(Sent::Nothing),
            span: FaultSpan::Next,
        },
        Preset {
            name: "mix-up",
            title: "Another server's callback",
            then: "Then press Connect: refused before the code is sent anywhere.",
            fault: Fault::WrongIss,
            span: FaultSpan::Next,
        },
    ]
}
