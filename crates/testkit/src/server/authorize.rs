//! The authorization endpoint and the consent page's form (RFC 6749 §4.1.1, §4.1.2).

use http::Method;

use super::{
    client::{Client, Pkce},
    config::{Consent, IssuerParameter, Personality},
    context::Context,
    fault,
    ledger::{IssuedKind, Outcome},
    page,
    params::{Params, encode_pairs},
    pkce::Challenge,
    redirect_uri,
    refusal::{Refusal, Style},
    reply::Reply,
    route::CONSENT_PATH,
};

/// A checked authorization request.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) redirect_uri_sent: bool,
    pub(super) scope: Vec<String>,
    pub(super) state: Option<String>,
    pub(super) challenge: Option<Challenge>,
    /// Contentstack's installation: no request parameters, an app token.
    pub(super) is_install: bool,
}

/// An error to be told to the client, at a redirect URI that is known to be its own.
struct Refused {
    redirect_uri: String,
    state: Option<String>,
    error: &'static str,
    reason: &'static str,
}

enum Problem {
    /// Redirecting would be unsafe (RFC 6749 §4.1.2.1).
    Page(Refusal),
    Redirect(Refused),
}

/// Serves the authorization endpoint. `app_uid` is Contentstack's, from the path.
pub(super) fn authorize(cx: &mut Context<'_>, app_uid: Option<&str>) -> Reply {
    let request = match cx.request.method {
        Method::GET => cx.request.query().cloned(),
        _ => cx.request.form().cloned(),
    };
    let checked = request.map_err(Problem::Page).and_then(|params| check(cx, &params, app_uid));
    match checked {
        Ok(request) => ask(cx, &request),
        Err(Problem::Page(refusal)) => {
            cx.note.outcome = Some(refusal.outcome());
            Style::Page.render(&refusal)
        }
        Err(Problem::Redirect(refused)) => refuse(cx, &refused),
    }
}

/// Serves the start of an installation at Contentstack, which has no parameters.
pub(super) fn install(cx: &mut Context<'_>, app_uid: &str) -> Reply {
    let config = cx.config;
    let request = config.client_of_app(app_uid).and_then(|client| {
        Some(Request {
            client: client.id().to_owned(),
            redirect_uri: client.registered_redirect_uris().first()?.clone(),
            redirect_uri_sent: false,
            scope: config.scopes.iter().filter(|scope| client.may_ask_for(scope)).cloned().collect(),
            state: None,
            challenge: None,
            is_install: true,
        })
    });
    match request {
        Some(request) => ask(cx, &request),
        None => {
            let refusal = Refusal::request("the app uid is unknown, or no redirect URI is registered for it");
            cx.note.outcome = Some(refusal.outcome());
            Style::Page.render(&refusal)
        }
    }
}

/// Serves the form of the consent page.
pub(super) fn decide(cx: &mut Context<'_>) -> Reply {
    let decision = cx.request.form().and_then(|form| {
        let ticket = form.get("ticket").ok_or_else(|| Refusal::request("the form has no ticket"))?;
        let approved = match form.get("decision") {
            Some("approve") => true,
            Some("deny") => false,
            _ => return Err(Refusal::request("the form has no decision")),
        };
        Ok((ticket, approved))
    });
    let decided = decision.and_then(|(ticket, approved)| {
        let request = cx.state.use_ticket(ticket, cx.now);
        let request = request.ok_or_else(|| {
            Refusal::request("this page was answered before or is too old; start again in the application")
        })?;
        Ok((request, approved))
    });
    match decided {
        Ok((request, true)) => approve(cx, &request),
        Ok((request, false)) => deny(cx, &request),
        Err(refusal) => {
            cx.note.outcome = Some(refusal.outcome());
            Style::Page.render(&refusal)
        }
    }
}

