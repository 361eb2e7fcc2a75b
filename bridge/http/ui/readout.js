// Plots in words: the key with what lies under the pointer, a summary, and a table.

import { colour } from "./chart.js";
import { el } from "./dom.js";
import { t } from "./words.js";
import { exactText, numberText } from "./zones.js";

const ROWS = 500;
const UNITS = [["days", 86_400_000], ["hours", 3_600_000], ["minutes", 60_000], ["seconds", 1_000]];

export function stepText(series, summed = false) {
  const steps = [...new Set(series.map((each) => each.step_ms))];
  const words = steps.map((step) => {
    if (!step) return t("as_read");
    const [unit, length] = UNITS.find(([, each]) => step % each === 0);
    return t(summed ? "sums" : "by", { step: `${step / length} ${t(unit)}` });
  });
  return words.join(", ");
}

// What the bridge says of the readings behind a plot.
export function qualityText({ coverage, late }) {
  const words = coverage === undefined ? [] : [t("coverage", { share: (Number(coverage) * 100).toFixed(1) })];
  if (Number(late) > 0) words.push(t("late", { count: numberText(Number(late)) }));
  return words.join(" · ");
}

// {list, at(ms or null)}: at shows each series' value there, or its newest.
export function legend(series, zone, unit, { limit, total }) {
  const time = el("span", { class: "soft" });
  const cells = series.map(() => el("b", {}));
  const items = series.map((each, i) => el("li", {}, swatch(each.index), each.name, " ", cells[i]));
  if (limit) items.push(el("li", {}, swatch("limit"), t("limit"), " ", el("b", {}, between(limit.values)), " ", el("span", { class: "soft" }, limit.words)));
  const at = (when) => {
    time.textContent = when === null ? (total ? t("total") : "") : exactText(Math.round(when / 1000) * 1000, zone);
    series.forEach((each, i) => { cells[i].textContent = when === null ? rest(each, unit, total) : here(each, when, unit); });
  };
  at(null);
  return { list: el("ul", { class: "legend" }, items, el("li", {}, time)), at };
}

function between(values) {
  const [low, high] = [least(values), most(values)];
  return low === high ? `${numberText(low)} kW` : `${numberText(low)} … ${numberText(high)} kW`;
}

function rest({ values }, unit, total) {
  if (!values.length) return "–";
  return `${numberText(total ? sum(values) : values.at(-1))} ${unit}`;
}

// The reading before, or the bucket around.
function here({ times, values, low, high, step }, when, unit) {
  let first = 0;
  let last = times.length;
  while (first < last) {
    const middle = (first + last) >> 1;
    if (times[middle] <= when) first = middle + 1;
    else last = middle;
  }
  const i = first - 1;
  if (i < 0 || (step && step < 28 * 86_400_000 && when >= times[i] + step * 1.05)) return "–";
  const spread = low.length ? ` (${numberText(low[i])} … ${numberText(high[i])})` : "";
  return `${numberText(values[i])} ${unit}${spread}`;
}

function swatch(index) {
  const made = el("span", { class: index === "limit" ? "swatch limit" : "swatch", "aria-hidden": "true" });
  if (index !== "limit") made.style.background = colour(index);
  return made;
}

// For those who do not see the plot.
export function summaries(series, zone, unit, total) {
  const lines = series.filter((each) => each.times.length).map((each) => {
    const values = each.values.filter((value) => value !== null);
    if (total) return t("summed", { name: each.name, sum: numberText(sum(values)), unit });
    const low = least(each.low.length ? each.low : values);
    const high = most(each.high.length ? each.high : values);
    const time = exactText(each.times.at(-1), zone);
    return t("summary", { name: each.name, low: numberText(low), high: numberText(high), last: numberText(values.at(-1)), unit, time });
  });
  return el("ul", { class: "summary" }, lines.map((each) => el("li", {}, each)));
}

export function tableOf(series, zone, unit) {
  const made = el("details", { ontoggle: () => made.open && fill() }, el("summary", {}, t("as_table")));
  return made;

  function fill() {
    if (made.children.length > 1) return;
    const rows = series.flatMap((each) => each.times.map((at, i) => [at, each.name, each.values[i], each.low[i], each.high[i]]));
    rows.sort((a, b) => a[0] - b[0]);
    const spread = series.some((each) => each.low.length);
    const head = [t("time"), t("assets"), unit, ...(spread ? ["min", "max"] : [])].map((each) => el("th", { scope: "col" }, each));
    const cells = ([at, name, ...values]) => [exactText(at, zone), name, ...values.slice(0, spread ? 3 : 1).map(numberText)].map((each) => el("td", {}, each));
    const table = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows.slice(0, ROWS).map((row) => el("tr", {}, cells(row)))));
    made.append(el("div", { class: "scroll", tabindex: "0" }, table));
    if (rows.length > ROWS) made.append(el("p", { class: "note" }, t("only_first", { count: ROWS })));
  }
}

const sum = (values) => values.reduce((all, each) => all + (each ?? 0), 0);
const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity);
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
