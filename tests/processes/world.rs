//! A provider and one user's connection at it, as the test sees them.

use std::sync::Arc;
use std::time::Duration;

use authflow::http::header::AUTHORIZATION;
use authflow::{
    AuthorizationResponse, Clock as _, ConnectionKey, Connections, ErrorKind, HttpClient as _, HttpRequest,
    Incarnation, KeyRing, LeaseHolder, LeaseOutcome, LeaseRequest, Limits, Record, RefreshMark, Release,
    SystemClock,
};
use authflow_testkit::{
    AuthorizationServer, BadExpiresIn, Consent, Endpoint, Entry, ErrorCode, Fault, LoopbackClient, Outcome,
    ScriptedUser,
};
use sha2::{Digest as _, Sha256};

use crate::process::{Process, in_time};
use crate::relay::{Lets, Relay};
use crate::rig::Rig;
use crate::setup::{Rotates, Setup};

/// The shortest lease that there is.
pub const LEASE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct World {
    pub rig: Arc<Rig>,
    pub server: Arc<AuthorizationServer>,
    pub setup: Setup,
}

impl World {
    /// A user who is not connected.
    pub async fn new(rig: &Arc<Rig>, rotates: Rotates) -> Self {
        let user = any_user();
        let server = AuthorizationServer::builder()
            .rotation(rotates.at_server())
            .consent(Consent::Approve)
            .subject(&user)
            .start()
            .await
            .unwrap();
        let setup = Setup {
            store: rig.backend.address.clone(),
            server: server.base_url().to_owned(),
            rotates,
            lease: LEASE,
            is_steady: false,
            asks_always: false,
            user,
            keys: KeyRing::generate().unwrap(),
        };
        Self { rig: Arc::clone(rig), server: Arc::new(server), setup }
    }

    /// A user whose access token is over, and whose refresh token is good.
    pub async fn expired(rig: &Arc<Rig>, rotates: Rotates) -> Self {
        let world = Self::new(rig, rotates).await;
        world.server.fault_next(Endpoint::Token, Fault::BadExpiresIn(BadExpiresIn::Zero));
        world.connect().await;
        world
    }

    /// Another user at the same provider, whose access token is over.
    pub async fn neighbour(&self) -> Self {
        let setup = Setup { user: any_user(), ..self.setup.clone() };
        let other = Self { rig: Arc::clone(&self.rig), server: Arc::clone(&self.server), setup };
        other.server.fault_next(Endpoint::Token, Fault::BadExpiresIn(BadExpiresIn::Zero));
        other.connect().await;
        other
    }

    pub fn key(&self) -> ConnectionKey {
        self.setup.key()
    }

    /// Connections of this process, which know nothing yet.
    pub fn here(&self) -> Connections {
        self.setup.connections(self.rig.stores(), None)
    }

    pub async fn process(&self) -> Process {
        self.rig.process(&self.setup).await
    }

    /// One whose answers of the provider go through a relay.
    pub async fn process_behind(&self, relay: &Relay) -> Process {
        self.rig.process(&Setup { server: relay.url.clone(), ..self.setup.clone() }).await
    }

    /// Lets a process that wants a token come to a point of its refresh, where it waits.
    pub async fn refresh_until(&self, process: &mut Process, point: &str) {
        match point {
            // P4 is where the lease comes with a mark that was not there before: of another process, which is gone.
            "before renew" => {
                process.ask_until("before lease", "token").await;
                self.leave_a_mark().await;
                process.go_on_until(point).await;
            }
            // P11 is where there is nothing to save. Not that it is too busy: that is saved, so that nobody asks it again for a
            // while.
            "before release" | "after release" => {
                self.server.fault_next(Endpoint::Token, Fault::Refuse(ErrorCode::InvalidClient));
                process.ask_until(point, "token").await;
            }
            _ => process.ask_until(point, "token").await,
        }
    }

    /// A process that wants a token, and waits at a point of its refresh. In the middle of an answer the provider has done its
    /// part, and the relay keeps the rest of it.
    pub async fn hold_at(&self, point: &str) -> (Process, Option<Relay>) {
        let lets = match point {
            "in headers" => Lets::Nothing,
            "in body" => Lets::Half,
            _ => {
                let mut process = self.process().await;
                self.refresh_until(&mut process, point).await;
                return (process, None);
            }
        };
        let relay = Relay::to(&self.setup.server, lets).await;
        let mut process = self.process_behind(&relay).await;
        process.tell("token").await;
        relay.kept().await;
        (process, Some(relay))
    }

