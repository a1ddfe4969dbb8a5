// Judges an authorization server with a certified client, the npm package `openid-client`: the whole flow must
// succeed, and everything that is wrong must be refused. Prints one line of JSON, a result per step, and exits 0
// only if all are as they should be. README.md has the shape of the target.

import { isDeepStrictEqual } from 'node:util';

import * as oauth from 'openid-client';

import { errorCode, group, must, step, steps } from './steps.mjs';
import { answer } from './user.mjs';

const AUTH_METHODS = { basic: oauth.ClientSecretBasic, post: oauth.ClientSecretPost, none: oauth.None };
const STRANGER = 'nobody-registered-this';
const GUESS = 'a-guess-of-the-right-length-but-not-the-right-one';

const target = readTarget();

function readTarget() {
  const text = process.argv[2] ?? process.env.OPENID_CLIENT_TARGET;
  try {
    const parsed = JSON.parse(text);
    if (!(parsed.issuer || parsed.metadata) || !parsed.client_id || !parsed.redirect_uri || !parsed.resource) {
      throw new Error('it lacks one of: issuer or metadata, client_id, redirect_uri, resource');
    }
    const method = parsed.auth_method ?? (parsed.client_secret ? 'basic' : 'none');
    if (!AUTH_METHODS[method]) throw new Error(`auth_method is one of ${Object.keys(AUTH_METHODS).join(', ')}`);
    return { ...parsed, auth_method: method };
  } catch (error) {
    const example = '{"issuer":"http://127.0.0.1:8080","client_id":"...","redirect_uri":"...","resource":"..."}';
    console.error(`${error.message}\nusage: node openid-client.mjs '${example}'   (README.md has the whole shape)`);
    process.exit(2);
  }
}

// ---- the client ----------------------------------------------------------------------------------------------

function clientOf({ client_id, client_secret, auth_method = 'none' }, metadata) {
  const secret = auth_method === 'none' ? undefined : client_secret;
  const config = new oauth.Configuration(metadata, client_id, {}, AUTH_METHODS[auth_method](secret));
  if (isLoopback(metadata.token_endpoint)) oauth.allowInsecureRequests(config);
  return config;
}

function isLoopback(url) {
  return ['127.0.0.1', '[::1]', 'localhost'].includes(new URL(url).hostname);
}

async function discover(algorithm) {
  const execute = isLoopback(target.issuer) ? [oauth.allowInsecureRequests] : [];
  const config = await oauth.discovery(new URL(target.issuer), target.client_id, {}, oauth.None(), { algorithm, execute });
  const server = config.serverMetadata();
  must(server.issuer === target.issuer, 'the issuer of the metadata is not the one asked for');
  must(server.supportsPKCE('S256'), 'code_challenge_methods_supported lacks S256');
  return { ...server };
}

async function metadataOf() {
  if (target.metadata) return target.metadata;
  const metadata = await step('discovery_rfc8414', async () => {
    const value = await discover('oauth2');
    return { value, detail: value.issuer };
  });
  await step('discovery_openid', async () => {
    const other = await discover('oidc');
    for (const name of ['issuer', 'authorization_endpoint', 'token_endpoint', 'revocation_endpoint']) {
      must(isDeepStrictEqual(other[name], metadata[name]), `${name} differs between the two documents`);
    }
    return { detail: 'says the same' };
  });
  return metadata;
}

async function authorizationUrl(config, changed = {}) {
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const url = oauth.buildAuthorizationUrl(config, {
    redirect_uri: target.redirect_uri,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    ...(target.scope && { scope: target.scope }),
    ...target.parameters,
    ...changed,
  });
  return { url, state, verifier };
}

/** A new authorization response with a code, and what the exchange needs beside it. */
async function authorize(config) {
  const { url, state, verifier } = await authorizationUrl(config);
  const callback = await answer(url, target.redirect_uri);
  const error = callback.searchParams.get('error');
  must(!error, `the callback says ${error}: ${callback.searchParams.get('error_description')}`);
  return { callback, checks: { pkceCodeVerifier: verifier, expectedState: state } };
}

async function newTokens(config) {
  const { callback, checks } = await authorize(config);
  return { callback, checks, tokens: await oauth.authorizationCodeGrant(config, callback, checks) };
}

/** Status of a call to the protected resource with this token, or without one. */
async function resourceStatus(token) {
  const response = await fetch(target.resource, {
    headers: token ? { authorization: `Bearer ${token}` } : {},
    redirect: 'manual',
    signal: AbortSignal.timeout(10_000),
  });
  await response.arrayBuffer();
  if (response.status === 401) {
    const challenge = response.headers.get('www-authenticate') ?? '';
    must(/^bearer\b/i.test(challenge), '401 without a Bearer challenge (RFC 6750 section 3)');
  }
  return response.status;
}

