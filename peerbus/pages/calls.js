// Calls to the server that this page came from. All requests of the page go through here.

import { tokenFrom } from "./token.js";

const TIMEOUT = 10_000;
const TOKEN = "peerbus-token";

/** The server refused a call: its code and its sentence. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** The server could not be reached, or the answer is not from peerbus. */
export class NoAnswer extends Error {}

/** The answer to a GET, as an object. */
export async function get(path, query = {}) {
  return JSON.parse(await text(path, query));
}

/** The answer to a GET, as unparsed text. */
export function text(path, query = {}) {
  const fields = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return call(fields.size ? `${path}?${fields}` : path, { method: "GET" });
}

/** The answer, as unparsed text, to a POST of a body that is JSON text. */
export function post(path, body) {
  return call(path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
}

/** The result of `work`, or undefined if its topic was deleted meanwhile; the next refresh shows the deletion. */
export async function unlessGone(work) {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "topic_not_found") throw error;
    return undefined;
  }
}

async function call(path, options) {
  for (;;) {
    const response = await answer(path, options);
    const body = await response.text().catch(() => undefined);
    if (response.ok && body !== undefined) return body;
    const refused = refusal(response.status, body);
    if (!asksForToken(response.status, options.method)) throw refused;
    sessionStorage.setItem(TOKEN, await tokenFrom(refused.message));
  }
}

function answer(path, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
  const signal = AbortSignal.timeout(TIMEOUT);
  return fetch(path, { ...options, headers, signal, cache: "no-store" }).catch(() => {
    throw new NoAnswer("The server does not answer.");
  });
}

/** Whether the call was refused for its token: it is missing, unknown, or does not permit this GET. */
const asksForToken = (status, method) => status === 401 || (status === 403 && method === "GET");

function refusal(status, body) {
  try {
    const { code, message } = JSON.parse(body);
    return new Refusal(code, message);
  } catch {
    return new NoAnswer(`The server answered ${status}, but not in the format of peerbus.`);
  }
}
