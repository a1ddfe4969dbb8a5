// The steps of a judgement: what was tried, and whether it went as it should.

import { WWWAuthenticateChallengeError } from 'openid-client';

/** The record: `{ name, ok, detail }` in the order of trying. */
export const steps = [];

class Failure extends Error {}

/** Runs one step and records it. A failed step throws, so that what builds on it is not tried. */
export async function step(name, run) {
  try {
    const { detail, value } = await run();
    steps.push({ name, ok: true, detail });
    return value;
  } catch (error) {
    steps.push({ name, ok: false, detail: await describe(error) });
    throw new Failure(name);
  }
}

/** Steps that need each other. A failure ends this group only. */
export async function group(run) {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Failure)) steps.push({ name: 'unexpected', ok: false, detail: await describe(error) });
    return undefined;
  }
}

/** Error codes, statuses and messages only: never a body, a token or a code. */
async function describe(error) {
  const { cause } = error;
  const reason = cause instanceof Error ? cause.message : cause instanceof Response ? cause.status : undefined;
  return [error.status, await errorCode(error), error.error_description ?? error.message, reason].filter(Boolean).join(' ');
}

/** The `error` of RFC 6749 section 5.2. Where there is a challenge, openid-client leaves the body to its caller. */
export async function errorCode(error) {
  if (!(error instanceof WWWAuthenticateChallengeError)) return error.error;
  if (!error.response.bodyUsed) error.error = (await error.response.json().catch(() => ({}))).error;
  return error.error;
}

export function must(condition, complaint) {
  if (!condition) throw new Error(complaint);
}
