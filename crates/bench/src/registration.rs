//! The one client registration that all three contenders use.

pub(crate) const PROVIDER_ID: &str = "bench";
pub(crate) const AUTHORIZATION_ENDPOINT: &str = "https://provider.example/oauth2/authorize";
pub(crate) const CLIENT_ID: &str = "client-4711";
pub(crate) const CLIENT_SECRET: &str = "c2VjcmV0IG9mIHRoZSBiZW5jaG1hcms";
pub(crate) const REDIRECT_URI: &str = "https://app.example.com/oauth/callback";
pub(crate) const SCOPES: [&str; 2] = ["read_inbox", "no_expiry"];
pub(crate) const SCOPE: &str = "read_inbox no_expiry";
pub(crate) const RETURN_TO: &str = "/settings";
pub(crate) const CODE: &str = "SplxlOBeZQQYbYS6WxSbIA";
/// Until when a callback is accepted, in seconds.
pub(crate) const STATE_TTL: u64 = 600;
/// The most bytes of a token response.
pub(crate) const TOKEN_REPLY_CAP: u64 = 1 << 20;

/// The callback that a provider sends for an authorization URL: its state comes back beside a code.
pub(crate) fn callback_query(url: &str) -> String {
    let state = url.split_once("&state=").map_or("", |(_, rest)| rest.split('&').next().unwrap_or_default());
    let mut query = String::with_capacity(96);
    query.extend(["code=", CODE, "&state=", state]);
    query
}
