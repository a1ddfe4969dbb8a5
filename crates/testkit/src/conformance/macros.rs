//! The macros that make tests of the checks.

/// Makes a module of tests that hold a [`StateStore`](authflow_core::StateStore) to its contract: one test for each
/// behaviour, on the store itself, behind `Arc<dyn StateStore>` and behind `Box<dyn StateStore>`.
///
/// It takes the module's name, a closure that makes a store asynchronously, and where the store is not like a map in memory,
/// its [`StateStoreCapabilities`](crate::conformance::state_store::StateStoreCapabilities). All keys are random, so the
/// stores may share a server.
///
/// ```
/// use authflow_core::MemoryStateStore;
/// use authflow_testkit::state_store_conformance;
///
/// state_store_conformance!(memory, || async { MemoryStateStore::default() });
/// # fn main() {}
/// ```
///
/// A store on a server whose clock counts the time to live:
///
/// ```
/// # use authflow_core::MemoryStateStore;
/// use authflow_testkit::conformance::state_store::StateStoreCapabilities;
/// use authflow_testkit::state_store_conformance;
///
/// # async fn connect() -> MemoryStateStore { MemoryStateStore::default() }
/// state_store_conformance!(
///     on_a_server,
///     || async { connect().await },
///     StateStoreCapabilities::default().expires_by_clock(false).shares_keys_between_instances(true),
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! state_store_conformance {
    ($name:ident, $make:expr $(,)?) => {
        $crate::state_store_conformance!(
            $name,
            $make,
            $crate::conformance::state_store::StateStoreCapabilities::default()
        );
    };
    ($name:ident, $make:expr, $capabilities:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__state_store_checks!($crate::__state_store_tests, [as_itself], [$make], [$capabilities]);
            $crate::__state_store_checks!(
                $crate::__state_store_tests,
                [behind_arc_dyn],
                [$make],
                [$capabilities]
            );
            $crate::__state_store_checks!(
                $crate::__state_store_tests,
                [behind_box_dyn],
                [$make],
                [$capabilities]
            );
        }
    };
}

/// The checks that need one store.
#[doc(hidden)]
#[macro_export]
macro_rules! __state_store_checks {
    ($callback:path $(, $arguments:tt)*) => {
        $callback! {
            ($($arguments)*)
            absent_is_no_error,
            a_used_flow_is_absent,
            an_existing_key_is_refused_and_keeps_its_flow,
            a_foreign_key_finds_nothing_and_removes_nothing,
            keys_that_differ_in_one_bit_do_not_mix,
            every_field_comes_back,
            fields_without_a_value_stay_so,
            unicode_comes_back,
            large_values_come_back,
            of_64_checks_at_once_one_gets_the_flow,
            of_64_stores_at_once_one_stores,
            of_64_flows_at_once_each_keeps_its_own,
            before_its_ttl_a_flow_is_there,
            after_its_ttl_a_flow_is_absent,
            an_expired_key_is_free,
            a12_at_a_buckets_cap_its_own_oldest_goes,
            a12_a_used_flow_leaves_its_bucket,
            an_error_holds_neither_key_nor_flow,
            debug_shows_no_flow,
        }
    };
}

