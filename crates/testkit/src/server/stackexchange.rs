//! Stack Exchange's wire format: token endpoints and the part of the API that is about tokens.

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    client::Client,
    context::Context,
    fault::Fault,
    ledger::{Endpoint, Outcome},
    params::path_decode,
    refusal::{Refusal, Style},
    reply::{Format, Reply},
    route::{GET, POST, Route},
    token,
};

/// How many tokens one path may name.
const MOST_TOKENS: usize = 20;
/// What is left of a day's requests starts here.
const QUOTA: u64 = 10_000;

pub(super) fn route(path: &str) -> Route {
    match path {
        "/oauth" => return Route::authorize(None),
        "/oauth/access_token" => return token_route(Format::Form),
        "/oauth/access_token/json" => return token_route(Format::Json),
        _ => {}
    }
    let segments: Option<Vec<String>> = path.split('/').skip(1).map(path_decode).collect();
    let segments = segments.unwrap_or_default();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let api = Style::StackExchangeApi;
    match segments.as_slice() {
        ["2.3", "me"] => Route::new(Endpoint::Resource, api, GET, me),
        ["2.3", "access-tokens", tokens] => {
            let tokens = (*tokens).to_owned();
            Route::new(Endpoint::Introspection, api, GET, move |cx| read(cx, &tokens))
        }
        ["2.3", "access-tokens", tokens, "invalidate"] => {
            let tokens = (*tokens).to_owned();
            Route::new(Endpoint::Revocation, api, GET, move |cx| invalidate(cx, &tokens))
        }
        ["2.3", "apps", tokens, "de-authenticate"] => {
            let tokens = (*tokens).to_owned();
            Route::new(Endpoint::Revocation, api, GET, move |cx| de_authenticate(cx, &tokens))
        }
        ["2.3", ..] => {
            let mut route = Route::not_found(api);
            route.serve = Box::new(|_| Err(Refusal::new("no_method", "this method does not exist")));
            route
        }
        _ => Route::not_found(Style::Page),
    }
}

fn token_route(format: Format) -> Route {
    Route::new(Endpoint::Token, Style::StackExchangeToken, POST, move |cx| exchange(cx, format))
}

fn exchange(cx: &mut Context<'_>, format: Format) -> Result<Reply, Refusal> {
    // A body of another type is not read at all, so the first thing that is missing is the client.
    let form = match cx.request.form() {
        Err(refusal) if cx.request.form_pairs().is_empty() => {
            return Err(Refusal { reason: "client_id not provided".to_owned(), ..refusal });
        }
        form => form?.clone(),
    };
    let id = form.get("client_id").ok_or_else(|| Refusal::request("client_id not provided"))?;
    let client: Client =
        cx.config.client(id).cloned().ok_or_else(|| Refusal::new("invalid_client", "client_id not found"))?;
    cx.note.client = Some(client.id().to_owned());
    match (form.get("client_secret"), form.get("code_verifier")) {
        (Some(secret), _) if client.secret() != Some(secret) => {
            return Err(Refusal::new("invalid_client", "client_secret is wrong"));
        }
        (None, None) => return Err(Refusal::request("client_secret not provided")),
        _ => {}
    }
    if form.get("grant_type").is_some_and(|grant_type| grant_type != "authorization_code") {
        return Err(Refusal::new("unsupported_grant_type", "grant_type must be authorization_code"));
    }
    let tokens = token::redeem(cx, &client, &form)?;
    let mut fields = vec![("access_token", json!(tokens.access_token))];
    if !tokens.scope.iter().any(|scope| scope == "no_expiry") {
        fields.push(("expires", json!(cx.config.access_token_lifetime.as_secs())));
    }
    Ok(Reply::fields(StatusCode::OK, fields, format))
}

fn me(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let query = cx.request.query()?;
    let token = query
        .get("access_token")
        .ok_or_else(|| Refusal::new("access_token_required", "access_token is required"))?;
    let key = query.get("key");
    let site = query.get("site");
    let invalid = |_| Refusal::new("invalid_access_token", "access_token is not valid");
    let (access, grant) = cx.state.access(cx.now, token).map_err(invalid)?;
    let registered = cx.config.client(&grant.client).map(Client::api_key);
    match key {
        None => return Err(Refusal::new("key_required", "key is required")),
        key if key != registered => {
            return Err(Refusal::new("access_denied", "`key` is not valid for passed `access_token`."));
        }
        _ => {}
    }
    if site.is_none() {
        return Err(Refusal::new("bad_parameter", "site is required"));
    }
    let account_id = account_id(&grant.subject);
    let user = json!({
        "account_id": account_id,
        // A user has another id on each site; only the account is the same everywhere.
        "user_id": account_id.saturating_add(100_000),
        "user_type": "registered",
        "display_name": format!("user {account_id}"),
        "reputation": 101,
        "link": cx.config.url(&format!("/users/{account_id}")),
    });
    let index = access.grant;
    cx.note_grant(index);
    cx.note.outcome = Some(Outcome::Served);
    Ok(wrapper(cx, vec![user]))
}

