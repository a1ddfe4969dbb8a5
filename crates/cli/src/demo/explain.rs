//! What the parameters are for.

/// In the authorization request (RFC 6749 §4.1.1).
pub(super) fn authorization(name: &str) -> &'static str {
    match name {
        "response_type" => "asks for an authorization code",
        "client_id" => "who asks: the registered application",
        "redirect_uri" => "where the answer goes; the port is bound",
        "scope" => "what it may do for the user",
        "state" => "has to come back: then it is our flow",
        "code_challenge" => "hash of the verifier, which stays (PKCE)",
        "code_challenge_method" => "the hash is SHA-256",
        "nonce" => "has to be in the id_token",
        "response_mode" => "how the answer comes: as a form",
        _ => "the provider's own",
    }
}

/// In the authorization response (RFC 6749 §4.1.2).
pub(super) fn callback(name: &str) -> &'static str {
    match name {
        "code" => "good for one exchange, for a minute",
        "state" => "has to be the state that went out",
        "iss" => "who answers; has to be who was asked",
        "location" => "the user's region, which decides the hosts",
        "error" => "the answer is no",
        "error_description" => "the provider's words",
        "error_uri" => "a page about it, never opened",
        _ => "not known, and ignored",
    }
}

/// In a request to the token endpoint or the API.
pub(super) fn request(name: &str) -> &'static str {
    match name {
        "grant_type" => "what is exchanged for tokens",
        "code" => "the code of the callback, sent once",
        "code_verifier" => "what the hash was made of (PKCE)",
        "redirect_uri" => "the same as before, byte by byte",
        "client_id" => "who asks; a public client has no secret",
        "client_secret" => "the client authenticates",
        "refresh_token" => "what the new tokens are for",
        "scope" => "no more than was granted",
        "access_token" => "the token; this API takes it here only",
        "authorization" => "the token, in a header",
        "key" => "the application's key, beside the token",
        "site" => "which site the request is about",
        "token" => "the token to revoke",
        "token_type_hint" => "which kind of token it is",
        "organization_uid" => "the organization, from the token reply",
        "api_key" => "the stack, from the token reply",
        _ => "",
    }
}

/// In a reply of the token endpoint or the API.
pub(super) fn reply(name: &str) -> &'static str {
    match name {
        "access_token" => "what the API is shown",
        "refresh_token" => "for the next access token; never leaves the application",
        "id_token" => "who the user is",
        "token_type" => "how the token is shown",
        "expires_in" | "expires" => "how many seconds it is good for",
        "scope" => "what was granted",
        "error" | "error_name" | "error_code" => "what went wrong",
        "error_description" | "error_message" => "the provider's words",
        "sub" | "account_id" => "whose account it is",
        "location" => "the region, which decides the hosts",
        _ => "",
    }
}
