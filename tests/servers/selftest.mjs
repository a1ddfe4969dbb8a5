// Holds the two programs against each other: the client must find nothing to complain about in the server, whichever
// way it authenticates, and must complain where something is wrong.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const directory = fileURLToPath(new URL('.', import.meta.url));
const REDIRECT_URI = 'http://127.0.0.1:49152/callback';
let failed = 0;

function start(...args) {
  return spawn(process.execPath, args, { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
}

async function judge(target) {
  const child = start('openid-client.mjs', JSON.stringify(target));
  const exited = once(child, 'exit');
  const [line] = await once(createInterface(child.stdout), 'line');
  const [code] = await exited;
  return { code, steps: JSON.parse(line).steps };
}

function report(ok, text) {
  if (!ok) failed += 1;
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${text}`);
}

const server = start('oidc-provider.mjs', '--redirect-uri', 'https://app.example/callback');
const exited = once(server, 'exit');
const [line] = await once(createInterface(server.stdout), 'line');
const { issuer, userinfo_endpoint, clients } = JSON.parse(line);

const target = ({ client_id, client_secret, token_endpoint_auth_method }) => ({
  issuer,
  client_id,
  client_secret,
  auth_method: token_endpoint_auth_method.replace('client_secret_', ''),
  redirect_uri: REDIRECT_URI,
  resource: userinfo_endpoint,
  scope: 'openid items.read',
});

for (const [name, client] of Object.entries(clients)) {
  const other = client === clients.public ? clients.post : clients.public;
  const { code, steps } = await judge({ ...target(client), other_client: target(other) });
  for (const { name: step, ok, detail } of steps) report(ok, `${name} ${step}: ${detail}`);
  report(code === 0 && steps.length > 25, `${name} exits ${code} after ${steps.length} steps`);
}

const extra = await judge({ ...target(clients.public), redirect_uri: 'https://app.example/callback' });
report(extra.code === 0, 'a redirect URI given with --redirect-uri is accepted');

const wrong = await judge({ ...target(clients.basic), client_secret: 'wrong' });
const complaint = wrong.steps.find(({ name }) => name === 'exchange');
report(wrong.code === 1 && !complaint.ok && complaint.detail.includes('invalid_client'), 'a wrong secret is noticed');

server.stdin.end();
const [code] = await exited;
report(code === 0, 'the server ends with its standard input');
process.exitCode = failed === 0 ? 0 : 1;
