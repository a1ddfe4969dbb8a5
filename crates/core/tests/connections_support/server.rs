//! An authorization server, and an API, that keep a ledger.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use authflow_core::{
    Clock as _, Delivery, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, Limits,
    async_trait,
};
use http::StatusCode;
use tokio::sync::watch;

use super::ManualClock;

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotates {
    /// A second use ends the family.
    Strictly,
    /// A second use is answered like the first.
    WithGrace,
    Never,
}

#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers so, and does nothing.
    Answer(u16, &'static [(&'static str, &'static str)], &'static str),
    /// Nothing is sent.
    NotSent,
    /// Does it, and the answer is lost.
    LoseAnswer,
    /// Neither does it nor answers.
    LoseRequest,
    Panic,
}

#[derive(Debug)]
pub struct Server {
    ledger: Mutex<Ledger>,
    pub open: watch::Sender<bool>,
    clock: ManualClock,
}

#[derive(Debug)]
struct Ledger {
    rotates: Rotates,
    expires_in: Option<u64>,
    refresh_token_expires_in: Option<u64>,
    faults: VecDeque<Fault>,
    next: u32,
    /// Refresh token to family.
    families: HashMap<String, u32>,
    used: HashSet<String>,
    ended: HashSet<u32>,
    access: HashMap<String, u32>,
    exchanges: u32,
    refreshes: Vec<String>,
    /// When they came, by the monotonic clock.
    times: Vec<Duration>,
    successes: HashMap<String, u32>,
    revoked: Vec<String>,
    api: Vec<String>,
    bodies: Vec<Vec<u8>>,
    api_answers: VecDeque<(u16, &'static str)>,
    scope: Option<&'static str>,
    account: Option<String>,
}

impl Server {
    pub fn new(rotates: Rotates, clock: &ManualClock) -> Self {
        let ledger = Ledger {
            rotates,
            expires_in: Some(3600),
            refresh_token_expires_in: None,
            faults: VecDeque::new(),
            next: 0,
            families: HashMap::new(),
            used: HashSet::new(),
            ended: HashSet::new(),
            access: HashMap::new(),
            exchanges: 0,
            refreshes: Vec::new(),
            times: Vec::new(),
            successes: HashMap::new(),
            revoked: Vec::new(),
            api: Vec::new(),
            bodies: Vec::new(),
            api_answers: VecDeque::new(),
            scope: None,
            account: None,
        };
        Self { ledger: Mutex::new(ledger), open: watch::Sender::new(true), clock: clock.clone() }
    }

    pub fn fault(&self, fault: Fault) {
        self.ledger.lock().unwrap().faults.push_back(fault);
    }

    pub fn expires_in(&self, seconds: Option<u64>) {
        self.ledger.lock().unwrap().expires_in = seconds;
    }

    pub fn refresh_token_expires_in(&self, seconds: u64) {
        self.ledger.lock().unwrap().refresh_token_expires_in = Some(seconds);
    }

    pub fn scope(&self, scope: &'static str) {
        self.ledger.lock().unwrap().scope = Some(scope);
    }

    pub fn account(&self, account: &str) {
        self.ledger.lock().unwrap().account = Some(account.to_owned());
    }

    pub fn api_answers(&self, status: u16, challenge: &'static str) {
        self.ledger.lock().unwrap().api_answers.push_back((status, challenge));
    }

    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn let_go(&self) {
        self.open.send_replace(true);
    }

    /// How many refresh requests came.
    pub fn refreshes(&self) -> usize {
        self.ledger.lock().unwrap().refreshes.len()
    }

    /// The most refresh requests that came within any second.
    pub fn most_in_a_second(&self) -> usize {
        let times = &self.ledger.lock().unwrap().times;
        let within = |from: &Duration| {
            times.iter().filter(|at| *from <= **at && **at < *from + Duration::from_secs(1)).count()
        };
        times.iter().step_by(7).map(within).max().unwrap_or_default()
    }

    pub fn exchanges(&self) -> u32 {
        self.ledger.lock().unwrap().exchanges
    }

    /// The most successful uses of one refresh token.
    pub fn most_uses(&self) -> u32 {
        self.ledger.lock().unwrap().successes.values().copied().max().unwrap_or_default()
    }

    pub fn revoked(&self) -> Vec<String> {
        self.ledger.lock().unwrap().revoked.clone()
    }

    /// The access tokens that came to the API.
    pub fn api(&self) -> Vec<String> {
        self.ledger.lock().unwrap().api.clone()
    }

    pub fn end_all(&self) {
        let mut ledger = self.ledger.lock().unwrap();
        let all: Vec<_> = ledger.families.values().copied().collect();
        ledger.ended.extend(all);
    }