    /// The mark of one who leased the connection and is gone. It sent nothing, and nobody can know.
    async fn leave_a_mark(&self) {
        let refresh_token = self.token_entries().pop().unwrap().refresh_token().unwrap().to_owned();
        let holder = LeaseHolder::random().unwrap();
        let hash = Sha256::digest(refresh_token).into();
        let mark = RefreshMark::new(holder, hash, SystemClock::new().now());
        let store = self.rig.stores().0;
        let leased = store.lease(&self.key(), LeaseRequest::new(holder, LEASE).mark(mark)).await.unwrap();
        assert!(matches!(leased, LeaseOutcome::Leased { .. }), "{leased:?}");
        store.release(&self.key(), &holder, Release::new().keep_mark()).await.unwrap();
    }

    /// Leases the connection in this process, and does nothing with it: whoever wants to refresh waits until that has ended.
    pub async fn lease(&self) {
        let request = LeaseRequest::new(LeaseHolder::random().unwrap(), LEASE);
        let leased = self.rig.stores().0.lease(&self.key(), request).await.unwrap();
        assert!(matches!(leased, LeaseOutcome::Leased { .. }), "{leased:?}");
    }

    /// The user connects, in this process. Gives the access token.
    pub async fn connect(&self) -> String {
        assert!(self.server.sign_in(&self.setup.user));
        let here = self.here();
        let authorization = here.begin("p", &self.setup.binding()).unwrap().await.unwrap();
        let callback = ScriptedUser::new().approve(authorization.url()).await.unwrap();
        let response = AuthorizationResponse::from_url(&callback).unwrap();
        let connected = here.complete("p", &response, &self.setup.binding()).await.unwrap();
        assert_eq!(connected.key, self.key());
        let redeemed = self.token_entries().pop().unwrap();
        redeemed.access_token().unwrap().to_owned()
    }

    /// The same in another process.
    pub async fn connect_in(&self, process: &mut Process) -> String {
        let callback = self.begin_in(process).await;
        assert_eq!(process.ask(&format!("complete {callback}")).await, "ok");
        self.token_entries().pop().unwrap().access_token().unwrap().to_owned()
    }

    /// The callback of a flow that another process began.
    pub async fn begin_in(&self, process: &mut Process) -> String {
        let begun = process.ask("begin").await;
        let url = begun.strip_prefix("ok ").expect("it is begun");
        ScriptedUser::new().approve(url).await.unwrap()
    }

    /// Lets a process come to a point of what it is told to do, and kills it there. In the middle of an answer of `endpoint` the
    /// provider has done its part.
    pub async fn kill_at(&self, mut process: Process, point: &str, line: &str, endpoint: Endpoint) {
        let stall = match point {
            "in headers" => Some(Fault::StallHeaders),
            "in body" => Some(Fault::StallBody),
            _ => None,
        };
        match stall {
            Some(stall) => {
                self.server.fault_next(endpoint, stall.clone());
                process.tell(line).await;
                let ledger = self.server.ledger();
                let is_done = |entry: &Entry| entry.endpoint() == endpoint && entry.fault() == Some(&stall);
                in_time("the provider is asked", ledger.wait_for(is_done)).await;
            }
            None => process.ask_until(point, line).await,
        }
        process.kill().await;
    }

    pub async fn record(&self) -> Option<Record> {
        self.rig.stores().0.load(&self.key()).await.unwrap().into_record()
    }

    /// Looks now and then, by the store's own clock.
    pub async fn until_the_lease_ends(&self) {
        let ends = async {
            while self.is_leased().await {
                SystemClock::new().sleep(Duration::from_millis(10)).await;
            }
        };
        in_time("the lease ends", ends).await;
    }

    pub async fn is_leased(&self) -> bool {
        self.record().await.expect("it is connected").lease.is_some()
    }

    /// The version's counter: one for the connect, one more for each write since.
    pub async fn counter(&self) -> u64 {
        self.record().await.expect("it is connected").version.counter()
    }

    pub fn token_entries(&self) -> Vec<Entry> {
        self.server.ledger().token_requests()
    }

    /// What became of each refresh.
    pub fn refreshes(&self) -> Vec<Outcome> {
        self.token_entries()
            .iter()
            .filter(|entry| is_refresh(entry))
            .map(|entry| entry.outcome().clone())
            .collect()
    }

