// Two plots on uPlot's canvas: lines with the band between lowest and highest, and bars. Times in ms, labels by a zone's clock.

import { tickText, ticks } from "./ticks.js";
import { numberText } from "./zones.js";

/* global uPlot */

const MARK_WIDTH = 62;
const GAP = 3; // readings so many times further apart than they mostly are have a gap between them
const GAPS_REACH = 2; // of uPlot.join: a null goes on to the series' own next value, whatever times others have in between
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [12, 4, 4, 4]];
export const COLOURS = DASHES.length;

export function colour(index) {
  return style(`--line-${index % COLOURS}`);
}

// series: {index, name, times, values, low, high, step}; limit: {times, values} or null
export function lines(host, { from, to, zone, series, limit, unit, onzoom, oncursor }) {
  const tables = [];
  const shown = [];
  const bands = [];
  for (const each of series) {
    const { times, columns } = withGaps(each);
    tables.push([times, ...columns]);
    const place = shown.length + 1;
    const stroke = colour(each.index);
    shown.push({ stroke, width: 1.5, dash: DASHES[each.index % COLOURS], points: { show: true, size: 4, fill: stroke, filter: alone } });
    if (columns.length > 1) {
      const edge = { stroke: faint(stroke, "66"), width: 1, points: { show: false } }; // a peak is thinner than a pixel
      shown.push(edge, { ...edge });
      bands.push({ series: [place + 2, place + 1], fill: faint(stroke) });
    }
  }
  if (limit) {
    tables.push([limit.times, limit.values]);
    shown.push({ stroke: style("--limit"), width: 2, dash: [6, 4], points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) });
  }
  return draw(host, { from, to, zone, unit, onzoom, oncursor, tables, shown, bands, range: spread });
}

// series: {index, name, times, values, step}: the sum of each bucket, which begins at its time
export function bars(host, { from, to, zone, series, unit, onzoom, oncursor }) {
  const width = 0.8 / series.length;
  const tables = [];
  const shown = [];
  series.forEach((each, i) => {
    const stroke = colour(each.index);
    tables.push([each.times.map((at) => at + each.step * (0.1 + i * width)), each.values]);
    shown.push({ stroke, fill: stroke, width: 0, points: { show: false }, paths: barPaths(each, width) });
  });
  return draw(host, { from, to, zone, unit, onzoom, oncursor, tables, shown, bands: [], range: fromZero });
}

function barPaths(series, width) {
  if (series.times.length > 1) return uPlot.paths.bars({ size: [width, 80], align: 1 });
  return (u, place, first, last) => {
    const size = Math.max(1, u.valToPos(series.step * width, "x") - u.valToPos(0, "x"));
    return uPlot.paths.bars({ size: [1, Math.min(80, size)], align: 1 })(u, place, first, last);
  };
}

function draw(host, { from, to, zone, unit, onzoom, oncursor, tables, shown, bands, range }) {
  const ink = style("--ink-soft");
  const grid = { stroke: style("--grid"), width: 1 };
  const axis = { stroke: ink, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const joined = uPlot.join(tables, tables.map((table) => table.map(() => GAPS_REACH)));
  const options = {
    ...size(host),
    ms: 1,
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false }, y: false },
    scales: { x: { time: false, range: [from, to] }, y: { range } },
    series: [{}, ...shown],
    bands,
    axes: [
      {
        ...axis,
        size: 32,
        splits: (u, _axis, min, max) => ticks(min, max, zone, Math.floor(u.width / MARK_WIDTH)),
        values: (_u, times) => times.map((at) => tickText(at, zone, to - from)),
      },
      { ...axis, size: 62, values: (_u, values) => values.map(numberText), label: unit, labelSize: 18, labelFont: axis.font },
    ],
    hooks: {
      setSelect: [(u) => u.select.width > 4 && onzoom(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"))],
      setCursor: [(u) => oncursor(u.cursor.left >= 0 ? u.posToVal(u.cursor.left, "x") : null)],
    },
  };
  const made = new uPlot(options, joined, host);
  const watching = new ResizeObserver(() => made.setSize(size(host)));
  watching.observe(host);
  return { close: () => { watching.disconnect(); made.destroy(); } };
}

// Buckets stand at their middle; a null stands where there were no readings.
function withGaps({ times, values, low, high, step }) {
  const given = step ? [values, low, high] : [values];
  const apart = step ? step * 1.5 : usual(times) * GAP;
  const found = { times: [], columns: given.map(() => []) };
  times.forEach((at, i) => {
    if (i && at - times[i - 1] > apart) {
      found.times.push(times[i - 1] + step / 2 + 1);
      found.columns.forEach((column) => column.push(null));
    }
    found.times.push(at + step / 2);
    found.columns.forEach((column, n) => column.push(given[n][i]));
  });
  return found;
}

// The median of what lies between readings.
export function usual(times) {
  const steps = times.slice(1).map((at, i) => at - times[i]).sort((a, b) => a - b);
  return steps.length ? steps[steps.length >> 1] : Infinity;
}

// Readings with a gap on either side would not be seen as a line.
function alone(u, place) {
  const values = u.data[place];
  const found = [];
  let before = null;
  let candidate = -1;
  values.forEach((value, i) => {
    if (value === undefined) return;
    if (value !== null) candidate = before === null ? i : -1;
    else if (candidate >= 0) { found.push(candidate); candidate = -1; }
    before = value;
  });
  if (candidate >= 0) found.push(candidate);
  return found;
}

function spread(_u, low, high) {
  if (low === null) return [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low >= 0 && low < room * 2 ? 0 : low - room, high + room];
}

function fromZero(_u, low, high) {
  return [Math.min(0, low ?? 0), Math.max((high ?? 0) * 1.06, (low ?? 0) < 0 ? 0 : 1e-9) || 1];
}

function size(host) {
  return { width: Math.max(200, host.clientWidth), height: host.clientHeight || 280 };
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function faint(hex, much = "33") {
  return hex + much;
}
