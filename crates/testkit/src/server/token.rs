//! The token endpoint and revocation as the RFCs have them (RFC 6749 §3.2, RFC 7009).

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    authorize::split_scope,
    client::{Client, ClientAuthentication},
    client_authentication::authenticate,
    config::Personality,
    context::Context,
    fault::Fault,
    ledger::{IssuedKind, Outcome},
    params::Params,
    refusal::Refusal,
    reply::{Format, Reply},
    state::{Grant, Redemption, later},
};

/// What a token request brought.
pub(super) struct Tokens {
    pub(super) grant: usize,
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) scope: Vec<String>,
}

pub(super) fn token(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let form = cx.request.form()?.clone();
    let client = authenticate(cx.config, cx.request, &form)?.clone();
    cx.note.client = Some(client.id().to_owned());
    let tokens = grant(cx, &client, &form)?;
    let mut fields = vec![
        ("access_token", json!(tokens.access_token)),
        ("token_type", json!("Bearer")),
        ("expires_in", json!(cx.config.access_token_lifetime.as_secs())),
    ];
    fields.extend(tokens.refresh_token.map(|token| ("refresh_token", Value::from(token))));
    fields.push(("scope", json!(tokens.scope.join(" "))));
    Ok(Reply::fields(StatusCode::OK, fields, Format::Json))
}

/// Dispatches on `grant_type`, for a client that is authenticated.
pub(super) fn grant(cx: &mut Context<'_>, client: &Client, form: &Params) -> Result<Tokens, Refusal> {
    match form.get("grant_type") {
        Some("authorization_code") => redeem(cx, client, form),
        Some("refresh_token") => refresh(cx, client, form),
        Some("client_credentials") => client_credentials(cx, client, form),
        Some(_) => Err(Refusal::new("unsupported_grant_type", "the grant type is not supported")),
        None => Err(Refusal::request("grant_type is missing")),
    }
}

/// Exchanges a code (RFC 6749 §4.1.3).
pub(super) fn redeem(cx: &mut Context<'_>, client: &Client, form: &Params) -> Result<Tokens, Refusal> {
    let code = form.get("code").ok_or_else(|| Refusal::request("code is missing"))?;
    let request =
        Redemption { code, redirect_uri: form.get("redirect_uri"), verifier: form.get("code_verifier") };
    let grant = cx.state.redeem(cx.now, client, &request)?;
    cx.note_grant(grant);
    cx.note.outcome = Some(Outcome::CodeRedeemed);
    let scope = cx.state.grant(grant).map(|grant| grant.scope.clone()).unwrap_or_default();
    let mut tokens = access_token(cx, grant, scope);
    if cx.config.issues_refresh_tokens() {
        let token = cx.state.issue_refresh_token(cx.config, cx.now, grant);
        cx.note.issued(IssuedKind::RefreshToken, &token);
        tokens.refresh_token = Some(token);
    }
    Ok(tokens)
}

fn refresh(cx: &mut Context<'_>, client: &Client, form: &Params) -> Result<Tokens, Refusal> {
    let token = form.get("refresh_token").ok_or_else(|| Refusal::request("refresh_token is missing"))?;
    let scope = form.get("scope").map(|scope| split_scope(cx.config.personality, scope));
    if let Some(grant) = cx.state.grant_of_refresh_token(client, token) {
        cx.note_grant(grant);
    }
    let count_as_reused = cx.fault == Some(Fault::RotationReuse);
    if count_as_reused {
        cx.note.fault = cx.fault.clone();
    }
    let refreshed = cx.state.refresh(cx.config, cx.now, client, token, scope, count_as_reused)?;
    cx.note.outcome = Some(refreshed.outcome);
    let mut tokens = access_token(cx, refreshed.grant, refreshed.scope);
    if let Some(token) = refreshed.refresh_token.as_deref().filter(|_| refreshed.rotated) {
        cx.note.issued(IssuedKind::RefreshToken, token);
    }
    tokens.refresh_token = refreshed.refresh_token;
    Ok(tokens)
}

