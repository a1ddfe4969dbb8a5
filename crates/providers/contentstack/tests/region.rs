//! The region that a callback names moves token and API hosts, to a listed one only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use authflow_contentstack::{ContentstackTokens, Region, UnknownRegion};
use authflow_core::{AuthorizationResponse, ErrorKind, Scopes};
use support::{Scripted, attached, builder, complete_with, flow, query, tokens, user, user_tokens};

/// Written by hand from the vendor's list.
const HOSTS: [(Region, &str, &str, &str, &str); 7] = [
    (Region::Na, "NA", "app.contentstack.com", "developerhub-api.contentstack.com", "api.contentstack.io"),
    (
        Region::Eu,
        "EU",
        "eu-app.contentstack.com",
        "eu-developerhub-api.contentstack.com",
        "eu-api.contentstack.com",
    ),
    (
        Region::Au,
        "AU",
        "au-app.contentstack.com",
        "au-developerhub-api.contentstack.com",
        "au-api.contentstack.com",
    ),
    (
        Region::AzureNa,
        "AZURE_NA",
        "azure-na-app.contentstack.com",
        "azure-na-developerhub-api.contentstack.com",
        "azure-na-api.contentstack.com",
    ),
    (
        Region::AzureEu,
        "AZURE_EU",
        "azure-eu-app.contentstack.com",
        "azure-eu-developerhub-api.contentstack.com",
        "azure-eu-api.contentstack.com",
    ),
    (
        Region::GcpNa,
        "GCP_NA",
        "gcp-na-app.contentstack.com",
        "gcp-na-developerhub-api.contentstack.com",
        "gcp-na-api.contentstack.com",
    ),
    (
        Region::GcpEu,
        "GCP_EU",
        "gcp-eu-app.contentstack.com",
        "gcp-eu-developerhub-api.contentstack.com",
        "gcp-eu-api.contentstack.com",
    ),
];

#[test]
fn the_list_has_seven_regions_with_these_hosts() {
    assert_eq!(Region::ALL.len(), HOSTS.len());
    for ((region, code, application, developer_hub, management), listed) in HOSTS.into_iter().zip(Region::ALL)
    {
        assert_eq!(region, listed);
        assert_eq!(region.location_code(), code);
        assert_eq!(region.application(), format!("https://{application}"));
        assert_eq!(region.developer_hub(), format!("https://{developer_hub}"));
        assert_eq!(region.management_api(), format!("https://{management}"));
        assert_eq!(region.to_string(), region.id());
    }
}

#[test]
fn ids_aliases_and_location_codes_are_read() {
    for (name, region) in [
        ("na", Region::Na),
        ("NA", Region::Na),
        ("us", Region::Na),
        ("US", Region::Na),
        ("aws-na", Region::Na),
        ("aws_na", Region::Na),
        ("eu", Region::Eu),
        ("AWS-EU", Region::Eu),
        ("aws_eu", Region::Eu),
        ("AU", Region::Au),
        ("aws-au", Region::Au),
        ("azure-na", Region::AzureNa),
        ("AZURE_NA", Region::AzureNa),
        ("azure_eu", Region::AzureEu),
        ("AZURE-EU", Region::AzureEu),
        ("gcp-na", Region::GcpNa),
        ("GCP_NA", Region::GcpNa),
        ("gcp_eu", Region::GcpEu),
    ] {
        assert_eq!(name.parse(), Ok(region), "{name}");
    }
    for region in Region::ALL {
        assert_eq!(region.id().parse(), Ok(region));
        assert_eq!(region.location_code().parse(), Ok(region));
        assert!(region.aliases().iter().all(|alias| alias.parse() == Ok(region)));
    }
    for name in
        ["", " ", "na ", "NA\n", "asia", "azure", "na.evil.example", "eu-app.contentstack.com", "\u{212a}a"]
    {
        assert_eq!(
            name.parse::<Region>().map_err(|error| error.to_string()).unwrap_err(),
            NO_REGION,
            "{name:?}"
        );
    }
}

