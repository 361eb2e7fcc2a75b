// Dead letters: what was refused, why and where. Their payloads are anybody's: text, never markup.

import { get } from "./api.js";
import { el, labelled } from "./dom.js";
import { live, sent } from "./live.js";
import { t } from "./words.js";
import { here, timeText } from "./zones.js";

export function dead(host, context) {
  const zone = here();
  let device = "";
  let timer = null;
  const search = el("input", {
    type: "search", oninput: (event) => {
      device = event.target.value.trim();
      clearTimeout(timer);
      timer = setTimeout(() => list.again(), 400);
    },
  });
  const list = live(host, context, {
    path: "/api/v1/dead-letters",
    items: "dead_letters",
    types: ["dead_letter"],
    heads: ["time", "source", "device", "topic", "reason"],
    empty: "no_dead",
    controls: [labelled(t("device"), search)],
    query: () => ({ device }),
    id: (each) => String(each.id),
    order: (each) => each.id,
    cells: (each) => [
      timeText(each.at, zone, true),
      each.source,
      each.device ?? each.sender ?? "–",
      each.topic ?? "–",
      [el("b", {}, each.reason), " ", each.path && el("code", {}, each.path), " ", each.detail],
    ],
    detail,
  });
  return { close: () => { clearTimeout(timer); list.close(); } };
}

async function detail({ id }, signal) {
  const found = await get(`/api/v1/dead-letters/${id}`, {}, signal);
  const words = found.payload === undefined ? t("base64", { count: found.payload_bytes }) : t("payload");
  return [el("p", {}, words), ...sent(found.payload ?? found.payload_base64 ?? "")];
}