async function resourceAccepts(token) {
  const status = await resourceStatus(token);
  must(status >= 200 && status < 300, `the resource answered ${status}`);
  return { detail: `${status}` };
}

async function resourceRefuses(token) {
  const status = await resourceStatus(token);
  must(status === 401, `the resource answered ${status} instead of 401`);
  return { detail: `${status}` };
}

/** The request must fail at the token endpoint, with this error code of RFC 6749 section 5.2. */
async function refused(request, expected, { challenge = false } = {}) {
  const error = await request().then(() => new Error('accepted'), (caught) => caught);
  const challenged = error instanceof oauth.WWWAuthenticateChallengeError;
  if (!challenged && !(error instanceof oauth.ResponseBodyError)) throw error;

  const code = await errorCode(error);
  must(code === expected, `refused with ${error.status} ${code} instead of ${expected}`);
  const statuses = challenge ? [401] : code === 'invalid_client' ? [400, 401] : [400];
  must(statuses.includes(error.status), `${code} with status ${error.status}`);
  must(challenged || !challenge, 'no WWW-Authenticate for a client that used Authorization');
  return { detail: `${error.status} ${code}` };
}

// ---- what must work ------------------------------------------------------------------------------------------

async function journey(config) {
  const metadata = config.serverMetadata();
  const { callback, checks } = await step('authorization', async () => {
    const value = await authorize(config);
    return { value, detail: `redirected with ${[...value.callback.searchParams.keys()].sort().join(', ')}` };
  });
  await step('callback', async () => {
    const parameters = callback.searchParams;
    must(parameters.get('state') === checks.expectedState, 'state is not the one sent');
    if (metadata.authorization_response_iss_parameter_supported) {
      must(parameters.get('iss') === metadata.issuer, 'iss is not the issuer (RFC 9207)');
    }
    return { detail: parameters.has('iss') ? 'state and iss are right' : 'state is right, no iss announced' };
  });
  const tokens = await step('exchange', async () => {
    const value = await oauth.authorizationCodeGrant(config, callback, checks);
    must(value.token_type.toLowerCase() === 'bearer', `token_type is ${value.token_type}`);
    must(value.refresh_token, 'no refresh_token');
    return { value, detail: Object.keys(value).sort().join(', ') };
  });
  await step('resource', () => resourceAccepts(tokens.access_token));
  await step('resource_without_token_refused', () => resourceRefuses());
  await step('resource_with_guessed_token_refused', () => resourceRefuses(GUESS));

  const refreshed = await step('refresh', async () => {
    const value = await oauth.refreshTokenGrant(config, tokens.refresh_token);
    must(value.access_token !== tokens.access_token, 'the access token is the old one');
    must(value.refresh_token && value.refresh_token !== tokens.refresh_token, 'the refresh token was not rotated');
    return { value, detail: 'new access token, rotated refresh token' };
  });
  await step('resource_after_refresh', () => resourceAccepts(refreshed.access_token));

  await step('revoke_access_token', async () => {
    await oauth.tokenRevocation(config, refreshed.access_token, { token_type_hint: 'access_token' });
    return { detail: '200' };
  });
  await step('revoked_access_token_refused', () => resourceRefuses(refreshed.access_token));
  await step('revoke_refresh_token', async () => {
    await oauth.tokenRevocation(config, refreshed.refresh_token, { token_type_hint: 'refresh_token' });
    return { detail: '200' };
  });
  await step('revoked_refresh_token_refused', () =>
    refused(() => oauth.refreshTokenGrant(config, refreshed.refresh_token), 'invalid_grant'));
  await step('revoking_an_unknown_token_is_no_error', async () => {
    await oauth.tokenRevocation(config, GUESS);
    return { detail: '200 (RFC 7009 section 2.2)' };
  });
}

async function refreshTokenReuse(config) {
  const { tokens } = await newTokens(config);
  const successor = await oauth.refreshTokenGrant(config, tokens.refresh_token);
  await step('reused_refresh_token_refused', () =>
    refused(() => oauth.refreshTokenGrant(config, tokens.refresh_token), 'invalid_grant'));
  await step('reuse_revokes_the_successor', () =>
    refused(() => oauth.refreshTokenGrant(config, successor.refresh_token), 'invalid_grant'));
  await step('reuse_revokes_the_access_token', () => resourceRefuses(successor.access_token));
}

