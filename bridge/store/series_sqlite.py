"""The time series store's statements that only SQLite understands."""

from __future__ import annotations

import msgspec

from bridge.store.dialect import Dialect

_encode = msgspec.json.Encoder().encode


def _pack(samples: list[tuple[int, int, bytes]]) -> tuple[str, bytes]:
    """[asset, ms, where its values begin, their size] of each sample, and all values: nothing of them is parsed on its way."""
    lines, at = [], 0
    for asset, moment, body in samples:
        lines.append((asset, moment, at, len(body)))
        at += len(body)
    return _encode(lines).decode(), b"".join([body for _, _, body in samples])


SQLITE = Dialect(
    assets="""
INSERT INTO assets (name, device, timezone, first_at, last_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true
ON CONFLICT (name) DO UPDATE SET timezone = coalesce(excluded.timezone, timezone),
  first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)
RETURNING name, id
""",
    points="""
INSERT INTO points (asset, name, unit, kind)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
ON CONFLICT (asset, name) DO UPDATE SET unit = excluded.unit, kind = excluded.kind
""",
    samples="""
INSERT INTO samples (asset, ts, body)
SELECT value ->> 0, value ->> 1, CAST(substr(?2, 1 + (value ->> 2), value ->> 3) AS TEXT) FROM json_each(?1) WHERE true
ON CONFLICT (asset, ts) DO UPDATE SET body = json_patch(body, excluded.body) WHERE body IS NOT excluded.body
""",
    pack=_pack,
    point_tables="SELECT asset, json_group_object(name, json_array(unit, kind)) FROM points GROUP BY asset",
    last_row="""
SELECT ts, value FROM (SELECT ts, json_extract(body, '$."' || ?4 || '"') AS value FROM samples
WHERE asset = ?1 AND ts >= ?3 AND ts < ?2 ORDER BY ts DESC) WHERE value IS NOT NULL LIMIT 1
""",
)
