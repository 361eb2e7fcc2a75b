// What is chosen above the plots: assets, range, and the ways through time.

import { get } from "./api.js";
import { button, el, labelled, note } from "./dom.js";
import { moved, RANGES, rangeAt, zoomed, bounded } from "./ranges.js";
import { t } from "./words.js";
import { fromInput, inputText, timeText } from "./zones.js";

const PAGE = 1_000;
const PAGES = 5;
const SHOWN = 100;

// Drawn anew only when something of it has changed: who types is not disturbed.
export function controls(host, { names, range, zone, move, say, most }) {
  const mark = JSON.stringify([names, range, zone]);
  if (host.dataset.mark === mark) return;
  const focused = host.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  const before = host.querySelector(".picker");
  const open = before?.open ? before : null;
  const assets = open && host.dataset.names === names.join() ? open : picker(names, most, move, say, Boolean(open));
  host.dataset.mark = mark;
  host.dataset.names = names.join();
  host.replaceChildren(assets, ranges(range, zone, move), ways(range, zone, move), between(range, zone, move));
  if (focused) [...host.querySelectorAll("[data-name]")].find((each) => each.dataset.name === focused)?.focus();
}

function ranges({ kind, from, to }, zone, move) {
  // the range of now where now is shown, else the one around what is shown
  const at = Date.now() >= from && Date.now() < to ? Date.now() : from;
  const choices = RANGES.map((each) =>
    button(t(each), () => move({ r: each, ...rangeAt(each, at, zone) }), { "aria-pressed": String(each === kind), "data-name": each }));
  return el("div", { class: "group", role: "group", "aria-label": t("range") }, choices);
}

function ways({ kind, from, to }, zone, move) {
  const way = (word, sign, changes) => button(sign, () => move(changes()), { "aria-label": t(word), title: t(word), "data-name": word });
  const now = RANGES.includes(kind) ? kind : "day";
  return el("div", { class: "group" },
    way("earlier", "‹", () => ({ r: kind, ...moved(kind, from, to, zone, -1) })),
    button(t("now"), () => move({ r: now, from: null, to: null }), { "data-name": "now" }),
    way("later", "›", () => ({ r: kind, ...moved(kind, from, to, zone, 1) })),
    way("zoom_in", "+", () => ({ r: "custom", ...zoomed(from, to, 0.5) })),
    way("zoom_out", "−", () => ({ r: "custom", ...zoomed(from, to, 2) })));
}

function between({ kind, from, to }, zone, move) {
  const low = el("input", { type: "datetime-local", value: inputText(from, zone), required: true });
  const high = el("input", { type: "datetime-local", value: inputText(to, zone), required: true });
  const trouble = note("", { role: "alert", class: "note alarm" });
  const onsubmit = (event) => {
    event.preventDefault();
    const [start, end] = [fromInput(low.value, zone), fromInput(high.value, zone)];
    trouble.textContent = end > start ? "" : t("bad_range");
    if (end > start) move({ r: "custom", ...bounded(start, end) });
  };
  const form = el("form", { class: "bar", onsubmit, "aria-label": t("custom") },
    labelled(t("from"), low), labelled(t("to"), high), el("button", {}, t("show")), trouble);
  const dates = `${timeText(from, zone)} – ${timeText(to, zone)}`;
  return el("details", { class: "between" }, el("summary", { "data-name": "custom" }, kind === "custom" ? `${t("custom")}: ` : "", dates), form);
}

function picker(names, most, move, say, open) {
  const list = el("fieldset", {}, el("legend", { class: "unseen" }, t("assets")));
  const search = el("input", { type: "search", placeholder: t("search"), "aria-label": t("search"), "data-name": "search", oninput: () => draw() });
  let all = null;
  const made = el("details", { class: "picker", ontoggle: () => made.open && load() },
    el("summary", { "data-name": "assets" }, `${t("assets")}: `, el("b", {}, names.join(", ") || "–")),
    search, list, note(t("many_assets", { count: most })));
  made.open = open;
  return made;

  async function load() {
    if (all) return;
    try {
      all = [];
      for (let n = 0, after = null; n < PAGES; n++) {
        const page = await get("/api/v1/assets", { after, limit: PAGE });
        all.push(...page.assets.map((each) => each.asset));
        after = page.next;
        if (after === null) break;
      }
      draw();
    } catch (error) {
      all = null;
      say("failure", error);
    }
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const found = (all ?? []).filter((each) => each.toLowerCase().includes(wanted));
    const first = [...names, ...found.filter((each) => !names.includes(each))].slice(0, SHOWN);
    const left = found.length - first.filter((each) => found.includes(each)).length;
    list.replaceChildren(list.firstElementChild, ...first.map(box), ...(left > 0 ? [note(t("more", { count: left }))] : []));
  }

  function box(name) {
    const chosen = names.includes(name);
    const input = el("input", {
      type: "checkbox", checked: chosen, disabled: !chosen && names.length >= most, "data-name": `asset ${name}`,
      onchange: () => move({ a: (chosen ? names.filter((each) => each !== name) : [...names, name]).join(",") }),
    });
    return el("label", {}, input, el("span", {}, name));
  }
}