    /// Whether the API would take this access token.
    pub fn takes(&self, access_token: &str) -> bool {
        let ledger = self.ledger.lock().unwrap();
        ledger.access.get(access_token).is_some_and(|family| !ledger.ended.contains(family))
    }
}

impl Ledger {
    fn issue(&mut self, family: u32) -> HttpResponse {
        self.next += 1;
        let (access, refresh) = (format!("AT-{}", self.next), format!("RT-{}", self.next));
        self.access.insert(access.clone(), family);
        let mut body = serde_json::json!({"access_token": access, "token_type": "Bearer"});
        if self.rotates != Rotates::Never || family == self.next {
            self.families.insert(refresh.clone(), family);
            body["refresh_token"] = refresh.into();
        }
        if let Some(seconds) = self.expires_in {
            body["expires_in"] = seconds.into();
        }
        if let Some(seconds) = self.refresh_token_expires_in {
            body["refresh_token_expires_in"] = seconds.into();
        }
        if let Some(scope) = self.scope {
            body["scope"] = scope.into();
        }
        if let Some(account) = &self.account {
            body["account"] = account.as_str().into();
        }
        json(200, &body.to_string())
    }

    fn refresh(&mut self, token: &str) -> HttpResponse {
        let Some(family) = self.families.get(token).copied() else { return invalid_grant() };
        if self.ended.contains(&family) {
            return invalid_grant();
        }
        if !self.used.insert(token.to_owned()) && self.rotates == Rotates::Strictly {
            self.ended.insert(family);
            return invalid_grant();
        }
        *self.successes.entry(token.to_owned()).or_default() += 1;
        self.issue(family)
    }
}

fn invalid_grant() -> HttpResponse {
    json(400, r#"{"error":"invalid_grant"}"#)
}

fn json(status: u16, body: &str) -> HttpResponse {
    HttpResponse::new(StatusCode::from_u16(status).unwrap(), body)
        .with_header(http::header::CONTENT_TYPE, "application/json".parse().unwrap())
}

#[async_trait]
impl HttpClient for Server {
    async fn send(&self, request: HttpRequest, _: &Limits) -> Result<HttpResponse, HttpError> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let is_token = request.url.path() == "/token";
        let is_refresh = is_token && form.get("grant_type").is_some_and(|grant| grant == "refresh_token");
        let fault = {
            let mut ledger = self.ledger.lock().unwrap();
            match (request.url.path(), is_refresh) {
                (_, true) => {
                    ledger.refreshes.push(form["refresh_token"].clone());
                    ledger.times.push(self.clock.monotonic());
                }
                ("/token", _) => ledger.exchanges += 1,
                ("/revoke", _) => ledger.revoked.push(form["token"].clone()),
                _ => {
                    let sent = request.headers.get("authorization").map(|value| value.to_str().unwrap());
                    ledger.api.push(sent.unwrap_or_default().trim_start_matches("Bearer ").to_owned());
                    ledger.bodies.push(request.body.clone());
                }
            }
            if is_token { ledger.faults.pop_front() } else { None }
        };
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        match &fault {
            Some(Fault::Panic) => panic!("planted"),
            Some(Fault::NotSent) => return Err(HttpError::new(HttpErrorKind::Transport, Delivery::NotSent)),
            Some(Fault::LoseRequest) => {
                return Err(HttpError::new(HttpErrorKind::Transport, Delivery::Unknown));
            }
            Some(Fault::Answer(status, headers, body)) => {
                let mut response = json(*status, body);
                for (name, value) in *headers {
                    response.headers.insert(*name, value.parse().unwrap());
                }
                return Ok(response);
            }
            Some(Fault::LoseAnswer) | None => {}
        }
        let mut ledger = self.ledger.lock().unwrap();
        let response = match (request.url.path(), is_refresh) {
            (_, true) => ledger.refresh(&form["refresh_token"]),
            ("/token", _) => {
                let family = ledger.next + 1;
                ledger.issue(family)
            }
            ("/revoke", _) => {
                let token = &form["token"];
                let family = ledger.families.get(token).or_else(|| ledger.access.get(token)).copied();
                ledger.ended.extend(family);
                json(200, "{}")
            }
            _ => match ledger.api_answers.pop_front() {
                Some((status, challenge)) => {
                    let mut response = json(status, "{}");
                    if !challenge.is_empty() {
                        response.headers.insert("www-authenticate", challenge.parse().unwrap());
                    }
                    response
                }
                None => json(200, "{}"),
            },
        };
        match fault {
            Some(Fault::LoseAnswer) => Err(HttpError::new(HttpErrorKind::Transport, Delivery::Unknown)),
            _ => Ok(response),
        }
    }
}