const NO_REGION: &str =
    "this is no region of Contentstack; there are na, eu, au, azure-na, azure-eu, gcp-na and gcp-eu";

#[tokio::test]
async fn each_region_of_the_callback_moves_token_and_api_hosts() {
    for (region, code, _, developer_hub, management) in HOSTS {
        let http = Scripted::provider();
        let flow = flow(builder().region(Region::Na), &http);
        let mut tokens = complete_with(&flow, &format!("&location={code}")).await.unwrap().tokens;
        assert_eq!(ContentstackTokens::new(&tokens).region(), Some(region));
        tokens = flow.refresh(&tokens).await.unwrap();
        attached(&flow, &tokens, &format!("https://{management}/v3/user")).await.unwrap();
        flow.revoke(&tokens).await.unwrap();
        let hosts: Vec<_> =
            http.sent().iter().map(|request| request.url.host_str().unwrap().to_owned()).collect();
        assert_eq!(hosts, [developer_hub; 4], "exchange, refresh, list, delete");
    }
}

#[tokio::test]
async fn each_configured_region_begins_in_its_application() {
    for (region, _, application, developer_hub, _) in HOSTS {
        let http = Scripted::always(200, r#"{"access_token":"AT"}"#);
        let flow = flow(builder().region(region), &http);
        let authorization = flow.begin(&user()).await.unwrap();
        assert!(authorization.url().starts_with(&format!("https://{application}/apps/app-uid/authorize?")));
        // Nobody names a region: the configured one it is.
        let tokens = complete_with(&flow, "").await.unwrap().tokens;
        assert_eq!(ContentstackTokens::new(&tokens).region(), None);
        assert_eq!(http.urls(), [format!("https://{developer_hub}/token")]);
    }
}

#[tokio::test]
async fn a_forged_location_sends_the_code_nowhere() {
    for forged in [
        "evil.example",
        "NA.evil.example",
        "https://evil.example",
        "evil.example%2F",
        "EU%23",
        "EU%2F..",
        "%40evil.example",
        "dev11",
        "NA%20",
        "eu-app.contentstack.com",
    ] {
        for name in ["location", "region"] {
            let http = Scripted::provider();
            let error =
                complete_with(&flow(builder(), &http), &format!("&{name}={forged}")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CallbackMalformed, "{forged}");
            assert!(std::error::Error::source(&error).unwrap().is::<UnknownRegion>());
            assert!(!format!("{error} {error:?}").contains("evil"));
            assert!(http.sent().is_empty(), "{forged}");
        }
    }
}

#[tokio::test]
async fn b7_a_second_location_is_refused() {
    for twice in
        ["&location=NA&location=EU", "&region=NA&region=EU", "&installation_uid=a&installation_uid=b"]
    {
        let http = Scripted::provider();
        let error = complete_with(&flow(builder(), &http), twice).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackMalformed);
        assert!(http.sent().is_empty());
    }
}

