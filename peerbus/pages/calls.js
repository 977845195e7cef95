// Calls to the server this page came from: the one place that fetches.

import { tokenFrom } from "./token.js";

const TIMEOUT = 10_000;
const TOKEN = "peerbus-token";

/** What the server refused, with the code and the sentence it gave. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** The server could not be reached, or answered something that is not its own. */
export class NoAnswer extends Error {}

/** The answer to a GET, as an object. */
export async function get(path, query = {}) {
  return JSON.parse(await text(path, query));
}

/** The answer to a GET, as the text it came as. */
export function text(path, query = {}) {
  const fields = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  return call(fields.size ? `${path}?${fields}` : path, { method: "GET" });
}

/** The answer to a POST of JSON that is already written, as the text it came as. */
export function post(path, body) {
  return call(path, { method: "POST", body, headers: { "Content-Type": "application/json" } });
}

/** What `work` brings, or nothing where the topic it is about is gone, which the next look will show. */
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

/** Whether a refusal is about the token: there is none, or another one is needed to look. */
const asksForToken = (status, method) => status === 401 || (status === 403 && method === "GET");

function refusal(status, body) {
  try {
    const { code, message } = JSON.parse(body);
    return new Refusal(code, message);
  } catch {
    return new NoAnswer(`The server answered ${status}, and not in its own words.`);
  }
}
