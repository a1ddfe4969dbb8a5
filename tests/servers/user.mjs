// A user without a browser: opens the authorization URL, keeps cookies, fills in whatever form is shown, and presses
// approve or deny until the server redirects to the client.

const MAX_STEPS = 20;
const TIMEOUT = 10_000;
const DECISIONS = {
  approve: /approve|allow|accept|authori[sz]e|consent|yes/i,
  deny: /deny|cancel|reject|decline|refuse|no\b/i,
};

/**
 * Returns the URL with which the server sends the user back to `redirectUri`. Nothing is requested from there.
 * Throws where the server shows an error page instead, with its `status`.
 */
export async function answer(authorizationUrl, redirectUri, decision = 'approve') {
  const cookies = new CookieJar();
  let request = { url: new URL(authorizationUrl) };

  for (let step = 0; step < MAX_STEPS; step += 1) {
    const response = await fetch(request.url, {
      method: request.form ? 'POST' : 'GET',
      body: request.form,
      headers: { cookie: cookies.header(request.url) },
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT),
    });
    cookies.keep(request.url, response.headers.getSetCookie());
    const page = await response.text();

    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location) {
      const url = new URL(location, request.url);
      if (sameEndpoint(url, new URL(redirectUri))) return url;
      if (url.origin !== new URL(authorizationUrl).origin) throw new Error(`sent to a foreign origin, ${url.origin}`);
      request = { url };
    } else if (response.ok) {
      request = press(page, request.url, decision);
    } else {
      throw Object.assign(new Error(`the authorization endpoint answered ${response.status}`), { status: response.status });
    }
  }
  throw new Error(`no redirect to the client after ${MAX_STEPS} pages`);
}

function sameEndpoint(a, b) {
  return a.origin === b.origin && a.pathname === b.pathname;
}

/** The request that a browser would make when the button for `decision` is pressed. */
function press(page, url, decision) {
  for (const [, tag, inside] of page.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)) {
    const controls = [...inside.matchAll(/<(input|button)\b([^>]*)>(?:([^<]*)<\/button>)?/gi)].map(
      ([, element, rest, label]) => ({ ...attributes(rest), label, button: element.toLowerCase() === 'button' }),
    );
    const isButton = (control) => control.button || control.type === 'submit';
    // What is sent says more than what is shown: `name="consent" value="deny"` is no consent.
    const button = ['value', 'label', 'name']
      .map((part) => controls.find((control) => isButton(control) && DECISIONS[decision].test(control[part] ?? '')))
      .find(Boolean);
    if (!button) continue;

    const { action, method } = attributes(tag);
    const fields = controls.filter((control) => control.name && (!isButton(control) || control === button));
    const form = new URLSearchParams(fields.map(({ name, value }) => [name, value ?? '']));
    const target = new URL(action || url, url);
    if (method?.toLowerCase() === 'post') return { url: target, form };
    target.search = form;
    return { url: target };
  }
  throw new Error(`the page at ${url.pathname} has no form with a button to ${decision}`);
}

function attributes(tag) {
  const pairs = [...tag.matchAll(/([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))/g)];
  return Object.fromEntries(pairs.map(([, name, ...values]) => [name.toLowerCase(), unescape(values.join(''))]));
}

function unescape(text) {
  const named = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(lt|gt|quot|apos|amp));/gi, (_, hex, decimal, name) =>
    name ? named[name.toLowerCase()] : String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal)));
}

/** The cookies of one origin, each sent below its path only (RFC 6265 section 5.4). */
class CookieJar {
  #cookies = new Map();

  keep(url, headers) {
    for (const header of headers) {
      const [pair, ...rest] = header.split(';').map((part) => part.trim());
      const name = pair.slice(0, pair.indexOf('='));
      const flags = Object.fromEntries(rest.map((flag) => flag.split('=')).map(([key, text]) => [key.toLowerCase(), text]));
      const path = flags.path ?? (url.pathname.replace(/\/[^/]*$/, '') || '/');
      const expired = Number(flags['max-age'] ?? 1) <= 0 || new Date(flags.expires ?? Infinity) <= Date.now();
      if (expired) this.#cookies.delete(`${name};${path}`);
      else this.#cookies.set(`${name};${path}`, { pair, path });
    }
  }

  header({ pathname }) {
    const below = (path) => pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
    return [...this.#cookies.values()].filter(({ path }) => below(path)).map(({ pair }) => pair).join('; ');
  }
}