#[tokio::test]
async fn location_counts_before_region_and_an_empty_one_not_at_all() {
    for (more, region) in [
        ("&location=EU&region=NA", Region::Eu),
        ("&location=EU&region=evil.example", Region::Eu),
        ("&region=GCP_NA", Region::GcpNa),
        ("&location=&region=GCP_NA", Region::GcpNa),
        ("&location=azure-eu", Region::AzureEu),
    ] {
        let http = Scripted::always(200, r#"{"access_token":"AT"}"#);
        let tokens = complete_with(&flow(builder(), &http), more).await.unwrap().tokens;
        assert_eq!(ContentstackTokens::new(&tokens).region(), Some(region), "{more}");
        assert_eq!(http.urls(), [format!("{}/token", region.developer_hub())], "{more}");
        assert_eq!(
            tokens.extra_str("location"),
            Some(region.location_code()),
            "kept with the token's own fields"
        );
    }
    let http = Scripted::always(200, r#"{"access_token":"AT","location":""}"#);
    let tokens = complete_with(&flow(builder(), &http), "&location=").await.unwrap().tokens;
    assert!(!tokens.extra.contains_key("location"));
    assert_eq!(http.urls(), ["https://developerhub-api.contentstack.com/token"]);
}

#[tokio::test]
async fn the_token_response_moves_the_hosts_where_the_callback_says_nothing() {
    let http = Scripted::always(200, r#"{"access_token":"AT","refresh_token":"RT","location":"EU"}"#);
    let flow = flow(builder(), &http);
    let tokens = complete_with(&flow, "").await.unwrap().tokens;
    assert_eq!(http.urls(), ["https://developerhub-api.contentstack.com/token"]);
    attached(&flow, &tokens, "https://eu-api.contentstack.com/v3/user").await.unwrap();
    let error = attached(&flow, &tokens, "https://api.contentstack.io/v3/user").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ForeignOrigin);
    flow.refresh(&tokens).await.unwrap();
    assert_eq!(http.urls()[1], "https://eu-developerhub-api.contentstack.com/token");
}

#[tokio::test]
async fn the_callback_counts_before_the_token_response() {
    let http = Scripted::always(200, r#"{"access_token":"AT","location":"NA"}"#);
    let flow = flow(builder(), &http);
    let tokens = complete_with(&flow, "&location=EU").await.unwrap().tokens;
    assert_eq!(tokens.extra_str("location"), Some("EU"));
    attached(&flow, &tokens, "https://eu-api.contentstack.com/v3/user").await.unwrap();
}

#[tokio::test]
async fn a_token_response_that_names_a_foreign_region_moves_nothing() {
    let evil = r#"{"access_token":"AT","refresh_token":"RT2","location":"evil.example"}"#;
    let http = Scripted::always(200, evil);
    let flow = flow(builder(), &http);
    // Nobody else says where the token lives.
    let error = complete_with(&flow, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    let error = flow.client_credentials(&Scopes::none()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    // The callback did.
    let renewed = complete_with(&flow, "&location=EU").await.unwrap().tokens;
    assert_eq!(renewed.extra_str("location"), Some("EU"));
    // A refresh keeps the new tokens and the old region.
    let renewed = flow.refresh(&user_tokens()).await.unwrap();
    assert_eq!(renewed.refresh_token.as_ref().unwrap().expose(), "RT2");
    assert_eq!(renewed.extra_str("location"), Some("NA"));
    assert!(http.urls().iter().all(|url| !url.contains("evil")));
}

#[tokio::test]
async fn a_stored_token_set_with_a_foreign_region_is_sent_nowhere() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let planted = tokens(&[("location", "evil.example"), ("user_uid", "u")]);
    assert_eq!(flow.refresh(&planted).await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(flow.revoke(&planted).await.unwrap_err().kind(), ErrorKind::Configuration);
    let error = attached(&flow, &planted, "https://evil.example/v3/user").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(http.sent().is_empty());
    assert_eq!(ContentstackTokens::new(&planted).region(), None);
}

#[tokio::test]
async fn a_refresh_that_is_silent_about_the_region_stays_there() {
    for reply in [r#"{"access_token":"AT2"}"#, r#"{"access_token":"AT2","location":""}"#] {
        let http = Scripted::always(200, reply);
        let flow = flow(builder(), &http);
        let before = tokens(&[("location", "GCP_EU")]);
        let after = flow.refresh(&before).await.unwrap();
        assert_eq!(ContentstackTokens::new(&after).region(), Some(Region::GcpEu), "{reply}");
    }
}

#[tokio::test]
async fn a_denial_is_told_whatever_region_it_names() {
    let http = Scripted::provider();
    let flow = flow(builder(), &http);
    let authorization = flow.begin(&user()).await.unwrap();
    let state = &query(authorization.url())["state"];
    let callback = format!("error=access_denied&location=evil.example&state={state}");
    let response = AuthorizationResponse::from_query(&callback).unwrap();
    assert_eq!(flow.finish(&response, &user()).await.unwrap_err().kind(), ErrorKind::AccessDenied);
    assert!(http.sent().is_empty());
}
