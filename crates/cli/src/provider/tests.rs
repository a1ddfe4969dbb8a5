use std::time::SystemTime;

use authflow::TokenSet;

use super::{Purpose, Registration};
use crate::args::{ClientArgs, EndpointArgs, ProviderArgs};
use crate::failure::Failure;

fn contentstack(region: &str) -> ProviderArgs {
    ProviderArgs {
        provider: Some("contentstack".into()),
        client: ClientArgs { client_id: Some("client-1".to_owned()), ..ClientArgs::default() },
        app_uid: Some("app-1".to_owned()),
        region: Some(region.to_owned()),
        ..ProviderArgs::default()
    }
}

#[test]
fn what_is_wrong_with_an_option_is_known_before_anything_is_made_for_it() {
    let failure = Registration::of(&contentstack("zz"), Purpose::Login).unwrap_err();
    assert!(matches!(&failure, Failure::Usage(text) if text.contains("azure-eu")), "{failure:?}");
}

#[test]
fn a_redirect_uri_that_tokens_tell_is_that_of_the_provider_who_asks_for_it() {
    const USED: &str = "http://127.0.0.1:7/callback";
    let mut tokens = TokenSet::new("access-token-1", SystemTime::UNIX_EPOCH);
    tokens.extra.insert("redirect_uri".to_owned(), USED.into());
    let contentstack = Registration::of(&contentstack("eu"), Purpose::Tokens).unwrap();
    assert_eq!(contentstack.redirect_uri_of(&tokens), Some(USED));
    let other = ProviderArgs {
        endpoints: EndpointArgs {
            token_endpoint: Some("https://as.example/t".to_owned()),
            ..EndpointArgs::default()
        },
        client: ClientArgs { client_id: Some("client-1".to_owned()), ..ClientArgs::default() },
        ..ProviderArgs::default()
    };
    let other = Registration::of(&other, Purpose::Tokens).unwrap();
    assert_eq!(other.redirect_uri_of(&tokens), None);
}
