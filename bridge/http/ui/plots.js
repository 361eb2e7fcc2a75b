// Power and energy of assets over time. What is shown stands in the address, so that it can be sent to somebody and gone back to.

import { get, getRated } from "./api.js";
import { bars, COLOURS, lines } from "./chart.js";
import { controls } from "./controls.js";
import { limitOf, steps } from "./demand.js";
import { el, labelled, note, select } from "./dom.js";
import { POWERS } from "./fleet.js";
import { bars as hoursOrDays, bounded, byMonth, RANGES, rangeAt, zoomed, moved } from "./ranges.js";
import { legend, qualityText, stepText, summaries, tableOf } from "./readout.js";
import { t } from "./words.js";
import { exactText, known, timeText } from "./zones.js";

const ENERGIES = ["total_forward_active_energy", "total_active_energy", "pcs_ac_charge_accumulated_energy", "charge_accumulated_energy", "cumulative_power_generation", "total_electric_energy"];
const AGAIN_MS = 30_000;
const MONTHS_FROM = 100 * 86_400_000;
const METER = /\.meter\.(\d+)$/;

export function plots(host, { say, params, go, whole }) {
  const places = new Map(); // asset -> {asset, device, timezone, last_at, points}
  const above = el("div", { class: "controls" });
  const power = section("power");
  const energy = section("energy");
  const zones = note("");
  let asking = new AbortController();
  let state = params;
  let timer = null;
  let held = false; // somebody drags
  host.addEventListener("pointerdown", () => { held = true; addEventListener("pointerup", () => { held = false; }, { once: true }); });
  host.append(above, power.whole, energy.whole, zones);
  update(params);
  return { close, update };

  function section(word) {
    const made = { head: el("div", { class: "bar" }), canvas: el("div", { class: "canvas" }), under: el("div", {}), chart: null };
    made.canvas.append(note(t("loading")));
    made.whole = el("section", { "aria-label": t(word) }, el("h2", {}, t(word)), made.head, made.canvas, made.under);
    return made;
  }

  // What the address says. Answers to an earlier one are not waited for any more.
  async function update(given) {
    state = given;
    asking.abort();
    asking = new AbortController();
    clearTimeout(timer);
    try {
      await show(asking.signal);
      say("fine");
      timer = setTimeout(again, AGAIN_MS);
    } catch (error) {
      if (error.name === "AbortError") return;
      say("failure", error);
      if (error.passing) timer = setTimeout(again, 5_000);
      else if (!power.chart) empty(power, error.words ?? String(error));
    }
  }

  // Not while somebody drags or reads the table, or the page lies behind another.
  function again() {
    if (held || document.hidden || host.querySelector("section details[open]")) timer = setTimeout(again, AGAIN_MS);
    else update(state);
  }

  // What is above goes by the address. Of assets that are known it does so before anything is asked: two quick strokes are two steps.
  function steer(names, assets) {
    const zone = known(assets[0]?.timezone ?? "UTC");
    const range = rangeOf(zone);
    const move = (changes) => go({ a: names.join(","), ...changes });
    controls(above, { names, range, zone, move, say, most: COLOURS });
    return { zone, range, move };
  }

  async function show(signal) {
    const before = named();
    if (before.length && before.every((name) => places.has(name))) steer(before, before.map((name) => places.get(name)));
    const names = await chosen(signal);
    const found = await Promise.all(names.map((name) => described(name, signal)));
    const assets = found.filter(Boolean);
    const { zone, range, move } = steer(names, assets);
    if (!assets.length) {
      empty(power, t(names.length ? "not_found" : "no_assets"));
      empty(energy, "");
      zones.textContent = "";
      return;
    }
    const shown = { assets, zone, ...range, signal, move };
    await Promise.all([drawPower(shown), drawEnergy(shown)]);
    const others = assets.filter((each) => known(each.timezone) !== zone).map((each) => `${each.asset}: ${each.timezone}`);
    zones.textContent = [t("zone", { zone }), others.length ? t("own_zones", { names: others.join(", ") }) : ""].join(" ");
  }

  function named() {
    return (state.get("a") ?? "").split(",").filter(Boolean).slice(0, COLOURS);
  }

  // Those of the address; a meter of its device, for meters have power and energy, or what it has; else the first with power.
  async function chosen(signal) {
    if (named().length) return named();
    const device = state.get("d");
    const { readings } = await get("/api/v1/latest", { point: POWERS.join(","), device, limit: device ? 1_000 : 1 }, signal);
    const meter = readings.find((each) => each.point === POWERS[0] && METER.test(each.asset));
    const first = meter ?? readings.find((each) => each.asset === device) ?? readings[0];
    if (first) return [first.asset];
    const { assets } = await get("/api/v1/assets", { device, limit: 1 }, signal);
    return assets.map((each) => each.asset);
  }

  async function described(name, signal) {
    const { assets } = await get("/api/v1/assets", { asset: name, limit: 1 }, signal);
    if (assets[0]?.asset !== name) return null;
    const points = places.get(name)?.points ?? (await get(`/api/v1/assets/${encodeURIComponent(name)}/points`, {}, signal)).points;
    places.set(name, { ...assets[0], points });
    return places.get(name);
  }

  // A range of the address as it stands, else the day of now.
  function rangeOf(zone) {
    const kind = state.get("r") ?? "day";
    const [from, to] = [Number(state.get("from")), Number(state.get("to"))];
    if (from && to > from) return { kind: RANGES.includes(kind) ? kind : "custom", ...bounded(from, to) };
    return { kind: RANGES.includes(kind) ? kind : "day", ...rangeAt(RANGES.includes(kind) ? kind : "day", Date.now(), zone) };
  }

  async function drawPower({ assets, zone, from, to, signal, move }) {
    const choices = pointsOf(assets, "gauge");
    const point = pick(choices, state.get("p"), POWERS, "kW");
    if (!point) return empty(power, t("no_power"));
    const told = await plotOf(assets, point.point, from, to, 2_000, signal);
    const limit = point.unit === "kW" ? await demand(assets, zone, signal) : null;
    const byHand = state.get("l") ?? "";
    heading(power, [choices, point, byHand, limit], () => [
      choice(choices, point, (value) => move({ p: value })),
      ...(point.unit === "kW" ? [limitInput(byHand, limit, move)] : []),
    ]);
    const series = drawn(told, assets);
    if (!series.some((each) => each.times.length)) return empty(power, t("no_readings"), assets, zone, move);
    const line = limit?.months ? steps(limit.months, from, to, zone) : null;
    put(power, lines, { from, to, zone, series, limit: line, unit: point.unit, move });
    const words = { head: [stepText(told.series), qualityText(told.quality)].filter(Boolean).join(" · "), missing: told.missing, limit: line && { ...limit, values: line.values }, total: false };
    below(power, series, zone, point.unit, words);
  }

  async function drawEnergy({ assets, zone, from, to, signal, move }) {
    const choices = pointsOf(assets, "counter");
    const point = pick(choices, state.get("e"), ENERGIES, "kWh");
    if (!point) return empty(energy, t("no_energy"));
    const told = await plotOf(assets, point.point, from, to, hoursOrDays(from, to), signal);
    heading(energy, [choices, point], () => [choice(choices, point, (value) => move({ e: value }))]);
    const months = to - from > MONTHS_FROM;
    const series = drawn(told, assets).map((each) => (months ? monthly(each, zone) : each));
    if (!series.some((each) => each.times.length)) return empty(energy, t("no_readings"), assets, zone, move);
    put(energy, bars, { from, to, zone, series, unit: point.unit, move });
    const head = months ? t("sums", { step: t("month_step") }) : stepText(told.series, true);
    below(energy, series, zone, point.unit, { head, missing: told.missing, limit: null, total: true });
  }

  // What is chosen above a plot, drawn anew only when it has changed: who types is not disturbed.
  function heading(place, given, make) {
    const mark = JSON.stringify([given, state.get("a")]);
    if (place.head.dataset.mark === mark) return;
    const focused = place.head.contains(document.activeElement) ? document.activeElement.tagName : null;
    place.head.dataset.mark = mark;
    place.head.replaceChildren(...make());
    if (focused) place.head.querySelector(focused)?.focus();
  }

  async function plotOf(assets, point, from, to, values, signal) {
    const { body, quality } = await getRated("/api/v1/plot", { asset: assets.map((each) => each.asset).join(","), point, start: from, end: to, values }, signal);
    return { ...body, quality };
  }

  async function demand(assets, zone, signal) {
    const byHand = Number(state.get("l"));
    if (state.get("l") && Number.isFinite(byHand)) return { months: Array(12).fill(byHand), words: t("limit_hand") };
    if (!whole) return null;
    const device = assets[0].device;
    const meters = assets.map((each) => METER.exec(each.asset)?.[1]).filter(Boolean);
    try {
      return await limitOf(device, meters, zone, signal);
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  function put(place, draw, { move, ...given }) {
    const focused = document.activeElement === place.canvas;
    place.chart?.close();
    place.canvas.replaceChildren();
    const { from, to, zone } = given;
    const onzoom = (low, high) => move({ r: "custom", ...bounded(low, high) });
    place.chart = draw(place.canvas, { ...given, onzoom, oncursor: (at) => place.readout?.(at) });
    place.canvas.setAttribute("tabindex", "0");
    place.canvas.setAttribute("role", "group");
    place.canvas.setAttribute("aria-label", `${place.whole.getAttribute("aria-label")}, ${timeText(from, zone)} – ${timeText(to, zone)}. ${t("chart_keys")}`);
    place.canvas.onkeydown = (event) => keys(event, given, move);
    place.canvas.ondblclick = () => move({ r: "custom", ...zoomed(from, to, 3) });
    if (focused) place.canvas.focus();
  }

  function keys(event, { from, to, zone }, move) {
    const kind = state.get("r") ?? "day";
    const changes = {
      ArrowLeft: () => moved(kind, from, to, zone, -1),
      ArrowRight: () => moved(kind, from, to, zone, 1),
      "+": () => zoomed(from, to, 0.5),
      "=": () => zoomed(from, to, 0.5),
      "-": () => zoomed(from, to, 2),
    }[event.key];
    if (!changes || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move({ r: event.key.startsWith("Arrow") ? kind : "custom", ...changes() });
  }

  function below(place, series, zone, unit, words) {
    const key = legend(series, zone, unit, words);
    place.readout = key.at;
    const missing = words.missing.length ? note(t("missing", { names: words.missing.join(", ") })) : null;
    const parts = [note(words.head), key.list, missing, summaries(series, zone, unit, words.total), tableOf(series, zone, unit)];
    place.under.replaceChildren(...parts.filter(Boolean));
  }

  // Words in place of a plot, and the way to where readings are.
  function empty(place, words, assets = [], zone = "UTC", move = null) {
    place.chart?.close();
    place.chart = null;
    place.readout = null;
    for (const name of ["tabindex", "role", "aria-label"]) place.canvas.removeAttribute(name);
    place.canvas.onkeydown = place.canvas.ondblclick = null;
    const last = Math.max(0, ...assets.map((each) => each.last_at));
    const way = last && move
      ? el("p", {}, t("newest_at", { time: exactText(last, zone) }), " ", el("button", { type: "button", onclick: () => move({ r: "day", ...rangeAt("day", last, zone) }) }, t("go_there")))
      : null;
    place.canvas.replaceChildren(el("div", { class: "empty" }, el("p", {}, words), ...(way ? [way] : [])));
    place.under.replaceChildren();
    if (!assets.length) heading(place, [], () => []);
  }

  function close() {
    asking.abort();
    clearTimeout(timer);
    power.chart?.close();
    energy.chart?.close();
  }
}

// The places of colours are those of the assets, whatever is missing.
function drawn({ series }, assets) {
  return series.map((each) => ({
    ...each,
    index: assets.findIndex((one) => one.asset === each.asset),
    name: each.asset,
    step: each.step_ms,
  }));
}

function monthly(series, zone) {
  const [times, values] = byMonth(series.times, series.values, zone);
  return { ...series, times, values, step: 28 * 86_400_000 };
}

function pointsOf(assets, kind) {
  const found = new Map();
  for (const each of assets.flatMap((asset) => asset.points)) if (each.kind === kind) found.set(each.point, each);
  return [...found.values()].sort((a, b) => (a.point < b.point ? -1 : 1));
}

function pick(choices, asked, liked, unit) {
  const by = (name) => choices.find((each) => each.point === name);
  return by(asked) ?? liked.map(by).find(Boolean) ?? choices.find((each) => each.unit === unit) ?? choices[0];
}

function choice(choices, point, onchange) {
  return labelled(t("point"), select(choices.map((each) => [each.point, each.unit ? `${each.point} (${each.unit})` : each.point]), point.point, onchange));
}

function limitInput(byHand, limit, move) {
  const input = el("input", {
    type: "number", min: "0", step: "any", inputmode: "decimal", value: byHand, placeholder: "kW", "aria-label": t("limit_by_hand"),
    onchange: (event) => move({ l: event.target.value }),
  });
  return labelled(t("limit"), el("span", { class: "with" }, input, el("span", { class: "soft" }, limit?.words ?? t("limit_none"))));
}
