//! `authflow providers`.

use std::sync::Arc;

use authflow::quirks::{PkceSupport, PkceWithSecret, RefreshInput};
use authflow::{FlowManager, Provider};

use super::{Purpose, Registration};
use crate::args::{ClientArgs, ProviderArgs};
use crate::failure::Failure;
use crate::states::States;
use crate::terminal::{Style, WIDTH, result, wrapped};

/// What is built in, and what only a person can say about it; the rest is read from the provider itself.
struct BuiltIn {
    name: &'static str,
    register: &'static str,
    options: &'static str,
    revocation: &'static str,
    remark: &'static str,
}

const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        name: "contentstack",
        register: "Contentstack's Developer Hub, page OAuth of your app",
        options: "--client-id, --app-uid, --region; --client-secret-env where the app has a secret",
        revocation: "yes: the user's authorization of the app is looked up and deleted",
        remark: "The callback names the region, which decides where tokens and API are. Codes live 60 seconds.",
    },
    BuiltIn {
        name: "stackexchange",
        register: "https://stackapps.com/apps/oauth/register",
        options: "--client-id, --key, --site; --client-secret-env where there is a secret",
        revocation: "yes: the token is invalidated",
        remark: "Without a scope the token tells who the user is. The scope no_expiry gives tokens without an end. The \
                 redirect URI must lie under the domain of the registration; where that has a Non-Web Redirect URL, \
                 --redirect-uri https://stackexchange.com/oauth/login_success works too, and the address is pasted.",
    },
];

pub(crate) fn list() -> Result<(), Failure> {
    let style = Style::of_stdout();
    for built_in in &BUILT_IN {
        let manager = sample(built_in.name)?;
        result(style.strong(built_in.name))?;
        for (name, value) in facts(built_in, manager.provider()) {
            let mut lines = wrapped(&value, WIDTH - 20).into_iter();
            result(format_args!("  {name:<17} {}", lines.next().unwrap_or_default()))?;
            for line in lines {
                result(format_args!("  {:<17} {line}", ""))?;
            }
        }
        result("")?;
    }
    result(
        "Any other provider: write a file for it, or give its endpoints by options. `authflow login --help` has both.",
    )
}

/// The provider with made-up credentials: its facts do not depend on them.
fn sample(name: &str) -> Result<Box<dyn FlowManager>, Failure> {
    let mut args = ProviderArgs {
        provider: Some(name.into()),
        client: ClientArgs { client_id: Some("0".to_owned()), ..ClientArgs::default() },
        ..ProviderArgs::default()
    };
    if name == "contentstack" {
        args.app_uid = Some("0".to_owned());
        args.region = Some("na".to_owned());
    } else {
        args.key = Some("0".to_owned());
        args.site = Some("stackoverflow".to_owned());
    }
    Registration::of(&args, Purpose::Tokens)?
        .manager(Some("http://127.0.0.1/callback"), Arc::new(States::default()))
}

fn facts(built_in: &BuiltIn, provider: &Provider) -> Vec<(&'static str, String)> {
    let quirks = provider.quirks();
    let separator = match quirks.authorization.scope_delimiter() {
        " " => "a space",
        "," => "a comma",
        other => other,
    };
    let pkce = match (quirks.pkce.support, quirks.pkce.with_secret) {
        (PkceSupport::Supported, PkceWithSecret::Exclusive) => "S256, instead of a client secret",
        (PkceSupport::Supported, _) => "S256, with and without a client secret",
        _ => "no",
    };
    let refresh = match quirks.refresh_policy.input {
        RefreshInput::None => "none: connect again when the token has ended",
        RefreshInput::AccessToken => "yes, of the access token itself",
        _ => "yes",
    };
    let default_scopes = provider.default_scopes().join(" ");
    vec![
        ("register at", built_in.register.to_owned()),
        ("options", built_in.options.to_owned()),
        ("scope separator", separator.to_owned()),
        ("default scopes", if default_scopes.is_empty() { "none".to_owned() } else { default_scopes }),
        ("PKCE", pkce.to_owned()),
        ("refresh", refresh.to_owned()),
        ("revocation", built_in.revocation.to_owned()),
        ("to know", built_in.remark.to_owned()),
    ]
}
