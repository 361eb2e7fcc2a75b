// The fleet: who is there, what it draws, what it complains of.

import { get, listen } from "./api.js";
import { el, note, settle } from "./dom.js";
import { t } from "./words.js";
import { exactText, known, numberText, timeText } from "./zones.js";

export const POWERS = ["total_active_power", "pcs_total_active_power", "total_power", "alternating_current_output_power", "total_active"];
const PAGE = 1_000;
const PAGES = 5;
const ROWS = 200; // shown at once; the search finds the others
const LIVE = 200; // devices whose readings are followed one by one; more are asked for again
const AGAIN_MS = 30_000; // and of a larger fleet
const SELDOM_MS = 120_000;
const SOON_MS = 2_000;
const DRAW_MS = 1_000;
const LINES = 3;

export function fleet(host, { say }) {
  const devices = new Map();
  const powers = new Map(); // device -> asset -> {value, unit, at}
  const alarms = new Map(); // device -> {at, data}
  const asked = new Set(); // devices whose powers have been asked for
  const meanwhile = new Set(); // for each reading under way, the events that its answers may not have
  const ending = new AbortController();
  const count = el("p", { class: "note", role: "status" });
  const search = el("input", { type: "search", "aria-label": t("search"), placeholder: t("search"), oninput: () => soon() });
  const body = el("tbody");
  let stream = null;
  let timer = null;
  let again = null;
  let rereading = null;
  let cut = false;

  host.append(el("div", { class: "bar" }, search, count), table(body), note(t("loading"), { id: "waiting" }));
  begin();
  return { close };

  async function begin() {
    try {
      await read();
      stream = listen(types(), told, (state, failure) => {
        say(state, failure);
        if (state === "live") reread();
      });
      host.querySelector("#waiting")?.remove();
      draw();
      again = setInterval(() => !document.hidden && reread(), devices.size <= LIVE ? AGAIN_MS : SELDOM_MS);
    } catch (error) {
      if (error.name === "AbortError") return;
      say("failure", error);
      if (error.passing) again = setTimeout(begin, 5_000);
    }
  }

  function types() {
    return devices.size <= LIVE ? ["presence", "alarm", "reading"] : ["presence", "alarm"];
  }

  async function read() {
    const events = [];
    meanwhile.add(events);
    try {
      const [found, newest] = await Promise.all([pages("/api/v1/devices", {}, "devices"), pages("/api/v1/alarms", {}, "alarms")]);
      cut = found.cut;
      devices.clear();
      for (const each of found.items) devices.set(each.uid, each);
      for (const each of newest.items) alarms.set(each.device, { at: each.received_at, data: each.body.data });
    } finally {
      meanwhile.delete(events);
    }
    events.forEach(([type, data]) => follow(type, data));
    asked.clear();
    await readPowers();
  }

  // Of the devices that are shown: a large fleet has more than a phone should be sent.
  async function readPowers() {
    const missing = wanted().slice(0, ROWS).map((each) => each.uid).filter((each) => !asked.has(each));
    if (!missing.length) return;
    missing.forEach((each) => asked.add(each));
    const newest = await pages("/api/v1/latest", { point: POWERS.join(","), device: missing.join(",") }, "readings");
    for (const each of newest.items) power(deviceOf(each.asset), each.asset, each.point, each.value, each.unit, each.timestamp);
  }

  function wanted() {
    const text = search.value.trim().toLowerCase();
    return [...devices.values()].filter((each) => `${each.uid} ${each.name}`.toLowerCase().includes(text));
  }

  async function reread(what = read) {
    try {
      await what();
      soon();
      say("fine");
    } catch (error) {
      if (error.name !== "AbortError") say("failure", error);
    }
  }

  async function pages(path, query, name) {
    const items = [];
    let after = null;
    for (let n = 0; n < PAGES; n++) {
      const page = await get(path, { ...query, after, limit: PAGE }, ending.signal);
      items.push(...page[name]);
      after = page.next;
      if (after === null) break;
    }
    return { items, cut: after !== null };
  }

  // Parts are named after their device: EMS001.meter.9. A device's own name may have dots.
  function deviceOf(asset) {
    let name = asset;
    while (!devices.has(name) && name.includes(".")) name = name.slice(0, name.lastIndexOf("."));
    return name;
  }

  // Of an asset with several of the points the first of POWERS counts.
  function power(device, asset, point, value, unit, at) {
    const rank = POWERS.indexOf(point);
    const parts = powers.get(device) ?? powers.set(device, new Map()).get(device);
    const before = parts.get(asset);
    if (before && (before.rank < rank || (before.rank === rank && before.at > at))) return;
    parts.set(asset, { value, unit: unit ?? before?.unit ?? "kW", at, rank });
  }

  function told(type, data) {
    meanwhile.forEach((each) => each.push([type, data]));
    if (type === "lost" || (type === "presence" && !devices.has(data.device) && !cut)) rereadSoon();
    else follow(type, data);
    soon();
  }

  function rereadSoon() {
    rereading ??= setTimeout(() => { rereading = null; reread(); }, SOON_MS);
  }

  function follow(type, data) {
    if (type === "presence") {
      const device = devices.get(data.device);
      if (device) device.presence = { ...device.presence, online: data.online, since: data.since };
    } else if (type === "alarm") {
      alarms.set(data.device, { at: data.received_at, data: data.body.data });
    } else if (type === "reading") {
      for (const point of POWERS) if (point in data.values) power(data.device, data.asset, point, data.values[point], null, data.timestamp);
    }
  }

  function soon() {
    timer ??= setTimeout(() => { timer = null; draw(); }, document.activeElement === search ? 100 : DRAW_MS);
  }

  function draw() {
    const found = wanted();
    const shown = found.slice(0, ROWS);
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    settle(body, shown.map(row));
    if (shown.some((each) => !asked.has(each.uid))) reread(readPowers);
    if (focused) [...body.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused)?.focus();
    const words = devices.size === 0 ? t("no_devices") : found.length === 0 ? t("nothing_found") : t("shown", { shown: shown.length, count: devices.size });
    const line = cut ? `${words} (${t("at_least", { count: devices.size })})` : words;
    if (count.textContent !== line) count.textContent = line;
  }

  function row(device) {
    const zone = known(device.timezone);
    const link = el("a", { href: `#/plots?d=${encodeURIComponent(device.uid)}` }, device.uid);
    return el("tr", {},
      el("th", { scope: "row" }, link, device.name && el("span", { class: "soft block" }, device.name)),
      el("td", { "data-label": t("state") }, el("div", {}, presence(device, zone))),
      el("td", { "data-label": t("newest_power") }, el("div", {}, ...values(powers.get(device.uid), device.uid, zone))),
      el("td", { "data-label": t("alarm") }, el("div", {}, ...alarm(alarms.get(device.uid), zone))));
  }

  function presence({ enabled, presence: { online, since } }, zone) {
    const words = enabled ? t(online ? "online" : "offline_state") : t("disabled");
    const time = since ? t("since", { time: timeText(since, zone) }) : t("never");
    return el("span", {},
      el("span", { class: online ? "dot on" : "dot", "aria-hidden": "true" }), words, " ",
      el("span", { class: "soft" }, online || since ? time : t("never")));
  }

  function values(parts, uid, zone) {
    const all = [...(parts ?? new Map()).entries()].sort(([a], [b]) => (a < b ? -1 : 1));
    if (!all.length) return ["–"];
    const shown = all.slice(0, LINES).map(([asset, { value, unit, at }]) =>
      el("span", { class: "block", title: exactText(at, zone) },
        el("b", {}, `${numberText(value)} ${unit}`), " ",
        el("span", { class: "soft" }, asset === uid ? "" : asset.slice(uid.length + 1), " ", timeText(at, zone))));
    return all.length > LINES ? [...shown, el("span", { class: "soft block" }, t("more", { count: all.length - LINES }))] : shown;
  }

  function alarm(told, zone) {
    if (!told) return ["–"];
    const all = Array.isArray(told.data) ? told.data : [told.data ?? {}];
    const { content, level, handle_status: handled } = all[0] ?? {};
    const words = [level === undefined ? null : t("level", { level }), handled === 2 ? t("handled") : null, timeText(told.at, zone)];
    return [
      el("span", { class: handled === 2 ? "block" : "block alarm" }, String(content ?? "")),
      el("span", { class: "soft block" }, words.filter(Boolean).join(" · ")),
      all.length > 1 && el("span", { class: "soft block" }, t("more", { count: all.length - 1 })),
    ];
  }

  function close() {
    ending.abort();
    stream?.close();
    clearTimeout(timer);
    clearTimeout(rereading);
    clearInterval(again);
    clearTimeout(again);
  }
}

function table(body) {
  const heads = ["device", "state", "newest_power", "alarm"].map((each) => el("th", { scope: "col" }, t(each)));
  return el("table", { class: "cards" }, el("caption", { class: "unseen" }, t("fleet")), el("thead", {}, el("tr", {}, heads)), body);
}
