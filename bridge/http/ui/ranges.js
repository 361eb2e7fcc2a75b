// Ranges of time [from, to) in ms: whole days, weeks from Monday, months and years of a zone, and what lies before and behind them.

import { instant, wall } from "./zones.js";

export const RANGES = ["day", "week", "month", "year"];
const SHORTEST = 60_000;
const LONGEST = 20 * 366 * 86_400_000;

// The range that holds `at`, moved by a number of its own length.
export function rangeAt(kind, at, zone, moved = 0) {
  const { year, month, day, weekday } = wall(at, zone);
  const edge = {
    day: (n) => instant(zone, year, month, day + n),
    week: (n) => instant(zone, year, month, day - weekday + 7 * n),
    month: (n) => instant(zone, year, month + n),
    year: (n) => instant(zone, year + n, 1),
  }[kind];
  return { from: edge(moved), to: edge(moved + 1) };
}

export function moved(kind, from, to, zone, steps) {
  if (RANGES.includes(kind)) return rangeAt(kind, from, zone, steps);
  const by = Math.round((to - from) / 2) * steps;
  return bounded(from + by, to + by);
}

export function zoomed(from, to, factor) {
  const middle = (from + to) / 2;
  const half = Math.min(Math.max(((to - from) * factor) / 2, SHORTEST / 2), LONGEST / 2);
  return bounded(Math.round(middle - half), Math.round(middle + half));
}

// After 1973, before the year 9000, not too short.
export function bounded(from, to) {
  const low = Math.min(Math.max(Math.round(from), 100_000_000_000), 220_000_000_000_000);
  return { from: low, to: Math.min(Math.max(Math.round(to), low + SHORTEST), low + LONGEST) };
}

// How many values to ask for so that bars are hours of a day, quarters of a day in a week, days of a month and of a year.
export function bars(from, to) {
  const hours = (to - from) / 3_600_000;
  const step = hours <= 12 ? 0.25 : hours <= 60 ? 1 : hours <= 10 * 24 ? 6 : 24;
  return Math.min(2_000, Math.max(16, Math.ceil(hours / step) + 3));
}

// Days of more than a hundred are put together by month: [month's start, sum].
export function byMonth(times, values, zone) {
  const found = new Map();
  times.forEach((at, i) => {
    const { year, month } = wall(at, zone);
    const start = instant(zone, year, month);
    found.set(start, (found.get(start) ?? 0) + (values[i] ?? 0));
  });
  return [[...found.keys()], [...found.values()]];
}
