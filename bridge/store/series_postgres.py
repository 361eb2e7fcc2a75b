"""The time series store's statements that only PostgreSQL understands."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from bridge.store.dialect import Connection, Dialect, Row

BIGINT, BIGINTS = 20, 1016
TEXT, TEXTS = 25, 1009
"""Types as PostgreSQL numbers them, and arrays of them."""
_HEAD = struct.Struct(">iiIii")
_SIZED = np.dtype([("size", ">i4"), ("value", ">i8")])


class Integers(bytes):
    """An array as PostgreSQL reads it in binary."""


class Texts(bytes):
    """The same of UTF-8."""


def integers(values: Iterable[int]) -> Integers:
    """An array of whole numbers."""
    numbers = np.array(list(values), np.int64)
    sized = np.empty(len(numbers), _SIZED)
    sized["size"], sized["value"] = 8, numbers
    return Integers(_HEAD.pack(1, 0, BIGINT, len(numbers), 1) + sized.tobytes())


def texts(values: Sequence[bytes | msgspec.Raw]) -> Texts:
    """An array of UTF-8, which nobody parses on its way."""
    parts = [_HEAD.pack(1, 0, TEXT, len(values), 1)]
    for each in values:
        value = bytes(each)
        parts += len(value).to_bytes(4, "big"), value
    return Texts(b"".join(parts))


# The type json keeps numbers as they are spelt, jsonb does not (-0.0).
_SAMPLES = """
INSERT INTO samples (asset, ts, body) SELECT * FROM unnest(?1, ?2, ?3)
ON CONFLICT (asset, ts) DO UPDATE SET body = (
  SELECT json_object_agg(key, value)::text FROM (
    SELECT DISTINCT ON (key) key, value FROM (
      SELECT key, value, 0 AS newer FROM json_each(samples.body::json)
      UNION ALL SELECT key, value, 1 FROM json_each(excluded.body::json)
    ) AS either ORDER BY key, newer DESC
  ) AS merged
) WHERE samples.body <> excluded.body
"""


def _put_samples(connection: Connection, rows: list[Row]) -> None:
    assets, moments, bodies = zip(*rows, strict=True)
    connection.execute(_SAMPLES, (integers(assets), integers(moments), texts(bodies)))


POSTGRES = Dialect(
    # An upsert would take a new number for each asset that is known already.
    assets="""
WITH given AS (
  SELECT value ->> 0 AS name, value ->> 1 AS device, value ->> 2 AS timezone, (value ->> 3)::bigint AS first_at,
    (value ->> 4)::bigint AS last_at, number FROM json_array_elements(?1::json) WITH ORDINALITY AS told (value, number)
), known AS (
  UPDATE assets AS a SET timezone = coalesce(g.timezone, a.timezone), first_at = least(a.first_at, g.first_at),
    last_at = greatest(a.last_at, g.last_at) FROM given AS g WHERE a.name = g.name RETURNING a.name, a.id
), made AS (
  INSERT INTO assets (name, device, timezone, first_at, last_at)
  SELECT name, device, timezone, first_at, last_at FROM given
  WHERE NOT EXISTS (SELECT 1 FROM assets AS a WHERE a.name = given.name) ORDER BY number
  RETURNING name, id
) SELECT name, id FROM known UNION ALL SELECT name, id FROM made
""",
    points="""
INSERT INTO points (asset, name, unit, kind)
SELECT (value ->> 0)::bigint, value ->> 1, value ->> 2, value ->> 3 FROM json_array_elements(?1::json) AS told (value)
ON CONFLICT (asset, name) DO UPDATE SET unit = excluded.unit, kind = excluded.kind
""",
    days="""
INSERT INTO days (asset, day, first_half, second_half, late)
SELECT (value ->> 0)::bigint, (value ->> 1)::bigint, (value ->> 2)::bigint, (value ->> 3)::bigint, (value ->> 4)::bigint
FROM json_array_elements(?1::json) AS told (value)
ON CONFLICT (asset, day) DO UPDATE SET first_half = days.first_half | excluded.first_half,
  second_half = days.second_half | excluded.second_half, late = days.late + excluded.late
""",
    put_samples=_put_samples,
    point_tables="SELECT asset, json_object_agg(name, json_build_array(unit, kind))::text FROM points GROUP BY asset",
    chunks="SELECT id, body FROM chunks WHERE id = ANY (ARRAY(SELECT json_array_elements_text(?1::json)::bigint))",
    last_row="""
SELECT ts, (body::json ->> ?4::text)::double precision FROM samples
WHERE asset = ?1 AND ts >= ?3 AND ts < ?2 AND body::json ->> ?4::text IS NOT NULL ORDER BY ts DESC LIMIT 1
""",
)
