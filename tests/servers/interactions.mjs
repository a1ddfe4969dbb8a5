// The two pages between the authorization request and the redirect back: sign in, and consent.
// Each is one form without script, so that plain HTTP is enough to be the user.

const USER = 'alice';

/** Serves /interaction/UID and hands everything else to `next`. */
export function interactions(provider, next, log) {
  return (request, response) => {
    if (!request.url.startsWith('/interaction/')) return next(request, response);
    const answer = request.method === 'POST' ? decide : show;
    return answer(provider, request, response).catch((error) => {
      log('interaction', error);
      response.writeHead(error.statusCode ?? 500, { 'content-type': 'text/plain' }).end(`${error.message}\n`);
    });
  };
}

async function show(provider, request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  const login = prompt.name === 'login';
  response.writeHead(200, { 'cache-control': 'no-store', 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html>
<html lang="en">
<title>${login ? 'Sign in' : 'Authorize'}</title>
<h1>${login ? 'Sign in' : 'Authorize'}</h1>
<p>${escape(params.client_id)} asks for: ${escape(params.scope ?? 'nothing in particular')}</p>
<form method="post" action="${escape(request.url)}">
<input type="hidden" name="prompt" value="${prompt.name}">
${login ? `<label>Name <input type="text" name="login" value="${USER}"></label>` : ''}
<button type="submit" name="decision" value="approve">${login ? 'Sign in' : 'Approve'}</button>
<button type="submit" name="decision" value="deny">${login ? 'Cancel' : 'Deny'}</button>
</form>
</html>
`);
}

async function decide(provider, request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const form = await body(request);
  if (form.get('prompt') !== prompt.name) {
    throw Object.assign(new Error(`this form asks for ${prompt.name}; send its hidden input too`), { statusCode: 400 });
  }
  const finish = (result, mergeWithLastSubmission) =>
    provider.interactionFinished(request, response, result, { mergeWithLastSubmission });

  if (form.get('decision') !== 'approve') {
    return finish({ error: 'access_denied', error_description: 'the user said no' }, false);
  }
  if (prompt.name === 'login') {
    return finish({ login: { accountId: form.get('login') || USER } }, false);
  }

  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  return finish({ consent: { grantId: await grant.save() } }, true);
}

async function body(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 65_536) throw Object.assign(new Error('form too large'), { statusCode: 413 });
  }
  return new URLSearchParams(text);
}

function escape(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
