// Wall clocks and instants (ms since 1970) in any IANA zone, also on days of 23 and 25 hours, by what the browser knows of zones.

import { language } from "./words.js";

const DAY = 86_400_000;
const clocks = new Map();

function clock(zone) {
  if (!clocks.has(zone)) {
    const options = { timeZone: zone, hourCycle: "h23", era: "short", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
    clocks.set(zone, new Intl.DateTimeFormat("en-US", options));
  }
  return clocks.get(zone);
}

export function here() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

// A zone that the browser does not know is taken for UTC, and called that.
export function known(zone) {
  try {
    clock(zone);
    return zone;
  } catch {
    return "UTC";
  }
}

// {year, month (1-12), day, hour, minute, second, weekday (0: Monday)}
export function wall(at, zone) {
  const parts = {};
  for (const { type, value } of clock(zone).formatToParts(at)) parts[type] = Number(value);
  const weekday = (new Date(Date.UTC(parts.year, parts.month - 1, parts.day)).getUTCDay() + 6) % 7;
  return { ...parts, weekday };
}

function offset(at, zone) {
  const { year, month, day, hour, minute, second } = wall(at, zone);
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000;
}

// The instant of a wall time; days and months may run over (month 13 is next January). A time that comes twice is its first
// coming, one that does not exist the instant of the change.
export function instant(zone, year, month, day = 1, hour = 0, minute = 0) {
  const there = Date.UTC(year, month - 1, day, hour, minute);
  const before = offset(there - DAY, zone);
  const after = offset(there + DAY, zone);
  const found = [there - before, there - after].filter((at) => offset(at, zone) === there - at);
  return found.length ? Math.min(...found) : change(zone, there - Math.max(before, after), there - Math.min(before, after));
}

function change(zone, low, high) {
  const late = offset(high, zone);
  while (high - low > 1_000) {
    const middle = Math.floor((low + high) / 2_000) * 1_000;
    if (offset(middle, zone) === late) high = middle;
    else low = middle;
  }
  return high;
}

const two = (number) => String(number).padStart(2, "0");

export function dateText(at, zone) {
  const { year, month, day } = wall(at, zone);
  return `${year}-${two(month)}-${two(day)}`;
}

export function clockText(at, zone, seconds = false) {
  const { hour, minute, second } = wall(at, zone);
  return `${two(hour)}:${two(minute)}${seconds ? `:${two(second)}` : ""}`;
}

export function timeText(at, zone, seconds = false) {
  return `${dateText(at, zone)} ${clockText(at, zone, seconds)}`;
}

// With the zone's name at that time, which tells the two hours of autumn apart: 2026-10-25 02:30 GMT+2
export function exactText(at, zone) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(at);
  return `${timeText(at, zone, at % 60_000 !== 0)} ${parts.find((each) => each.type === "timeZoneName").value}`;
}

// For <input type="datetime-local">
export function inputText(at, zone) {
  return `${dateText(at, zone)}T${clockText(at, zone)}`;
}

export function fromInput(text, zone) {
  const found = /^(\d{4,6})-(\d\d)-(\d\d)T(\d\d):(\d\d)/.exec(text);
  return found ? instant(zone, ...found.slice(1).map(Number)) : NaN;
}

export function numberText(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value.toLocaleString(language(), { maximumSignificantDigits: 6 });
}
