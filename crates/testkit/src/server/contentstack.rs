//! Contentstack's wire format: application, developer hub and management API on one origin.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    authorize,
    client::Client,
    context::Context,
    ledger::{Endpoint, Outcome},
    params::{Params, path_decode},
    refusal::{Refusal, Style},
    reply::{Format, Reply},
    request::Received,
    route::{GET, POST, Route},
    token,
};

const DELETE: &[Method] = &[Method::DELETE];

pub(super) fn route(request: &Received) -> Route {
    let segments: Option<Vec<String>> = request.path.split('/').skip(1).map(path_decode).collect();
    let segments = segments.unwrap_or_default();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let style = Style::Contentstack;
    match segments.as_slice() {
        ["apps", app_uid, "authorize"] => Route::authorize(Some((*app_uid).to_owned())),
        // `/?client_id=…#!/apps/{app_uid}/authorize`: the fragment stays in the browser.
        [""] if request.query().is_ok_and(|query| query.get("client_id").is_some()) => Route::authorize(None),
        ["apps", app_uid, "install"] => {
            let app_uid = (*app_uid).to_owned();
            Route::new(Endpoint::Authorization, Style::Page, GET, move |cx| {
                Ok(authorize::install(cx, &app_uid))
            })
        }
        ["token"] | ["apps", "token"] | ["apps-api", "token"] | ["apps-api", "apps", "token"] => {
            Route::new(Endpoint::Token, Style::OAuth, POST, exchange)
        }
        ["apps-api", "introspect"] => {
            Route::new(Endpoint::Introspection, Style::OAuth, POST, token::introspect)
        }
        ["manifests", app_uid, "authorizations"] => {
            let app_uid = (*app_uid).to_owned();
            if request.method == Method::DELETE {
                return Route::new(Endpoint::Revocation, style, DELETE, move |cx| revoke(cx, &app_uid, None));
            }
            Route::new(Endpoint::Authorizations, style, GET, move |cx| authorizations(cx, &app_uid))
        }
        ["manifests", app_uid, "authorizations", authorization_uid] => {
            let (app_uid, authorization_uid) = ((*app_uid).to_owned(), (*authorization_uid).to_owned());
            Route::new(Endpoint::Revocation, style, DELETE, move |cx| {
                revoke(cx, &app_uid, Some(&authorization_uid))
            })
        }
        ["v3", "user"] => Route::new(Endpoint::Resource, style, GET, user),
        ["v3", "stacks"] => Route::new(Endpoint::Resource, style, GET, stacks),
        ["v3", ..] | ["manifests", ..] => Route::not_found(style),
        _ => Route::not_found(Style::Page),
    }
}

fn exchange(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let form = cx.request.form()?.clone();
    if cx.request.single_header("authorization")?.is_some() {
        return Err(Refusal::request("the token endpoint takes no Authorization header"));
    }
    let id = form.get("client_id").ok_or_else(|| Refusal::client("client_id is missing"))?;
    let client: Client =
        cx.config.client(id).cloned().ok_or_else(|| Refusal::client("the client is unknown"))?;
    cx.note.client = Some(client.id().to_owned());
    if form.get("app_id").is_some_and(|app| app != client.registered_app_uid()) {
        return Err(Refusal::request("app_id is not that of this client"));
    }
    let with_secret = authenticate(cx, &client, &form)?;
    let tokens = token::grant(cx, &client, &form)?;
    if with_secret {
        cx.state.note_secret(tokens.grant);
    }
    let grant = cx.state.grant(tokens.grant);
    let (is_app, subject) = grant.map(|grant| (grant.is_app, grant.subject.clone())).unwrap_or_default();
    let config = cx.config;
    let mut fields = vec![("access_token", json!(tokens.access_token))];
    fields.extend(tokens.refresh_token.map(|token| ("refresh_token", Value::from(token))));
    fields.extend([
        ("token_type", json!("Bearer")),
        ("expires_in", json!(config.access_token_lifetime.as_secs())),
        ("location", json!(config.location)),
        ("region", json!(config.location)),
        ("organization_uid", json!(config.organization_uid)),
        ("authorization_type", json!(if is_app { "app" } else { "user" })),
        ("user_uid", json!(subject)),
        ("stack_api_key", json!(config.stack_api_key)),
    ]);
    Ok(Reply::fields(StatusCode::OK, fields, Format::Json))
}

/// Either the secret or the verifier, never both. Says whether it was the secret.
fn authenticate(cx: &Context<'_>, client: &Client, form: &Params) -> Result<bool, Refusal> {
    let secret = form.get("client_secret");
    if secret.is_some() && client.secret() != secret {
        return Err(Refusal::client("the client secret is wrong"));
    }
    match form.get("grant_type") {
        Some("authorization_code") => match (secret, form.get("code_verifier")) {
            (Some(_), Some(_)) => Err(Refusal::request("client_secret and code_verifier exclude each other")),
            (None, None) => Err(Refusal::client("client_secret or code_verifier is needed")),
            (secret, _) => Ok(secret.is_some()),
        },
        // A refresh needs the secret where the exchange had it.
        Some("refresh_token") if secret.is_none() => {
            let grant =
                form.get("refresh_token").and_then(|token| cx.state.grant_of_refresh_token(client, token));
            let needs_secret =
                grant.and_then(|index| cx.state.grant(index)).is_some_and(|grant| grant.with_secret);
            if needs_secret { Err(Refusal::client("the client secret is missing")) } else { Ok(false) }
        }
        Some("client_credentials") if secret.is_none() => {
            Err(Refusal::client("client_credentials needs the client secret"))
        }
        _ => Ok(secret.is_some()),
    }
}