fn check(cx: &mut Context<'_>, params: &Params, app_uid: Option<&str>) -> Result<Request, Problem> {
    let unsafe_page = |reason: &str| Problem::Page(Refusal::request(reason));
    if params.is_duplicate("client_id") || params.is_duplicate("redirect_uri") {
        return Err(unsafe_page("client_id or redirect_uri was sent more than once"));
    }
    let id = params.get("client_id").ok_or_else(|| unsafe_page("client_id is missing"))?;
    let config = cx.config;
    let client = config.client(id).ok_or_else(|| unsafe_page("client_id is unknown"))?;
    cx.note.client = Some(client.id().to_owned());
    if app_uid.is_some_and(|app_uid| app_uid != client.registered_app_uid()) {
        return Err(unsafe_page("the app uid in the path is not that of this client"));
    }
    let redirect_uri_sent = params.get("redirect_uri");
    let redirect_uri = redirect_target(config.personality, client, redirect_uri_sent).map_err(unsafe_page)?;

    let state = params.get("state").filter(|_| !params.is_duplicate("state"));
    let problem = |error: &'static str, reason: &'static str| {
        Problem::Redirect(Refused {
            redirect_uri: redirect_uri.clone(),
            state: state.map(str::to_owned),
            error,
            reason,
        })
    };
    if params.duplicate().is_some() {
        return Err(problem("invalid_request", "a parameter was sent more than once"));
    }
    match params.get("response_type") {
        Some("code") => {}
        // Stack Exchange's documents do not list the parameter.
        None if config.personality == Personality::StackExchange => {}
        None => return Err(problem("invalid_request", "response_type is missing")),
        Some(_) => return Err(problem("unsupported_response_type", "response_type must be code")),
    }
    if params.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(problem("invalid_request", "response_mode must be query"));
    }
    if params.get("request").is_some() {
        return Err(problem("request_not_supported", "request objects are not supported"));
    }
    if params.get("request_uri").is_some() {
        return Err(problem("request_uri_not_supported", "request_uri is not supported"));
    }
    let scope = match params.get("scope") {
        None => config.default_scope(),
        Some(scope) => split_scope(config.personality, scope),
    };
    if !scope.iter().all(|asked| config.scopes.contains(asked) && client.may_ask_for(asked)) {
        return Err(problem("invalid_scope", "the scope is unknown, or not open to this client"));
    }
    let challenge =
        Challenge::read(params.get("code_challenge"), params.get("code_challenge_method"), config.plain_pkce)
            .map_err(|reason| problem("invalid_request", reason))?;
    if challenge.is_none() && client.pkce_policy() == Pkce::Required {
        return Err(problem("invalid_request", "code_challenge is missing, PKCE is required"));
    }
    Ok(Request {
        client: client.id().to_owned(),
        redirect_uri_sent: redirect_uri_sent.is_some(),
        scope,
        state: state.map(str::to_owned),
        challenge,
        is_install: false,
        redirect_uri,
    })
}

fn redirect_target(
    personality: Personality,
    client: &Client,
    presented: Option<&str>,
) -> Result<String, &'static str> {
    let registered = client.registered_redirect_uris();
    let Some(presented) = presented else {
        // RFC 6749 §3.1.2.3: may be left out where there is only one. At Contentstack the first is the default.
        return match (registered, personality) {
            ([only], _) | ([only, ..], Personality::Contentstack) => Ok(only.clone()),
            _ => Err("redirect_uri is missing"),
        };
    };
    if redirect_uri::flaw(presented).is_some() {
        return Err("redirect_uri is not an absolute URI without fragment, user name and password");
    }
    let known = registered.iter().any(|registered| match personality {
        Personality::StackExchange => redirect_uri::under_domain(registered, presented),
        Personality::Rfc | Personality::Contentstack => redirect_uri::matches(registered, presented),
    });
    if known { Ok(presented.to_owned()) } else { Err("redirect_uri is not registered for this client") }
}

/// Scopes are separated by spaces; at Stack Exchange by commas, and spaces work too.
pub(super) fn split_scope(personality: Personality, scope: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for one in scope.split(|c| c == ' ' || (c == ',' && personality == Personality::StackExchange)) {
        if !one.is_empty() && !scopes.iter().any(|known| known == one) {
            scopes.push(one.to_owned());
        }
    }
    scopes
}

