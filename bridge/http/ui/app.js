// The frame: who looks (a key), at which page, in which language and colours, and what is wrong.

import { get, hasKey, locked, useKey } from "./api.js";
import { commands } from "./commands.js";
import { dead } from "./dead.js";
import { button, el, labelled, note, select } from "./dom.js";
import { fleet } from "./fleet.js";
import { plots } from "./plots.js";
import { language, otherLanguage, speak, t } from "./words.js";

const VIEWS = { fleet, plots, commands, dead };
const THEMES = ["auto", "light", "dark"];
const THEME = "ems.theme";
const AGAIN_MS = 3_000;

const abilities = (document.documentElement.dataset.abilities ?? "").split(" "); // what the server says of itself
const whole = abilities.includes("whole"); // else the receiving side alone, which has plots and nothing else
const keyless = abilities.includes("keyless");

let view = null;
let timer = null;

addEventListener("hashchange", () => (view ? route() : enter()));
locked.addEventListener("locked", () => { if (view) ask("key_no_more"); });
colours(kept() ?? "auto");
enter();

// Is the key a good one?
async function enter() {
  clearTimeout(timer);
  if (!hasKey() && !keyless) return ask("");
  try {
    await get("/api/v1/assets", { limit: 1 });
    frame();
    route();
  } catch (error) {
    if (error.status === 401) ask(hasKey() ? "wrong_key" : "");
    else waiting(error);
  }
}

function waiting(error) {
  const words = error.words ?? String(error);
  shut();
  document.body.replaceChildren(el("main", { class: "login" }, el("h1", {}, t("title")), el("p", { role: "alert" }, words), choices()));
  timer = setTimeout(enter, AGAIN_MS);
}

function ask(trouble) {
  shut();
  useKey("");
  const input = el("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "key-help" });
  const onsubmit = (event) => {
    event.preventDefault();
    if (!/^[!-~]+$/.test(input.value.trim())) return ask("wrong_key");
    useKey(input.value.trim());
    return enter();
  };
  const form = el("form", { onsubmit }, labelled(t("key"), input), el("button", {}, t("enter")), note(t("key_help"), { id: "key-help" }));
  const alarm = el("p", { role: "alert", class: "alarm" }, trouble ? t(trouble) : "");
  document.body.replaceChildren(el("main", { class: "login" }, el("h1", {}, t("title")), form, alarm, choices(() => ask(""))));
  document.title = t("title");
  input.focus();
}

function frame() {
  shut();
  const links = Object.keys(VIEWS).filter((name) => whole || name === "plots").map((name) => el("a", { href: `#/${name}`, "data-view": name }, t(name)));
  const leave = hasKey() ? button(t("leave"), () => { useKey(""); enter(); }) : null;
  document.body.replaceChildren(
    el("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); document.querySelector("main").focus(); } }, t("skip")),
    el("header", {}, el("span", { class: "brand" }, t("title")), el("nav", { "aria-label": t("pages") }, links), choices(again, leave)),
    el("p", { id: "say", role: "status", "aria-live": "polite" }),
    el("main", { id: "main", tabindex: "-1" }));
}

// In other words or colours.
function again() {
  frame();
  route();
}

function choices(changed = enter, leave = null) {
  const other = button(t("language"), () => { speak(otherLanguage()); changed(); }, { lang: language() === "en" ? "zh" : "en" });
  const theme = select(THEMES.map((each) => [each, t(each)]), kept() ?? "auto", (value) => { colours(value); keep(value); changed(); }, { "aria-label": t("theme") });
  return el("div", { class: "choices" }, other, theme, leave);
}

function route() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const name = Object.hasOwn(VIEWS, path) && (whole || path === "plots") ? path : whole ? "fleet" : "plots";
  const params = new URLSearchParams(search);
  document.title = `${t(name)} – ${t("title")}`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view?.name === name && view.made.update) return view.made.update(params);
  shut();
  const main = document.querySelector("main");
  main.replaceChildren(el("h1", {}, t(name)));
  say("none");
  view = { name, made: VIEWS[name](main, { say, params, whole, go }) };
}

// The address with some of its parts changed; null takes one away.
function go(changes) {
  const params = new URLSearchParams(location.hash.split("?")[1] ?? "");
  params.delete("d");
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") params.delete(name);
    else params.set(name, value);
  }
  location.hash = `#/plots?${params}`;
}

// What goes on: "live", "reconnecting" and "failure" with what failed, "fine" after a failure, "none".
function say(word, failure = null) {
  const line = document.querySelector("#say");
  if (!line || (word === "fine" && line.dataset.word !== "failure")) return;
  const words = { live: t("live"), reconnecting: failure?.words ?? t("reconnecting"), failure: failure?.words ?? String(failure) }[word] ?? "";
  line.dataset.word = word;
  line.className = word;
  if (line.textContent !== words) line.textContent = words;
}

function shut() {
  clearTimeout(timer);
  view?.made.close();
  view = null;
}

function colours(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function kept() {
  try {
    return THEMES.find((each) => each === localStorage.getItem(THEME));
  } catch {
    return null;
  }
}

function keep(theme) {
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // a browser that keeps nothing shows it until the page is left
  }
}

// uPlot's colours are painted, not styled: paint again when the system turns dark.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (view) again(); });
