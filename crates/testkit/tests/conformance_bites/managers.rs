//! Each broken manager fails the checks that are about its fault, and a sound one fails none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use authflow_testkit::conformance::provider::{self, ProviderFixture};
use authflow_testkit::conformance::{Outcome, Verdict};

use crate::broken_managers::{Manager, Wrong};

fn fixture(wrong: Wrong) -> ProviderFixture {
    ProviderFixture::new(move |states| Manager::new(wrong, states))
}

/// Asserts that each named check fails for the manager.
macro_rules! bites {
    ($wrong:ident: $($check:ident),+) => {$(
        let outcome: Outcome = provider::$check(&fixture(Wrong::$wrong)).await;
        assert!(outcome.is_err(), "{} does not see {:?}: {outcome:?}", stringify!($check), Wrong::$wrong);
    )+};
}

#[tokio::test]
async fn a_sound_manager_passes() {
    assert_eq!(provider::all(&fixture(Wrong::Nothing)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn b_authorization_requests_that_lack_something_are_found() {
    bites!(DropsState: the_authorization_url_has_state_and_redirect_uri, a_flow_gives_tokens);
    bites!(DropsRedirectUriOut: the_authorization_url_has_state_and_redirect_uri);
    bites!(ChangesRedirectUri: the_authorization_url_has_state_and_redirect_uri);
    bites!(DropsChallenge: the_authorization_url_has_the_challenge, a_flow_gives_tokens);
    bites!(DropsMethod: the_authorization_url_has_the_challenge);
    bites!(DoublesInUrl: no_parameter_occurs_twice);
    bites!(LosesParameters: what_one_flow_asks_for_reaches_the_url);
    bites!(LosesScopes: what_one_flow_asks_for_reaches_the_url);
}

#[tokio::test]
async fn b_token_requests_that_lack_something_are_found() {
    bites!(DropsVerifier: the_token_request_has_the_verifier, a_flow_gives_tokens);
    bites!(DropsRedirectUri: the_token_request_repeats_the_redirect_uri, a_flow_gives_tokens);
    bites!(DropsCode: the_token_request_repeats_the_redirect_uri);
    bites!(DoublesInTokenRequest: no_parameter_occurs_twice);
}

#[tokio::test]
async fn foreign_origins_are_found() {
    bites!(AuthorizationElsewhere: a_flow_gives_tokens);
    bites!(TokenElsewhere: a_flow_gives_tokens);
    bites!(LooksUpElsewhere: a_flow_gives_tokens);
    bites!(MovesApiRequests: tokens_go_to_api_origins_only);
    bites!(ListsElsewhere: hooks_cannot_leave_the_origins, tokens_go_to_api_origins_only);
}

#[tokio::test]
async fn a_wrong_reading_of_callbacks_is_found() {
    bites!(IgnoresDenial: a_denial_is_typed_and_uses_the_state_up);
    bites!(DenialUntyped: a_denial_is_typed_and_uses_the_state_up);
}

#[tokio::test]
async fn a3_states_that_are_not_used_up_are_found() {
    bites!(StatesAreNeverUsed: a_state_is_used_once, a_denial_is_typed_and_uses_the_state_up, an_error_reply_is_typed);
    bites!(StatesAreAnyones: a_foreign_binding_finds_nothing, an_unknown_state_is_refused);
    bites!(StatesLastForEver: an_expired_flow_is_refused);
    bites!(StatesForgetTheIssuer: another_issuer_is_refused);
}

#[tokio::test]
async fn b_a_wrong_reading_of_token_replies_is_found() {
    bites!(ErrorUntyped: an_error_reply_is_typed);
    bites!(BodyInError: a_useless_reply_is_an_error_without_its_body, nothing_secret_is_shown);
    bites!(AcceptsAnything: a_useless_reply_is_an_error_without_its_body, an_error_reply_is_typed);
    bites!(LosesTime: a_flow_gives_tokens);
}

#[tokio::test]
async fn wrong_refreshes_are_found() {
    bites!(ForgetsOldRefreshToken: a_refresh_keeps_or_replaces_the_refresh_token);
    bites!(NeverReplacesRefreshToken: a_refresh_keeps_or_replaces_the_refresh_token);
    bites!(RefreshesWithoutToken: a_refresh_keeps_or_replaces_the_refresh_token);
    bites!(EveryFailedRefreshEnds: only_the_providers_word_ends_a_connection);
    bites!(EveryRefusedRefreshEnds: only_the_providers_word_ends_a_connection);
}

#[tokio::test]
async fn wrong_revocations_and_api_requests_are_found() {
    bites!(RevokesInWordsOnly: a_revocation_is_sent_or_unsupported);
    bites!(RevokesWithoutToken: a_revocation_is_sent_or_unsupported);
    bites!(RevokesWhateverIsAnswered: a_failed_revocation_is_an_error);
    bites!(AttachesNothing: tokens_go_to_api_origins_only);
    bites!(AttachesInTheOpen: tokens_go_to_api_origins_only);
}

#[tokio::test]
async fn h1_a_manager_that_shows_its_secret_is_found() {
    bites!(ShowsItsSecret: nothing_secret_is_shown);
}

#[tokio::test]
async fn a_manager_that_is_another_behind_a_pointer_is_found() {
    for wrong in [Wrong::DropsMethod, Wrong::AttachesNothing, Wrong::RevokesInWordsOnly, Wrong::DenialUntyped]
    {
        let made = Arc::new(AtomicUsize::new(0));
        // The first and the last are those that are not behind a pointer.
        let fixture = ProviderFixture::new(move |states| match made.fetch_add(1, Ordering::Relaxed) {
            0 | 5 => Manager::new(Wrong::Nothing, states),
            _ => Manager::new(wrong, states),
        });
        assert!(provider::pointers_forward_every_hook(&fixture).await.is_err(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_manager_that_says_the_time_is_the_same_behind_a_pointer() {
    for turns_before in 0..=6 {
        let made = Arc::new(AtomicUsize::new(0));
        let fixture = ProviderFixture::new(move |states| {
            let before = made.fetch_add(1, Ordering::Relaxed) < turns_before;
            Manager::at_second(states, 1_800_000_000 + u64::from(!before))
        });
        let outcome = provider::pointers_forward_every_hook(&fixture).await;
        assert_eq!(outcome, Ok(Verdict::Held), "the second turns before run {turns_before}");
    }
}

#[tokio::test]
async fn what_the_fixture_lacks_is_said() {
    let short = fixture(Wrong::Nothing).token_json(r#"{"access_token": "a", "refresh_token": "b"}"#);
    let failure = provider::tokens_go_to_api_origins_only(&short).await.expect_err("too short to be found");
    assert!(failure.to_string().contains("take a longer one"), "{failure}");
    let odd = fixture(Wrong::Nothing).token_json(r#"{"tokens": []}"#);
    let failure = provider::a_flow_gives_tokens(&odd).await.expect_err("no token in the reply");
    assert!(failure.to_string().contains("access_token"), "{failure}");
    let held = provider::a_flow_gives_tokens(&fixture(Wrong::Nothing)).await;
    assert_eq!(held, Ok(Verdict::Held));
}