/// A token for the client itself (RFC 6749 §4.4): no user, no refresh token.
fn client_credentials(cx: &mut Context<'_>, client: &Client, form: &Params) -> Result<Tokens, Refusal> {
    if client.authentication() == ClientAuthentication::None {
        return Err(Refusal::new("unauthorized_client", "a public client cannot use client_credentials"));
    }
    let scope = match form.get("scope") {
        None => cx.config.default_scope(),
        Some(scope) => split_scope(cx.config.personality, scope),
    };
    if !scope.iter().all(|asked| cx.config.scopes.contains(asked) && client.may_ask_for(asked)) {
        return Err(Refusal::new("invalid_scope", "the scope is unknown, or not open to this client"));
    }
    let grant = cx.state.add_grant(Grant {
        client: client.id().to_owned(),
        subject: String::new(),
        scope: scope.clone(),
        revoked: false,
        is_app: true,
        with_secret: true,
    });
    cx.note_grant(grant);
    cx.note.outcome = Some(Outcome::ClientCredentialsIssued);
    Ok(access_token(cx, grant, scope))
}

fn access_token(cx: &mut Context<'_>, grant: usize, scope: Vec<String>) -> Tokens {
    let never =
        cx.config.personality == Personality::StackExchange && scope.iter().any(|scope| scope == "no_expiry");
    let expires = (!never).then(|| later(cx.now, cx.config.access_token_lifetime));
    let access_token = cx.state.issue_access_token(grant, scope.clone(), expires);
    cx.note.issued(IssuedKind::AccessToken, &access_token);
    Tokens { grant, access_token, refresh_token: None, scope }
}

/// RFC 7009: answers 200 also for what it does not know.
pub(super) fn revoke(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let form = cx.request.form()?.clone();
    let client = authenticate(cx.config, cx.request, &form)?.clone();
    cx.note.client = Some(client.id().to_owned());
    let token = form.get("token").ok_or_else(|| Refusal::request("token is missing"))?;
    match cx.state.revoke_token(&client, token)? {
        Some(grant) => {
            cx.note_grant(grant);
            cx.note.outcome = Some(Outcome::Revoked);
        }
        None => cx.note.outcome = Some(Outcome::NothingToRevoke),
    }
    Ok(Reply::bytes(StatusCode::OK, "text/plain; charset=utf-8", "").no_store())
}

/// RFC 7662, for clients that authenticate.
pub(super) fn introspect(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let form = cx.request.form()?.clone();
    if cx.config.personality != Personality::Contentstack {
        let client = authenticate(cx.config, cx.request, &form)?;
        if client.authentication() == ClientAuthentication::None {
            return Err(Refusal::client("a public client cannot introspect"));
        }
        cx.note.client = Some(client.id().to_owned());
    }
    let token = form.get("token").ok_or_else(|| Refusal::request("token is missing"))?;
    cx.note.outcome = Some(Outcome::Served);
    let body = match cx.state.access(cx.now, token) {
        Err(_) => json!({ "active": false }),
        Ok((access, _)) if cx.config.personality == Personality::Contentstack => {
            json!({ "active": true, "scope": access.scope.join(" ") })
        }
        Ok((access, grant)) => json!({
            "active": true,
            "client_id": grant.client,
            "scope": access.scope.join(" "),
            "sub": grant.subject,
            "token_type": "Bearer",
        }),
    };
    Ok(Reply::json(StatusCode::OK, &body).no_store())
}

/// The protected resource (RFC 6750 §2.1): the token in the header, and nowhere else.
pub(super) fn resource(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let elsewhere = cx.request.query()?.get("access_token").is_some()
        || cx.request.form_pairs().iter().any(|(name, _)| name == "access_token");
    let token = cx.request.bearer()?;
    if elsewhere {
        return Err(Refusal::request(
            "the access token belongs in the Authorization header and nowhere else",
        ));
    }
    let Some(token) = token else {
        let mut refusal = Refusal::token("an access token is needed");
        refusal.bare_challenge = true;
        return Err(refusal);
    };
    let (access, grant) = cx.state.access(cx.now, token)?;
    let body = json!({
        "client_id": grant.client,
        "scope": access.scope.join(" "),
        "sub": grant.subject,
    });
    let index = access.grant;
    cx.note_grant(index);
    cx.note.outcome = Some(Outcome::Served);
    Ok(Reply::json(StatusCode::OK, &body).no_store())
}
