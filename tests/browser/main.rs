//! A real Chromium, without a screen, in front of both example applications, the demo, the testkit's authorization server and
//! npm's `oidc-provider`; each page looked at by axe-core.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable, reason = "tests")]
#![allow(clippy::future_not_send, reason = "a test drives its browser from one thread")]

// What the suite over HTTP is built of: an application in this process, whose clock a test can move.
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/application.rs"]
mod application;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/browser.rs"]
mod browser;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/framework.rs"]
mod framework;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/jar.rs"]
mod jar;
#[path = "../web/provider.rs"]
mod provider;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/servers.rs"]
mod servers;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/stores.rs"]
mod stores;
#[allow(dead_code, reason = "a part is used here")]
#[path = "../web/world.rs"]
mod world;

#[allow(dead_code, reason = "a part is used here")]
#[path = "../interop/node.rs"]
mod node;

// The pages of authflow-web, built once more: the samples of each are with its own tests, and in no crate.
extern crate authflow as authflow_core;
#[allow(dead_code, unreachable_pub, unused_imports, reason = "they are a crate's")]
#[path = "../../crates/web/common/src/pages/mod.rs"]
mod pages;

mod axe;
mod bridge;
mod chromium;
mod example;
mod page;
mod stage;
mod tls;

/// Declares the tests of a module, each with both example applications.
macro_rules! driven {
    ($($test:ident),+ $(,)?) => {
        driven!(@ axum, Axum, [$($test),+]);
        driven!(@ actix, Actix, [$($test),+]);
    };
    (@ $module:ident, $which:ident, [$($test:ident),+]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let test = |browsers| super::$test(crate::example::Which::$which, browsers);
                    crate::chromium::with_browsers(test).await;
                }
            )+
        }
    };
}

/// The same with both authorization servers behind each.
macro_rules! staged {
    ($($test:ident),+ $(,)?) => {
        staged!(@ axum_and_the_testkit, Axum, Testkit, [$($test),+]);
        staged!(@ axum_and_oidc_provider, Axum, OidcProvider, [$($test),+]);
        staged!(@ actix_and_the_testkit, Actix, Testkit, [$($test),+]);
        staged!(@ actix_and_oidc_provider, Actix, OidcProvider, [$($test),+]);
    };
    (@ $module:ident, $which:ident, $by:ident, [$($test:ident),+]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let setting = crate::stage::Setting::new(crate::example::Which::$which, crate::stage::By::$by);
                    crate::chromium::with_browsers(|browsers| super::$test(setting, browsers)).await;
                }
            )+
        }
    };
}

mod attacks;
mod demo;
mod expiry;
mod images;
mod journeys;
mod keyboard;
mod looks;
mod modes;
mod samples;
mod sessions;
