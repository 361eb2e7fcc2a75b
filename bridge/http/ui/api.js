// Questions to the bridge: only ever questions, nothing is changed from here. The key lives in this tab.

import { t } from "./words.js";

const KEY = "ems.key";
const RETRY_MS = 3_000;
const LONGEST_MS = 30_000;
const SILENT_MS = 60_000; // the bridge says something at least every 15 s, unless it is told otherwise

let key = sessionStorage.getItem(KEY) ?? "";

export const locked = new EventTarget(); // "locked": the key is not taken any more

export function useKey(text) {
  key = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

export function hasKey() {
  return key !== "";
}

// status 0: no answer at all
export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  get passing() {
    return this.status === 0 || this.status === 503;
  }

  get words() {
    const known = { 0: "offline", 401: "key_no_more", 403: "forbidden", 404: "not_found", 429: "too_many", 503: "unavailable" };
    if (this.code === "too_many_streams") return t("refused", { message: this.message });
    if (known[this.status]) return t(known[this.status]);
    return this.status < 500 ? t("refused", { message: this.message }) : t("failed", { status: this.status });
  }
}

// Raises Failure; AbortError when `signal` fired.
export async function get(path, query = {}, signal = undefined) {
  return (await getRated(path, query, signal)).body;
}

// {body, quality: {coverage, lag, late}}: of answers about readings, as far as the bridge says it.
export async function getRated(path, query, signal) {
  const answer = await ask(path, query, signal);
  const quality = Object.fromEntries((answer.headers.get("Data-Quality") ?? "").split(/, */).map((each) => each.split("=")));
  try {
    return { body: await answer.json(), quality };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "broken", "");
  }
}

async function ask(path, query, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = new URLSearchParams(given).toString();
  const headers = key ? { "X-API-Key": key } : {};
  let answer;
  try {
    answer = await fetch(search ? `${path}?${search}` : path, { headers, signal, cache: "no-store", credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, "offline", "");
  }
  if (answer.ok) return answer;
  const told = await answer.json().then((body) => body.error ?? {}, () => ({}));
  const failure = new Failure(answer.status, told.code ?? "", told.message ?? "");
  if (failure.status === 401) locked.dispatchEvent(new Event("locked"));
  throw failure;
}

// The event stream, for as long as `close` was not called. told(type, data) for each event, also "lost"; state("live"), or
// state("reconnecting", failure): what comes meanwhile is not told, so read again after "live".
export function listen(types, told, state) {
  const closing = new AbortController();
  follow(types, told, state, closing.signal);
  return { close: () => closing.abort() };
}

// A browser has six connections to a server for all its tabs: one that nobody looks at holds none of them.
async function follow(types, told, state, closing) {
  let pause = RETRY_MS;
  while (!closing.aborted) {
    if (document.hidden) await shown(closing);
    let failure = null;
    try {
      await stream(types, told, () => { pause = RETRY_MS; state("live"); }, closing);
    } catch (error) {
      failure = error instanceof Failure ? error : null;
    }
    if (closing.aborted) return;
    if (document.hidden) continue;
    state("reconnecting", failure);
    if (failure && !failure.passing && failure.status !== 429) return;
    await wait(pause, closing);
    pause = Math.min(pause * 2, LONGEST_MS);
  }
}

async function stream(types, told, opened, closing) {
  const ending = new AbortController();
  const end = () => ending.abort();
  const hidden = () => document.hidden && end();
  closing.addEventListener("abort", end);
  document.addEventListener("visibilitychange", hidden);
  let timer = setTimeout(end, SILENT_MS);
  try {
    const answer = await ask("/api/v1/events", { types: types.join(",") }, ending.signal);
    opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(end, SILENT_MS);
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      parts.forEach((each) => deliver(each, told));
    }
  } finally {
    clearTimeout(timer);
    closing.removeEventListener("abort", end);
    document.removeEventListener("visibilitychange", hidden);
    ending.abort();
  }
}

function deliver(block, told) {
  let type = "";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) type = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (type && data.length) told(type, JSON.parse(data.join("\n")));
}

function shown(signal) {
  return new Promise((resolve) => {
    const finish = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", finish);
      resolve();
    };
    document.addEventListener("visibilitychange", finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}

function wait(ms, signal) {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      removeEventListener("online", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    addEventListener("online", finish, { once: true });
    signal.addEventListener("abort", finish, { once: true });
  });
}
