// Commands and how they stand, as the event stream tells. Nothing is sent from here.

import { get } from "./api.js";
import { el, labelled, select } from "./dom.js";
import { live, sent } from "./live.js";
import { t } from "./words.js";
import { here, timeText } from "./zones.js";

const STATES = ["accepted", "sent", "delivered", "succeeded", "rejected", "timed_out", "late_succeeded", "late_rejected", "expired", "undeliverable", "cancelled"];
const GOOD = new Set(["succeeded", "late_succeeded"]);
const OPEN = new Set(["accepted", "sent", "delivered"]);

export function commands(host, context) {
  const zone = here();
  let device = "";
  let state = "";
  let timer = null;
  const search = el("input", {
    type: "search", oninput: (event) => {
      device = event.target.value.trim();
      clearTimeout(timer);
      timer = setTimeout(() => list.again(), 400);
    },
  });
  const choice = select([["", t("all")], ...STATES.map((each) => [each, t(each)])], "", (value) => { state = value; list.again(); });
  const list = live(host, context, {
    path: "/api/v1/commands",
    items: "commands",
    types: ["command"],
    heads: ["time", "device", "command", "state", "answer", "sender"],
    empty: "no_commands",
    controls: [labelled(t("device"), search), labelled(t("state"), choice)],
    query: () => ({ device, state }),
    id: (each) => each.mid,
    order: (each) => each.created_at,
    cells: (each) => [
      timeText(each.created_at, zone, true),
      each.device,
      `${each.feature}/${each.action}`,
      badge(each.state),
      [each.code, each.msg].filter((part) => part !== null && part !== "").join(" "),
      each.sender,
    ],
    detail,
    told: ({ mid, state: moved, code, msg }, rows) => {
      const entry = rows.get(mid);
      if (entry) Object.assign(entry.item, { state: moved, code: code ?? entry.item.code, msg: msg || entry.item.msg });
    },
  });
  return { close: () => { clearTimeout(timer); list.close(); } };

  async function detail({ mid }, signal) {
    const found = await get(`/api/v1/commands/${encodeURIComponent(mid)}`, {}, signal);
    const steps = found.history.map(({ state: word, at, cause, code, msg }) =>
      el("li", {}, timeText(at, zone, true), " ", badge(word), " ", [cause, code, msg].filter((part) => part !== null && part !== "").join(" ")));
    return [el("code", {}, mid), el("ol", {}, steps), ...sent(JSON.stringify(found.data, null, 2) ?? ""), ...(found.answer == null ? [] : [el("p", {}, t("answer")), ...sent(JSON.stringify(found.answer, null, 2))])];
  }
}

function badge(state) {
  const sort = GOOD.has(state) ? "good" : OPEN.has(state) ? "open" : "bad";
  return el("span", { class: `badge ${sort}` }, t(state));
}