async function denial(config) {
  await step('denial', async () => {
    const { url, state } = await authorizationUrl(config);
    const { searchParams } = await answer(url, target.redirect_uri, 'deny');
    must(searchParams.get('error') === 'access_denied', `error is ${searchParams.get('error')}`);
    must(searchParams.get('state') === state, 'state is not the one sent');
    must(!searchParams.has('code'), 'a code in spite of the denial');
    return { detail: 'access_denied with state' };
  });
}

// ---- what must be refused ------------------------------------------------------------------------------------

/** Each exchange gets a fresh, good code, and spoils one thing. */
function spoiledExchanges(config, metadata) {
  const exchange = (client, { callback, checks }, changed = {}) =>
    oauth.authorizationCodeGrant(client, callback, { ...checks, ...changed });
  const as = (changed) => clientOf({ ...target, ...changed }, metadata);
  const invalidClient = { expected: 'invalid_client', challenge: target.auth_method === 'basic' };

  const all = [
    { name: 'wrong_verifier', run: (good) => exchange(config, good, { pkceCodeVerifier: oauth.randomPKCECodeVerifier() }) },
    { name: 'missing_verifier', run: (good) => exchange(config, good, { pkceCodeVerifier: undefined }) },
    { name: 'wrong_redirect_uri', run: (good) => exchange(config, { ...good, callback: elsewhere(good.callback) }) },
    { name: 'wrong_code', run: (good) => exchange(config, { ...good, callback: withCode(good.callback, GUESS) }) },
    { name: 'unknown_client', run: (good) => exchange(as({ client_id: STRANGER }), good), ...invalidClient },
  ];
  if (target.auth_method !== 'none') {
    const wrong = as({ client_secret: `${target.client_secret}x` });
    const silent = as({ auth_method: 'none' });
    all.push(
      { name: 'wrong_client_secret', run: (good) => exchange(wrong, good), ...invalidClient },
      { name: 'missing_client_secret', run: (good) => exchange(silent, good), expected: 'invalid_client' },
    );
  }
  if (target.other_client) {
    all.push({ name: 'code_of_another_client', run: (good) => exchange(clientOf(target.other_client, metadata), good) });
  }
  return all;
}

/** openid-client takes the redirect URI of the exchange from the callback's URL. */
function elsewhere(callback) {
  const url = new URL(callback);
  url.pathname += url.pathname.endsWith('/') ? 'elsewhere' : '/elsewhere';
  return url;
}

function withCode(callback, code) {
  const url = new URL(callback);
  url.searchParams.set('code', code);
  return url;
}

async function codeReuse(config) {
  const { callback, checks, tokens } = await newTokens(config);
  await step('reused_code_refused', () =>
    refused(() => oauth.authorizationCodeGrant(config, callback, checks), 'invalid_grant'));
  await step('reused_code_revokes_its_tokens', () => resourceRefuses(tokens.access_token));
}

/** Where the client or the redirect URI is not to be trusted, nobody may be sent there (RFC 6749 section 4.1.2.1). */
async function untrustedRedirects(config, metadata) {
  const foreign = 'http://127.0.0.1:1/not-registered';
  const stranger = clientOf({ ...target, client_id: STRANGER }, metadata);
  const requests = {
    unknown_client_is_not_redirected: [await authorizationUrl(stranger), target.redirect_uri],
    unregistered_redirect_uri_is_not_redirected: [await authorizationUrl(config, { redirect_uri: foreign }), foreign],
  };
  for (const [name, [{ url }, redirectUri]] of Object.entries(requests)) {
    await group(() => step(name, async () => {
      const error = await answer(url, redirectUri).then(() => new Error('redirected'), (caught) => caught);
      if (!(error.status >= 400 && error.status < 500)) throw error;
      return { detail: `${error.status}` };
    }));
  }
}

await group(async () => {
  const metadata = await metadataOf();
  const config = clientOf(target, metadata);
  await group(() => journey(config));
  await group(() => refreshTokenReuse(config));
  await group(() => denial(config));
  for (const { name, run, expected = 'invalid_grant', challenge } of spoiledExchanges(config, metadata)) {
    await group(async () => {
      const good = await authorize(config);
      await step(`${name}_refused`, () => refused(() => run(good), expected, { challenge }));
    });
  }
  await group(() => codeReuse(config));
  await group(() => untrustedRedirects(config, metadata));
});

process.stdout.write(`${JSON.stringify({ steps })}\n`);
process.exitCode = steps.every(({ ok }) => ok) ? 0 : 1;