/// `/access-tokens/{tokens}`: what the tokens are good for. Tokens that are not valid are left out.
fn read(cx: &mut Context<'_>, tokens: &str) -> Result<Reply, Refusal> {
    let tokens = split(tokens)?;
    let items = tokens.iter().filter_map(|token| describe(cx, token)).collect();
    cx.note.outcome = Some(Outcome::Served);
    Ok(wrapper(cx, items))
}

/// `/access-tokens/{tokens}/invalidate`: ends these tokens.
fn invalidate(cx: &mut Context<'_>, tokens: &str) -> Result<Reply, Refusal> {
    end(cx, tokens, |cx, token| {
        let grant = cx.state.revoke_access_token(token);
        if let Some(grant) = grant {
            cx.note_grant(grant);
        }
    })
}

/// `/apps/{tokens}/de-authenticate`: ends all tokens of the user at the application.
fn de_authenticate(cx: &mut Context<'_>, tokens: &str) -> Result<Reply, Refusal> {
    end(cx, tokens, |cx, token| {
        let Ok((access, grant)) = cx.state.access(cx.now, token) else { return };
        let (index, client, subject) = (access.grant, grant.client.clone(), grant.subject.clone());
        cx.note_grant(index);
        cx.state.revoke_grants(|grant| grant.client == client && grant.subject == subject);
    })
}

fn end(
    cx: &mut Context<'_>,
    tokens: &str,
    mut each: impl FnMut(&mut Context<'_>, &str),
) -> Result<Reply, Refusal> {
    let tokens = split(tokens)?;
    let items: Vec<Value> = tokens.iter().filter_map(|token| describe(cx, token)).collect();
    for token in &tokens {
        each(cx, token);
    }
    cx.note.outcome = Some(if items.is_empty() { Outcome::NothingToRevoke } else { Outcome::Revoked });
    Ok(wrapper(cx, items))
}

fn split(tokens: &str) -> Result<Vec<String>, Refusal> {
    let tokens: Vec<String> =
        tokens.split(';').filter(|token| !token.is_empty()).map(str::to_owned).collect();
    match tokens.len() {
        0 => Err(Refusal::new("bad_parameter", "accessTokens is required")),
        many if many > MOST_TOKENS => Err(Refusal::new("bad_parameter", "accessTokens: at most 20")),
        _ => Ok(tokens),
    }
}

fn describe(cx: &Context<'_>, token: &str) -> Option<Value> {
    let (access, grant) = cx.state.access(cx.now, token).ok()?;
    let mut item = json!({
        "access_token": token,
        "account_id": account_id(&grant.subject),
        "scope": access.scope,
    });
    let expires = access.expires.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
    if let (Some(expires), Some(item)) = (expires, item.as_object_mut()) {
        item.insert("expires_on_date".to_owned(), json!(expires.as_secs()));
    }
    Some(item)
}

/// The object around every reply of the API.
fn wrapper(cx: &mut Context<'_>, items: Vec<Value>) -> Reply {
    cx.state.api_calls = cx.state.api_calls.saturating_add(1);
    let mut fields = vec![("items", Value::from(items)), ("has_more", json!(false))];
    if let Some(Fault::Backoff(seconds)) = cx.fault {
        fields.push(("backoff", json!(seconds)));
        cx.note.fault = cx.fault.clone();
    }
    fields.push(("quota_max", json!(QUOTA)));
    fields.push(("quota_remaining", json!(QUOTA.saturating_sub(cx.state.api_calls))));
    let mut reply = Reply::fields(StatusCode::OK, fields, Format::Json);
    reply.compressed = true;
    reply
}

/// Accounts are numbers; the builder has refused a subject that is none.
fn account_id(subject: &str) -> u64 {
    subject.parse().unwrap_or_default()
}