fn ask(cx: &mut Context<'_>, request: &Request) -> Reply {
    cx.note.client = Some(request.client.clone());
    cx.note.subject = Some(cx.state.subject.clone());
    match cx.config.consent {
        Consent::Approve => approve(cx, request),
        Consent::Deny => deny(cx, request),
        Consent::Ask => {
            let Some(client) = cx.config.client(&request.client) else {
                return Style::Page.render(&Refusal::request("client_id is unknown"));
            };
            let ticket = cx.state.open_ticket(request.clone(), cx.now);
            cx.note.outcome = Some(Outcome::ConsentShown);
            page::consent(&page::Question {
                action: CONSENT_PATH,
                client: client.display_name(),
                subject: &cx.state.subject,
                scope: &request.scope,
                redirect_uri: &request.redirect_uri,
                ticket: &ticket,
            })
        }
    }
}

fn approve(cx: &mut Context<'_>, request: &Request) -> Reply {
    cx.note.client = Some(request.client.clone());
    cx.note.subject = Some(cx.state.subject.clone());
    let fault = cx.state.faults.take_of_callback();
    if let Some((error, description, uri)) = fault.as_ref().and_then(fault::Fault::callback_error) {
        cx.note.fault = fault;
        let mut pairs = vec![("error", error.to_owned()), ("error_description", description.to_owned())];
        pairs.extend(uri.map(|uri| ("error_uri", uri.to_owned())));
        cx.note.outcome = Some(match error {
            "access_denied" => Outcome::Denied,
            _ => Outcome::Refused { error: error.to_owned(), reason: "the fault says so".to_owned() },
        });
        return respond(cx, &request.redirect_uri, request.state.as_deref(), pairs, None);
    }
    let (grant, code) = cx.state.issue_code(cx.config, cx.now, request);
    cx.note.grant = u64::try_from(grant).ok();
    cx.note.issued(IssuedKind::Code, &code);
    cx.note.outcome = Some(Outcome::CodeIssued);
    let mut pairs = vec![("code", code)];
    if cx.config.personality == Personality::Contentstack {
        pairs.push(("location", cx.config.location.clone()));
        if request.is_install {
            pairs.push(("region", cx.config.location.clone()));
            pairs.push(("installation_uid", format!("installation{grant}")));
        }
    }
    respond(cx, &request.redirect_uri, request.state.as_deref(), pairs, fault)
}

fn deny(cx: &mut Context<'_>, request: &Request) -> Reply {
    cx.note.client = Some(request.client.clone());
    cx.note.outcome = Some(Outcome::Denied);
    let fault = cx.state.faults.take_of_callback();
    let pairs = vec![
        ("error", "access_denied".to_owned()),
        ("error_description", "the user denied the request".to_owned()),
    ];
    respond(cx, &request.redirect_uri, request.state.as_deref(), pairs, fault)
}

fn refuse(cx: &mut Context<'_>, refused: &Refused) -> Reply {
    cx.note.outcome =
        Some(Outcome::Refused { error: refused.error.to_owned(), reason: refused.reason.to_owned() });
    let pairs = vec![("error", refused.error.to_owned()), ("error_description", refused.reason.to_owned())];
    respond(cx, &refused.redirect_uri, refused.state.as_deref(), pairs, None)
}

/// The authorization response: a redirect with the parameters in the query (RFC 6749 §4.1.2).
fn respond(
    cx: &mut Context<'_>,
    redirect_uri: &str,
    state: Option<&str>,
    mut pairs: Vec<(&'static str, String)>,
    fault: Option<fault::Fault>,
) -> Reply {
    pairs.extend(state.map(|state| ("state", state.to_owned())));
    match cx.config.issuer_parameter {
        IssuerParameter::Advertised | IssuerParameter::Unadvertised => {
            pairs.push(("iss", cx.config.base_url.clone()));
        }
        IssuerParameter::Wrong => pairs.push(("iss", "https://attacker.example".to_owned())),
        IssuerParameter::Omitted => {}
    }
    if let Some(fault) = fault {
        if fault::redirect_pairs(&fault, &mut pairs) {
            cx.note.fault = Some(fault);
        }
    }
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    Reply::see_other(&format!("{redirect_uri}{joint}{}", encode_pairs(&pairs)))
}
