// A certified authorization server, the npm package `oidc-provider`, for one test run.
// It listens on a free loopback port, keeps everything in memory, prints one line of JSON when it is ready,
// and ends with its standard input. README.md has the options and what a scripted user has to do.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { interactions } from './interactions.mjs';

const { values: options } = parseArgs({ options: { 'redirect-uri': { type: 'string', multiple: true, default: [] } } });

// Standard output carries the ready line and nothing else, whatever a dependency has to say.
const log = process.env.DEBUG ? (...words) => console.error(...words) : () => {};
console.log = console.info = console.warn = log;

// Only now, because the package warns while it is loaded: its author supports Node 22 and later. What it needs
// beyond Node 20 is this one function, which the early releases of Node 20 lack.
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const { Provider } = await import('oidc-provider');

// The reader of the ready line holds the other end of stdin: when it dies, even by SIGKILL, so does this process.
process.stdin.resume();
for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit(0));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const MINUTE = 60;
const SCOPES = ['openid', 'offline_access', 'items.read', 'items.write'];

// Without a port: `application_type: native` allows any port on a loopback address (RFC 8252 section 7.3).
const REDIRECT_URIS = ['127.0.0.1', '[::1]'].flatMap((host) => [`http://${host}/callback`, `http://${host}/`]);

// Characters that do not survive HTTP Basic unless id and secret are form-encoded first (RFC 6749 section 2.3.1),
// and a literal %2F that tells when they are decoded twice. Non-ASCII is not allowed in a secret (appendix A.2).
const BASIC_SECRET = 'a:b+c %2F/&=?~';

const clients = {
  public: client('public-client', 'none'),
  basic: client('basic:client +%', 'client_secret_basic', BASIC_SECRET),
  post: client('post-client', 'client_secret_post', 'post+secret&with=form %characters'),
};

function client(id, method, secret) {
  return {
    client_id: id,
    ...(secret && { client_secret: secret }),
    token_endpoint_auth_method: method,
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [...REDIRECT_URIS, ...options['redirect-uri']],
  };
}

function configuration() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    clients: Object.values(clients),
    scopes: SCOPES,
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    // By default only `offline_access` with `prompt=consent` gets one. A client under test asks for what it likes.
    issueRefreshToken: (_ctx, asker) => asker.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    features: {
      devInteractions: { enabled: false },
      revocation: { enabled: true, allowedPolicy: (_ctx, asker, token) => token.clientId === asker.clientId },
      rpInitiatedLogout: { enabled: false },
    },
    ttl: {
      AccessToken: 60 * MINUTE,
      AuthorizationCode: MINUTE,
      Grant: 60 * MINUTE,
      IdToken: 60 * MINUTE,
      Interaction: 10 * MINUTE,
      RefreshToken: 60 * MINUTE,
      Session: 60 * MINUTE,
    },
    renderError: (ctx, { error, error_description: description }) => {
      ctx.type = 'text/plain';
      ctx.body = `${error}: ${description ?? ''}\n`;
    },
  };
}

// GET /counts tells how many requests the token endpoint and the revocation endpoint have had.
function counting({ token_endpoint, revocation_endpoint }, next) {
  const counts = { token: 0, revocation: 0 };
  const counted = { [new URL(token_endpoint).pathname]: 'token', [new URL(revocation_endpoint).pathname]: 'revocation' };
  return (request, response) => {
    if (request.url === '/counts') return response.end(JSON.stringify(counts));
    if (request.method === 'POST' && counted[request.url]) counts[counted[request.url]] += 1;
    return next(request, response);
  };
}

// The issuer names the port and the port is known only once it is bound: so listen first.
let handler = (_request, response) => response.writeHead(503).end();
const server = createServer((request, response) => handler(request, response));

server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  for (const event of ['server_error', 'authorization.error', 'grant.error', 'revocation.error', 'userinfo.error']) {
    provider.on(event, (_ctx, error) => log(event, error.error, error.error_description ?? error));
  }
  const answer = (handler = interactions(provider, provider.callback(), log));

  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const { authorization_endpoint, token_endpoint, revocation_endpoint, userinfo_endpoint } = metadata;
  const endpoints = { authorization_endpoint, token_endpoint, revocation_endpoint, userinfo_endpoint };
  handler = counting(endpoints, answer);
  process.stdout.write(`${JSON.stringify({ issuer, ...endpoints, scopes: SCOPES, clients })}\n`);
});
