//! The `oauth2` crate against the testkit's server.

use std::future::Future;
use std::pin::Pin;

use authflow_testkit::{AuthorizationServer, Client, ScriptedUser};
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicRequestTokenError};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse as _, TokenUrl,
};

type Ready = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;
type HttpFuture = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, reqwest::Error>> + Send>>;

fn http() -> impl Fn(oauth2::HttpRequest) -> HttpFuture {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    move |request| {
        let client = client.clone();
        Box::pin(async move {
            let response = client.execute(request.try_into()?).await?;
            let mut answer = http::Response::builder().status(response.status());
            *answer.headers_mut().unwrap() = response.headers().clone();
            Ok(answer.body(response.bytes().await?.to_vec()).unwrap())
        })
    }
}

fn client(
    server: &AuthorizationServer,
    of: &Client,
    secret: Option<&str>,
    authentication: AuthType,
) -> Ready {
    let mut client = BasicClient::new(ClientId::new(of.id().to_owned()))
        .set_auth_uri(AuthUrl::new(server.authorization_endpoint()).unwrap())
        .set_token_uri(TokenUrl::new(server.token_endpoint()).unwrap())
        .set_redirect_uri(RedirectUrl::new(of.registered_redirect_uris()[0].clone()).unwrap())
        .set_auth_type(authentication);
    if let Some(secret) = secret {
        client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
    }
    client
}

/// A code as the user's browser brings it, with the verifier that belongs to it.
async fn code(client: &Ready) -> (AuthorizationCode, PkceCodeVerifier) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("read".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let callback: url::Url = ScriptedUser::new().approve(url.as_str()).await.unwrap().parse().unwrap();
    let value = |name: &str| callback.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    assert_eq!(&value("state"), state.secret());
    (AuthorizationCode::new(value("code")), verifier)
}

fn refused(error: BasicRequestTokenError<reqwest::Error>) -> BasicErrorResponseType {
    match error {
        RequestTokenError::ServerResponse(response) => response.error().clone(),
        other => panic!("not a typed refusal: {other:?}"),
    }
}

async fn complete(server: &AuthorizationServer, of: &Client, client: Ready) {
    let http = http();
    let (code, verifier) = code(&client).await;
    let tokens = client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
    let resource = |token: String| {
        let url = server.resource_url();
        async move { reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap().status().as_u16() }
    };
    assert_eq!(resource(tokens.access_token().secret().clone()).await, 200);
    let refresh_token = tokens.refresh_token().unwrap().clone();
    let refreshed = client.exchange_refresh_token(&refresh_token).request_async(&http).await.unwrap();
    let access_token = refreshed.access_token().secret().clone();
    assert_eq!(resource(access_token.clone()).await, 200);
    // The crate revokes over https only, and the server is a loopback one: this one request goes by hand.
    let revocable = refreshed.refresh_token().unwrap_or(&refresh_token).secret().clone();
    let mut form = vec![("token", revocable.as_str())];
    let mut request = reqwest::Client::new().post(server.revocation_endpoint());
    match (of.secret(), client.auth_type()) {
        (Some(secret), AuthType::BasicAuth) => {
            let encode =
                |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encode(of.id()), Some(encode(secret)));
        }
        (secret, _) => {
            form.push(("client_id", of.id()));
            form.extend(secret.map(|secret| ("client_secret", secret)));
        }
    }
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
    assert_eq!(resource(access_token).await, 401);
    let gone = client
        .exchange_refresh_token(&RefreshToken::new(refresh_token.secret().clone()))
        .request_async(&http)
        .await;
    assert_eq!(refused(gone.unwrap_err()), BasicErrorResponseType::InvalidGrant);
}

#[tokio::test]
async fn oauth2_completes_with_each_kind_of_client() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    for (of, authentication) in [
        (server.public_client(), AuthType::RequestBody),
        (server.basic_client(), AuthType::BasicAuth),
        (server.post_client(), AuthType::RequestBody),
    ] {
        complete(&server, of, client(&server, of, of.secret(), authentication)).await;
    }
}

#[tokio::test]
async fn oauth2_is_refused_what_is_wrong() {
    let server = AuthorizationServer::builder().start().await.unwrap();
    let http = http();
    let of = server.basic_client();
    let good = client(&server, of, of.secret(), AuthType::BasicAuth);

    let (right, _) = code(&good).await;
    let (_, verifier) = PkceCodeChallenge::new_random_sha256();
    let wrong_verifier = good.exchange_code(right).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(wrong_verifier.unwrap_err()), BasicErrorResponseType::InvalidGrant);

    let (right, _) = code(&good).await;
    let no_verifier = good.exchange_code(right).request_async(&http).await;
    assert_eq!(refused(no_verifier.unwrap_err()), BasicErrorResponseType::InvalidGrant);

    let (right, verifier) = code(&good).await;
    let elsewhere = RedirectUrl::new("http://127.0.0.1:9/elsewhere".to_owned()).unwrap();
    let wrong_redirect = good.clone().set_redirect_uri(elsewhere);
    let wrong_redirect =
        wrong_redirect.exchange_code(right).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(wrong_redirect.unwrap_err()), BasicErrorResponseType::InvalidGrant);

    let (_, verifier) = code(&good).await;
    let wrong = AuthorizationCode::new("no-such-code".to_owned());
    let wrong_code = good.exchange_code(wrong).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(wrong_code.unwrap_err()), BasicErrorResponseType::InvalidGrant);

    let (right, verifier) = code(&good).await;
    let wrong_secret = client(&server, of, Some("wrong"), AuthType::BasicAuth);
    let wrong_client =
        wrong_secret.exchange_code(right).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(wrong_client.unwrap_err()), BasicErrorResponseType::InvalidClient);

    let (right, verifier) = code(&good).await;
    let other = server.post_client();
    let other = client(&server, other, other.secret(), AuthType::RequestBody);
    let others_code = other.exchange_code(right).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(others_code.unwrap_err()), BasicErrorResponseType::InvalidGrant);

    let (right, verifier) = code(&good).await;
    let first =
        good.exchange_code(right.clone()).set_pkce_verifier(PkceCodeVerifier::new(verifier.secret().clone()));
    let tokens = first.request_async(&http).await.unwrap();
    let again = good.exchange_code(right).set_pkce_verifier(verifier).request_async(&http).await;
    assert_eq!(refused(again.unwrap_err()), BasicErrorResponseType::InvalidGrant);
    let refresh_token = tokens.refresh_token().unwrap();
    let revoked = good.exchange_refresh_token(refresh_token).request_async(&http).await;
    assert_eq!(
        refused(revoked.unwrap_err()),
        BasicErrorResponseType::InvalidGrant,
        "reuse of a code revokes its tokens"
    );
}
