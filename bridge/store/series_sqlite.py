"""The time series store's statements that only SQLite understands."""

from __future__ import annotations

from bridge.store.dialect import Connection, Dialect, Row

_SAMPLES = {
    rows: f"""
INSERT INTO samples (asset, ts, body) VALUES {", ".join(["(?, ?, ?)"] * rows)}
ON CONFLICT (asset, ts) DO UPDATE SET body = json_patch(body, excluded.body) WHERE body IS NOT excluded.body
"""
    for rows in (256, 64, 16, 4, 1)
}
"""Number of rows -> a statement for so many. Many at once leave Python's lock once, and cost three quarters of json_each."""


def _put_samples(connection: Connection, rows: list[Row]) -> None:
    first = 0
    for size, sql in _SAMPLES.items():
        while len(rows) - first >= size:
            some = rows[first : first + size]
            connection.execute(sql, [part for asset, at, body in some for part in (asset, at, str(body, "utf-8"))])
            first += size


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
    days="""
INSERT INTO days (asset, day, first_half, second_half, late)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true
ON CONFLICT (asset, day) DO UPDATE SET first_half = first_half | excluded.first_half,
  second_half = second_half | excluded.second_half, late = late + excluded.late
""",
    put_samples=_put_samples,
    point_tables="SELECT asset, json_group_object(name, json_array(unit, kind)) FROM points GROUP BY asset",
    chunks="SELECT id, body FROM chunks WHERE id IN (SELECT value FROM json_each(?))",
    last_row="""
SELECT ts, value FROM (SELECT ts, json_extract(body, '$."' || ?4 || '"') AS value FROM samples
WHERE asset = ?1 AND ts >= ?3 AND ts < ?2 ORDER BY ts DESC) WHERE value IS NOT NULL LIMIT 1
""",
)
