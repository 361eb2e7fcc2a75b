// Where the time axis has its marks: at round wall times of a zone.

import { clockText, dateText, instant, wall } from "./zones.js";

const SECONDS = [5, 10, 30].map((each) => each * 1_000);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WITHIN_DAY = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((each) => each * MINUTE);
const DAYS = [1, 2, 7, 14];
const MONTHS = [1, 2, 3, 6, 12, 24, 60, 120];

// Instants in [from, to], `most` of them or a few more.
export function ticks(from, to, zone, most) {
  const room = (to - from) / Math.max(2, most);
  const shorter = SECONDS.find((step) => step >= room);
  if (shorter) return even(from, to, shorter);
  const short = WITHIN_DAY.find((step) => step >= room);
  if (short) return within(from, to, zone, short);
  const days = DAYS.find((each) => each * DAY >= room);
  if (days) return byDay(from, to, zone, days);
  return byMonth(from, to, zone, MONTHS.find((each) => each * 28 * DAY >= room) ?? MONTHS.at(-1));
}

export function tickText(at, zone, span) {
  const { month, day, hour, minute, second } = wall(at, zone);
  if (hour || minute || second) return clockText(at, zone, second !== 0);
  const date = dateText(at, zone);
  if (span > 60 * DAY) return month === 1 && day === 1 ? date.slice(0, -6) : date.slice(0, -3);
  return date.slice(-5);
}

// Zones differ by whole minutes.
function even(from, to, step) {
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, i) => first + i * step);
}

function within(from, to, zone, step) {
  const { year, month, day } = wall(from, zone);
  const found = [];
  for (let n = 0; ; n++) {
    const midnight = instant(zone, year, month, day + n);
    if (midnight > to) return kept(found, from, to);
    // where a day has no change of its clock, its marks are so far apart as they seem
    const even = instant(zone, year, month, day + n + 1) - midnight === DAY;
    for (let past = 0; past < DAY; past += step) {
      const at = even ? midnight + past : instant(zone, year, month, day + n, 0, past / MINUTE);
      found.push(at);
    }
  }
}

function byDay(from, to, zone, days) {
  const { year, month, day } = wall(from, zone);
  const found = [];
  for (let n = 0; found.length === 0 || found.at(-1) <= to; n += days) found.push(instant(zone, year, month, day + n));
  return kept(found, from, to);
}

function byMonth(from, to, zone, months) {
  const { year } = wall(from, zone);
  const first = months > 12 ? year - (year % (months / 12)) : year;
  const found = [];
  for (let n = 0; found.length === 0 || found.at(-1) <= to; n += months) found.push(instant(zone, first, 1 + n));
  return kept(found, from, to);
}

function kept(times, from, to) {
  return [...new Set(times)].filter((at) => at >= from && at <= to);
}
