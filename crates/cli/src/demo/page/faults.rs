//! The faults that a page can switch on with one button, for each server those that it can show.

use authflow_testkit::{ErrorCode, Fault, FaultSpan, RetryAfter, Sent};

use crate::args::DemoProvider;
use crate::demo::stage::Stage;

/// A fault that shows something worth seeing, and what to do then.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) then: &'static str,
    fault: Fault,
    pub(super) span: FaultSpan,
}

impl Preset {
    const fn next(name: &'static str, title: &'static str, then: &'static str, fault: Fault) -> Self {
        Self { name, title, then, fault, span: FaultSpan::Next }
    }

    pub(super) fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// Which there are at a provider, and what they lead to there.
pub(super) fn presets(provider: DemoProvider) -> [Preset; 4] {
    let refuses = |then| {
        Preset::next(
            "refused-token",
            "The API refuses the token",
            then,
            Fault::Refuse(ErrorCode::InvalidToken),
        )
    };
    let down = |then| {
        let fault = Fault::Unavailable(RetryAfter::Seconds(7));
        Preset::next("server-down", "The token endpoint is down", then, fault)
    };
    let lost = |then| {
        let fault = Fault::ResetAfterCommit(Sent::Nothing);
        Preset::next("lost-answer", "The answer to a refresh is lost", then, fault)
    };
    let forged = Preset::next(
        "forged-callback",
        "A forged callback",
        "Then connect (if need be, disconnect first): the callback has another state, and its code is sent nowhere.",
        Fault::WrongState,
    );
    const REFRESHED_ONCE: &str = "Then press Call the API: one refresh, and the request once more.";
    const OLD_IS_SERVED: &str =
        "Then press Refresh now: the old token is served, and the refresh tried again.";
    match provider {
        DemoProvider::Rfc => [
            refuses(REFRESHED_ONCE),
            down(OLD_IS_SERVED),
            lost("Then press Refresh now: the hard case, where a rotating refresh token may be used up."),
            Preset::next(
                "mix-up",
                "Another server's callback",
                "Then connect (if need be, disconnect first): the callback's iss, which says who answers, is another one, and \
                 the code is sent nowhere.",
                Fault::WrongIss,
            ),
        ],
        DemoProvider::StackExchange => [
            refuses("Then press Call the API: there is no refresh here, so you have to connect again."),
            Preset::next(
                "throttled",
                "The API asks to slow down",
                "Then press Call the API: the call fails, and says so; the connection stays.",
                Fault::Throttled,
            ),
            down("Then connect (if need be, disconnect first): no tokens come, and you connect once more."),
            forged,
        ],
        DemoProvider::Contentstack => [
            refuses(REFRESHED_ONCE),
            down(OLD_IS_SERVED),
            lost(
                "Then press Refresh now, and once more: the refresh token stays the same here, so that helps.",
            ),
            forged,
        ],
    }
}

/// What a fault does at this server.
pub(super) fn about(fault: &Fault, stage: &Stage) -> &'static str {
    match fault {
        Fault::Refuse(ErrorCode::InvalidToken) if stage.provider == DemoProvider::StackExchange => {
            "the API refuses the token, as Stack Exchange does: with 400, and the reason in the body"
        }
        Fault::WrongIss | Fault::MissingIss | Fault::DuplicateIss if !stage.has_issuer() => {
            "this provider is not known to say who answers, so no iss is expected, none is compared, and nobody notices"
        }
        fault => fault.about(),
    }
}

/// Whether an application can meet it at this server at all.
pub(super) fn is_met(fault: &Fault, stage: &Stage) -> bool {
    stage.has_issuer() || !matches!(fault, Fault::WrongIss | Fault::MissingIss | Fault::DuplicateIss)
}