/// The checks that need several stores.
#[doc(hidden)]
#[macro_export]
macro_rules! __state_store_races {
    ($callback:path $(, $arguments:tt)*) => {
        $callback! {
            ($($arguments)*)
            of_64_checks_through_all_instances_one_gets_the_flow,
            of_64_stores_through_all_instances_one_stores,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __state_store_tests {
    (([$pointer:ident] [$make:expr] [$capabilities:expr]) $($check:ident),+ $(,)?) => {
        mod $pointer {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $check() {
                    $crate::conformance::run(concat!(module_path!(), "::", stringify!($check)), async {
                        let store = $crate::conformance::state_store::$pointer(($make)().await);
                        $crate::conformance::state_store::$check(store, &$capabilities).await
                    });
                }
            )+

            #[test]
            fn instances_share_their_keys_or_do_not_mix() {
                let name = concat!(module_path!(), "::instances_share_their_keys_or_do_not_mix");
                $crate::conformance::run(name, async {
                    let one = $crate::conformance::state_store::$pointer(($make)().await);
                    let other = $crate::conformance::state_store::$pointer(($make)().await);
                    $crate::conformance::state_store::instances_share_their_keys_or_do_not_mix(
                        one,
                        other,
                        &$capabilities,
                    )
                    .await
                });
            }

            $crate::__state_store_races!(
                $crate::__state_store_race_tests,
                [$pointer],
                [$make],
                [$capabilities]
            );
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __state_store_race_tests {
    (([$pointer:ident] [$make:expr] [$capabilities:expr]) $($check:ident),+ $(,)?) => {$(
        #[test]
        fn $check() {
            $crate::conformance::run(concat!(module_path!(), "::", stringify!($check)), async {
                let mut instances = Vec::new();
                for _ in 0..4 {
                    instances.push($crate::conformance::state_store::$pointer(($make)().await));
                }
                $crate::conformance::state_store::$check(instances, &$capabilities).await
            });
        }
    )+};
}

/// Makes a module of tests that hold a [`FlowManager`](authflow_core::FlowManager) to what every provider has to do: one
/// test for each behaviour, on the manager itself, behind `Arc<dyn FlowManager>` and behind `Box<dyn FlowManager>`.
///
/// It takes the module's name and a [`ProviderFixture`](crate::conformance::provider::ProviderFixture), which is made anew
/// for each test; the expression may await. For a provider that is data only, the manager is all that has to be given:
///
/// ```
/// use authflow_core::{ClientCredentials, ConfiguredProvider, Provider};
/// use authflow_testkit::conformance::provider::ProviderFixture;
/// use authflow_testkit::provider_conformance;
///
/// provider_conformance!(example, ProviderFixture::new(|states| {
///     let provider = Provider::builder("example")
///         .authorization_endpoint("https://as.example/authorize")
///         .token_endpoint("https://as.example/token")
///         .build()
///         .expect("a provider");
///     let credentials = ClientCredentials::public("client-1").redirect_uri("https://app.example/callback");
///     ConfiguredProvider::from_provider(provider, credentials, states).expect("a manager")
/// }));
/// # fn main() {}
/// ```
///
/// A provider whose hooks ask for more gets the answers from
/// [`script`](crate::conformance::provider::ProviderFixture::script), which decides by the request:
///
/// ```
/// # use authflow_core::{ClientCredentials, ConfiguredProvider, HttpResponse, Provider, StateStore};
/// # use authflow_testkit::conformance::provider::ProviderFixture;
/// # use authflow_testkit::provider_conformance;
/// # use std::sync::Arc;
/// # fn manager(states: Arc<dyn StateStore>) -> ConfiguredProvider {
/// #     let provider = Provider::builder("example").authorization_endpoint("https://as.example/authorize")
/// #         .token_endpoint("https://as.example/token").build().expect("a provider");
/// #     let credentials = ClientCredentials::public("client-1").redirect_uri("https://app.example/callback");
/// #     ConfiguredProvider::from_provider(provider, credentials, states).expect("a manager")
/// # }
/// provider_conformance!(
///     with_an_account,
///     ProviderFixture::new(manager)
///         .callback("code=planted-code-0001&location=EU")
///         .api_url("https://as.example/me")
///         .script(|request| match request.url.path() {
///             "/me" => Some(HttpResponse::new(http::StatusCode::OK, r#"{"id": "account-1"}"#)),
///             _ => None,
///         }),
/// );
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! provider_conformance {
    ($name:ident, $fixture:expr $(,)?) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $crate::__provider_checks!($crate::__provider_tests, [as_itself], [$fixture]);
            $crate::__provider_checks!($crate::__provider_tests, [behind_arc_dyn], [$fixture]);
            $crate::__provider_checks!($crate::__provider_tests, [behind_box_dyn], [$fixture]);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __provider_checks {
    ($callback:path $(, $arguments:tt)*) => {
        $callback! {
            ($($arguments)*)
            a_flow_gives_tokens,
            the_authorization_url_has_state_and_redirect_uri,
            the_authorization_url_has_the_challenge,
            what_one_flow_asks_for_reaches_the_url,
            no_parameter_occurs_twice,
            the_token_request_has_the_verifier,
            the_token_request_repeats_the_redirect_uri,
            a_denial_is_typed_and_uses_the_state_up,
            a_state_is_used_once,
            an_unknown_state_is_refused,
            a_foreign_binding_finds_nothing,
            an_expired_flow_is_refused,
            doubled_callback_parameters_are_refused,
            another_issuer_is_refused,
            an_error_reply_is_typed,
            a_useless_reply_is_an_error_without_its_body,
            a_lost_answer_is_not_asked_for_again,
            a_refresh_keeps_or_replaces_the_refresh_token,
            only_the_providers_word_ends_a_connection,
            a_revocation_is_sent_or_unsupported,
            a_failed_revocation_is_an_error,
            tokens_go_to_api_origins_only,
            pointers_forward_every_hook,
            every_hook_can_be_overridden,
            hooks_cannot_leave_the_origins,
            hooks_cannot_drop_what_protects_the_flow,
            a_failing_after_exchange_keeps_the_tokens,
            nothing_secret_is_shown,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __provider_tests {
    (([$pointer:ident] [$fixture:expr]) $($check:ident),+ $(,)?) => {
        mod $pointer {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $check() {
                    $crate::conformance::run(concat!(module_path!(), "::", stringify!($check)), async {
                        let fixture: $crate::conformance::provider::ProviderFixture = $fixture;
                        let fixture = $crate::conformance::provider::$pointer(fixture);
                        $crate::conformance::provider::$check(&fixture).await
                    });
                }
            )+
        }
    };
}