/// The grant behind the bearer token of an API request.
fn bearer(cx: &mut Context<'_>) -> Result<usize, Refusal> {
    let token = cx
        .request
        .bearer()?
        .ok_or_else(|| Refusal::token("You're not allowed in here unless you're logged in."))?;
    let (access, _) = cx.state.access(cx.now, token)?;
    let index = access.grant;
    cx.note_grant(index);
    Ok(index)
}

/// The developer hub wants to know the organization besides the token.
fn app(cx: &mut Context<'_>, app_uid: &str) -> Result<String, Refusal> {
    let index = bearer(cx)?;
    if cx.request.single_header("organization_uid")? != Some(cx.config.organization_uid.as_str()) {
        return Err(Refusal::new("organization_uid", "the header organization_uid is missing or wrong")
            .with_status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let own = cx.state.grant(index).and_then(|grant| cx.config.client(&grant.client));
    match own {
        Some(client) if client.registered_app_uid() == app_uid => Ok(client.id().to_owned()),
        _ => Err(Refusal::new("app_uid", "the app was not found").with_status(StatusCode::NOT_FOUND)),
    }
}

/// The app's authorizations that are alive: one a user, named after the first of the user's grants.
fn alive(cx: &Context<'_>, client: &str) -> Vec<(String, String)> {
    let mut users: Vec<(String, String)> = Vec::new();
    for (index, grant) in cx.state.grants().iter().enumerate() {
        let listed = users.iter().any(|(_, subject)| *subject == grant.subject);
        if grant.client == client && !grant.revoked && !grant.subject.is_empty() && !listed {
            users.push((format!("authorization{index}"), grant.subject.clone()));
        }
    }
    users
}

fn authorizations(cx: &mut Context<'_>, app_uid: &str) -> Result<Reply, Refusal> {
    let client = app(cx, app_uid)?;
    let data: Vec<Value> = alive(cx, &client)
        .into_iter()
        .map(|(uid, subject)| json!({ "authorization_uid": uid, "user": { "uid": subject } }))
        .collect();
    cx.note.outcome = Some(Outcome::Served);
    Ok(Reply::json(StatusCode::OK, &json!({ "data": data })).no_store())
}

fn revoke(cx: &mut Context<'_>, app_uid: &str, authorization_uid: Option<&str>) -> Result<Reply, Refusal> {
    let client = app(cx, app_uid)?;
    let subjects: Vec<String> = alive(cx, &client)
        .into_iter()
        .filter(|(uid, _)| authorization_uid.is_none_or(|wanted| wanted == uid))
        .map(|(_, subject)| subject)
        .collect();
    if subjects.is_empty() && authorization_uid.is_some() {
        return Err(Refusal::new("authorization_uid", "the authorization was not found")
            .with_status(StatusCode::NOT_FOUND)
            .with_outcome(Outcome::NothingToRevoke));
    }
    cx.state.revoke_grants(|grant| grant.client == client && subjects.contains(&grant.subject));
    cx.note.outcome = Some(Outcome::Revoked);
    Ok(Reply::json(StatusCode::OK, &json!({ "message": "The authorization was revoked." })).no_store())
}

fn user(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    let index = bearer(cx)?;
    let subject = cx.state.grant(index).map(|grant| grant.subject.clone()).unwrap_or_default();
    if subject.is_empty() {
        return Err(Refusal::token("an app token has no user"));
    }
    cx.note.outcome = Some(Outcome::Served);
    let user = json!({
        "user": {
            "uid": subject,
            "email": format!("{subject}@example.com"),
            "first_name": "Test",
            "last_name": "User",
        }
    });
    Ok(Reply::json(StatusCode::OK, &user).no_store())
}

fn stacks(cx: &mut Context<'_>) -> Result<Reply, Refusal> {
    bearer(cx)?;
    let organization = cx.request.single_header("organization_uid")?;
    let stack = cx.request.single_header("api_key")?;
    let known = organization == Some(cx.config.organization_uid.as_str())
        || (stack.is_some() && stack == Some(cx.config.stack_api_key.as_str()));
    if !known {
        return Err(Refusal::new(
            "organization_uid",
            "the header organization_uid or api_key is missing or wrong",
        )
        .with_status(StatusCode::UNPROCESSABLE_ENTITY));
    }
    cx.note.outcome = Some(Outcome::Served);
    let stack = json!({ "name": "Example stack", "org_uid": cx.config.organization_uid });
    Ok(Reply::json(StatusCode::OK, &json!({ "stacks": [stack] })).no_store())
}
