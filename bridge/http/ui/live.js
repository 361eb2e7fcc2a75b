// A list that is told of news: commands, dead letters. Newest first; older ones page by page.

import { get, listen } from "./api.js";
import { button, el, note, settle } from "./dom.js";
import { t } from "./words.js";
import { here } from "./zones.js";

const PAGE = 50;
const SOON_MS = 700;
const MOST = 1_000; // rows; who looks further back asks the API

// {path, items, types, heads, query(), id(item), cells(item), detail(item, signal) -> nodes, controls, empty, told?(type, data, rows)}
export function live(host, { say }, list) {
  const ending = new AbortController();
  const rows = new Map(); // id -> {item, open}
  const body = el("tbody");
  const state = note(t("loading"), { role: "status" });
  const older = button(t("older"), () => load(following), { hidden: true });
  let following = null;
  let timer = null;
  let question = 0; // one with another filter makes answers to the one before worthless

  const heads = list.heads.map((each) => el("th", { scope: "col" }, t(each)));
  heads.push(el("th", { scope: "col" }, el("span", { class: "unseen" }, t("details"))));
  host.append(
    el("div", { class: "bar" }, list.controls ?? [], note(t("your_zone", { zone: here() }))),
    el("table", { class: "cards" }, el("caption", { class: "unseen" }, t(list.items === "commands" ? "commands" : "dead")), el("thead", {}, el("tr", {}, heads)), body),
    state,
    older,
  );
  const stream = listen([...list.types], told, (word, failure) => {
    say(word, failure);
    if (word === "live") load();
  });
  load();
  return { close, again: () => { question++; rows.clear(); load(); } };

  async function load(before = null) {
    const turn = question;
    try {
      const page = await get(list.path, { ...list.query(), before, limit: PAGE }, ending.signal);
      if (turn !== question) return;
      if (before === null) merge(page);
      else page[list.items].forEach(put);
      if (before !== null || rows.size <= PAGE) following = page.next;
      draw();
      say("fine");
    } catch (error) {
      if (error.name === "AbortError" || turn !== question) return;
      say("failure", error);
      draw();
      if (rows.size === 0) state.textContent = error.words;
      if (error.passing) soon(5_000);
    }
  }

  // The newest page; what lies behind it stays, unless something may be missing in between.
  function merge(page) {
    const met = page[list.items].some((each) => rows.has(list.id(each))) || page.next === null;
    if (!met) rows.clear();
    page[list.items].forEach(put);
  }

  function put(item) {
    const id = list.id(item);
    if (rows.has(id)) rows.get(id).item = item;
    else rows.set(id, { item, open: null });
  }

  function told(type, data) {
    if (type !== "lost") list.told?.(data, rows);
    soon(SOON_MS);
  }

  function soon(ms) {
    timer ??= setTimeout(() => { timer = null; load(); }, ms);
  }

  function draw() {
    const all = [...rows.values()].sort((a, b) => list.order(b.item) - list.order(a.item)).slice(0, MOST);
    const focused = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    settle(body, all.flatMap(pair));
    if (focused) [...body.querySelectorAll("button")].find((each) => each.dataset.id === focused)?.focus();
    state.textContent = all.length ? "" : t(list.empty);
    state.hidden = all.length > 0;
    older.hidden = following === null || all.length >= MOST;
  }

  function pair(entry) {
    const id = list.id(entry.item);
    const open = button(`${t("details")} ${entry.open ? "▾" : "▸"}`, () => toggle(id), {
      "aria-expanded": String(Boolean(entry.open)), "data-id": id, class: "plain",
    });
    const cells = list.cells(entry.item).map((each, i) => el("td", { "data-label": t(list.heads[i]) }, el("div", {}, each)));
    const row = el("tr", {}, cells, el("td", {}, open));
    return entry.open ? [row, el("tr", { class: "opened" }, el("td", { colspan: list.heads.length + 1 }, entry.open))] : [row];
  }

  async function toggle(id) {
    const entry = rows.get(id);
    if (!entry) return;
    if (entry.open) entry.open = null;
    else {
      try {
        entry.open = el("div", {}, await list.detail(entry.item, ending.signal));
      } catch (error) {
        if (error.name === "AbortError") return;
        entry.open = note(error.words ?? String(error), { role: "alert" });
      }
    }
    draw();
  }

  function close() {
    ending.abort();
    stream.close();
    clearTimeout(timer);
  }
}

// Text that somebody sent, as it is, cut where it would fill the memory of a phone.
export function sent(text, most = 20_000) {
  const parts = [el("pre", {}, text.slice(0, most))];
  if (text.length > most) parts.push(note(t("cut", { shown: most, count: text.length })));
  return parts;
}
