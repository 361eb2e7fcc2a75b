// The demand limit of a device: what was sent to it last, else what it reported, or what somebody typed.

import { get } from "./api.js";
import { t } from "./words.js";
import { instant, timeText, wall } from "./zones.js";

const FEATURE = "streaming_overdemand";
const NOT_SENT = new Set(["rejected", "late_rejected", "expired", "undeliverable", "cancelled"]);
const ON = 1;
const LOOKED_AT = 200; // newest commands of the device

// {months: 12 values in kW, meter, words}, {words} when it is off, or null. `meters` are preferred where there are several.
export async function limitOf(device, meters, zone, signal) {
  const [{ commands }, { strategies }] = await Promise.all([
    get("/api/v1/commands", { device, limit: LOOKED_AT }, signal),
    get(`/api/v1/devices/${encodeURIComponent(device)}`, {}, signal),
  ]);
  const sent = newest(commands, meters);
  if (sent) return shown(sent.part, t("limit_sent", { time: timeText(sent.at, zone), state: t(sent.state) }));
  const told = best(limits(strategies[FEATURE]), meters);
  return told ? shown(told, t("limit_told")) : null;
}

// Of the commands, newest first: a removal ends what came before it.
function newest(commands, meters) {
  for (const { feature, action, data, state, created_at: at } of commands) {
    if (feature !== FEATURE || NOT_SENT.has(state)) continue;
    if (action === "delete") return null;
    const part = best(limits(data), meters);
    if (part) return { part, state, at };
  }
  return null;
}

function limits(data) {
  const all = Array.isArray(data) ? data : [data];
  return all.filter((each) => each && Array.isArray(each.over_demand_condition) && each.over_demand_condition.length === 12);
}

function best(all, meters) {
  return all.find((each) => meters.includes(String(each.ele_meter_id))) ?? all[0];
}

function shown(part, words) {
  const meter = part.ele_meter_id === undefined ? "" : `, ${t("limit_meter", { meter: part.ele_meter_id })}`;
  if (part.over_demand_status !== undefined && part.over_demand_status !== ON) return { words: `${t("limit_off")} (${words}${meter})` };
  return { months: part.over_demand_condition.map(Number), words: `${words}${meter}` };
}

// The limit as steps over [from, to]: another value each month of the zone.
export function steps(months, from, to, zone) {
  const times = [from];
  const { year, month } = wall(from, zone);
  for (let n = 1; n < 12 * 20; n++) {
    const at = instant(zone, year, month + n);
    if (at >= to) break;
    times.push(at);
  }
  const values = times.map((at) => months[wall(at, zone).month - 1]);
  return { times: [...times, to], values: [...values, values.at(-1)] };
}