    /// The first refresh, of which the provider said that it does not know the client.
    pub fn refused_client(&self, case: &str) -> Outcome {
        let refused = self.refreshes().swap_remove(0);
        assert!(matches!(&refused, Outcome::Refused { error, .. } if error == "invalid_client"), "{case}");
        refused
    }

    pub fn count(&self, outcome: &Outcome) -> usize {
        self.server.ledger().entries().iter().filter(|entry| entry.outcome() == outcome).count()
    }

    /// Whether the provider takes an access token.
    pub async fn takes(&self, access_token: &str) -> bool {
        let value = format!("Bearer {access_token}").parse().unwrap();
        let request = HttpRequest::get(self.server.resource_url().parse().unwrap());
        let request = request.with_header(AUTHORIZATION, value);
        let answer = LoopbackClient::new().send(request, &Limits::default()).await.unwrap();
        answer.status == authflow::http::StatusCode::OK
    }

    /// Whether the provider gave it, for this user (I3).
    pub fn is_ours(&self, access_token: &str) -> bool {
        self.token_entries().iter().any(|entry| {
            entry.access_token() == Some(access_token) && entry.subject() == Some(&*self.setup.user)
        })
    }

    /// What a process answered is this user's, is what the store holds and what the provider takes, and can be refreshed (I1 to
    /// I4, I7).
    pub async fn check_healthy(&self, answer: &str, case: &str) {
        let token = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {answer}"));
        assert!(self.is_ours(token), "{case}");
        let before = self.server.ledger().count(Endpoint::Token);
        let here = self.here();
        let stored = here.token(&self.key()).await.unwrap();
        assert_eq!(stored.expose(), token, "{case}: what is stored is what was answered");
        assert_eq!(self.server.ledger().count(Endpoint::Token), before, "{case}: nothing was sent for it");
        assert!(self.takes(token).await, "{case}");
        let counter = self.counter().await;
        let next = here.refresh_now(&self.key()).await.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(next.expose() != token && self.is_ours(next.expose()), "{case}");
        assert_eq!(self.refreshes().last(), Some(&Outcome::RefreshUsed), "{case}: the newest was stored");
        assert_eq!(self.counter().await, counter + 1, "{case}");
    }

    /// Whatever was before, the user connects again, in a process that lives, and that is good.
    pub async fn check_connects_again(&self, mut process: Process, case: &str) {
        let newest = self.connect_in(&mut process).await;
        let answer = process.ask("token").await;
        assert_eq!(answer, format!("ok {newest}"), "{case}");
        self.rig.give_back(process);
        self.check_healthy(&answer, case).await;
    }

    /// The provider ended the whole grant, as it does because of a second use of a refresh token (RFC 9700 §4.14.2). The newest
    /// tokens are stored; whoever finds that they are not taken gets a typed answer, and the next connect is good.
    pub async fn check_revoked(&self, answer: &str, case: &str) {
        let token = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{case}: {answer}"));
        assert!(self.is_ours(token), "{case}");
        let here = self.here();
        let stored = here.token(&self.key()).await.unwrap();
        assert_eq!(stored.expose(), token, "{case}");
        assert!(!self.takes(token).await, "{case}");
        let error = here.token_refused(&stored).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsReconnect, "{case}");
        self.check_lost("needs_reconnect: reconnect", "needs_reconnect", case).await;
    }

    /// Only the user can help; nothing more is sent; and the user can help (I5, I7).
    pub async fn check_lost(&self, answer: &str, kind: &str, case: &str) {
        assert_eq!(answer, format!("{kind}: reconnect"), "{case}");
        let before = self.server.ledger().count(Endpoint::Token);
        let error = self.here().token(&self.key()).await.unwrap_err();
        assert_eq!(error.kind().as_str(), kind, "{case}: it is written down");
        assert_eq!(self.server.ledger().count(Endpoint::Token), before, "{case}: nothing was sent for it");
        let token = self.connect().await;
        assert_eq!(self.here().token(&self.key()).await.unwrap().expose(), token, "{case}");
        assert!(self.takes(&token).await, "{case}");
    }
}

fn is_refresh(entry: &Entry) -> bool {
    entry.form_value("grant_type") == Some("refresh_token")
}

/// A name that no other case has.
fn any_user() -> String {
    let random = Incarnation::random().unwrap();
    let random: String = random.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("user-{random}")
}
