//! One request with a token, and its answer without.

use authflow_core::url::Position;
use authflow_core::{AccessToken, BearerChallenge, Connections, HttpRequest};
use http::Extensions;
use http::header::AUTHORIZATION;
use reqwest::{Request, Response, ResponseBuilderExt as _, Url};
use reqwest_middleware::{Next, Result};

use crate::error::{of_connection, redirected, redirects_may_take_it_along};
use crate::middleware::Redirects;

/// A request that is ready to be sent.
pub(crate) struct Attempt {
    request: Request,
    /// The URL that the application asked for.
    asked: Url,
    redirects: Redirects,
    provider_id: Box<str>,
}

pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Whether the API has refused the token, and takes another one maybe.
    pub(crate) is_refused: bool,
}

impl Attempt {
    /// Attaches the token.
    pub(crate) async fn new(
        connections: &Connections,
        redirects: Redirects,
        token: &AccessToken,
        mut request: Request,
    ) -> Result<Self> {
        let mut attached = HttpRequest::new(request.method().clone(), request.url().clone());
        attached.headers.clone_from(request.headers());
        connections.authenticate(token, &mut attached).await.map_err(of_connection)?;
        if redirects == Redirects::Unknown && !stays_at_home(&request, &attached) {
            return Err(of_connection(redirects_may_take_it_along()));
        }
        let asked = request.url().clone();
        *request.method_mut() = attached.method;
        *request.url_mut() = attached.url;
        *request.headers_mut() = attached.headers;
        Ok(Self { request, asked, redirects, provider_id: token.key().provider_id().into() })
    }

    pub(crate) async fn send(self, extensions: &mut Extensions, next: Next<'_>) -> Result<Answer> {
        let Self { request, asked, redirects, provider_id } = self;
        let sent = request.url().clone();
        let result = next.run(request, extensions).await;
        let response = result.map_err(|error| match error.url() {
            // Its `Display` shows it.
            Some(_) if sent != asked => error.with_url(asked.clone()),
            _ => error,
        })?;
        if redirects == Redirects::None && !is_same(&sent, response.url()) {
            return Err(of_connection(redirected(&provider_id)));
        }
        // What another origin says is not about the token, which did not go there.
        let is_refused = response.url().origin() == sent.origin()
            && BearerChallenge::refuses_token(response.status(), response.headers());
        let response = if sent == asked { response } else { with_url(response, asked) };
        Ok(Answer { response, is_refused })
    }
}

/// Whether everything that was attached is in the header that reqwest takes away before it follows a redirect to another
/// origin.
fn stays_at_home(request: &Request, attached: &HttpRequest) -> bool {
    let before = request.headers();
    let is_known =
        |name| name == AUTHORIZATION || before.get_all(name).iter().eq(attached.headers.get_all(name));
    attached.url == *request.url() && attached.headers.keys().all(is_known)
}

/// The fragment is not sent, and reqwest drops it.
fn is_same(sent: &Url, answered: &Url) -> bool {
    sent[..Position::AfterQuery] == answered[..Position::AfterQuery]
}

/// The same answer under another URL: its own shows the token, in its `Debug` and in the errors that come of it.
fn with_url(response: Response, url: Url) -> Response {
    let mut response = http::Response::<reqwest::Body>::from(response);
    if let Ok(made) = http::Response::builder().url(url).body(()) {
        response.extensions_mut().extend(made.into_parts().0.extensions);
    }
    Response::from(response)
}
