"""Bodies of plain rows are taken at half the price, and give what every other body gives."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from cloud_places import Place, Places
from hypothesis import given
from hypothesis import strategies as st

from bridge.cloud import rows
from bridge.cloud.cloud import Cloud
from bridge.store.series import Asset, Batch

NOW = 1_750_000_000_000
NAMES = ("p", "q", "a:b", "ü")
KNOWN = {
    name: Asset(name, number, name, None, 0, 0, dict.fromkeys(NAMES, ("", "gauge")))
    for number, name in enumerate(("A", "B"))
}
VALUES = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(1 << 70), 1 << 70), st.none())
ROWS = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(["A", "A", "B", "C", "A.x"]),
        "timestamp": st.sampled_from([NOW, NOW - 1, NOW + 1, 7, NOW * 1000, float(NOW), str(NOW)]),
        "values": st.lists(st.tuples(st.sampled_from([*NAMES, "new", "no name"]), VALUES), max_size=4),
    },
    optional={"unit": st.just("kW"), "device": st.sampled_from(["A", "B"])},
)


def written(row: dict[str, Any], spaced: bool, escaped: bool) -> str:
    """A row whose values may name a point twice, as no dict can."""
    values = ",".join(f"{json.dumps(name, ensure_ascii=escaped)}:{json.dumps(value)}" for name, value in row["values"])
    rest = json.dumps({key: value for key, value in row.items() if key != "values"})
    text = f'{rest[:-1]}, "values":{{{values}}}}}'
    return text.replace(",", " ,\t").replace(":", " : ") if spaced and "a:b" not in text else text


async def everything(parsed: rows.Parsed, place: Place) -> Any:
    cloud = await Cloud.open(place)
    try:
        first = Batch()
        for name in KNOWN:
            first.add(name, name, 0, dict.fromkeys(NAMES, 0.0))
        await cloud.series.store(first)
        await cloud.series.store(parsed.batch)
        return [await cloud.readings(asset) for asset in ("A", "B", "C")]
    finally:
        await cloud.close()


def sure(parsed: rows.Parsed | None) -> rows.Parsed:
    assert parsed is not None
    return parsed


@given(st.lists(st.tuples(ROWS, st.booleans(), st.booleans()), max_size=6), st.sampled_from(["\n", "\n\n", "\r\n"]))
async def test_plain_rows_are_what_any_rows_are(told: list[tuple[dict[str, Any], bool, bool]], end: str) -> None:
    body = end.join(written(*row) for row in told).encode()
    found = await rows.plain(body, KNOWN, lambda device: device != "B", NOW)
    if found is None:
        return
    whole = await rows.parse(rows.split(body, "application/x-ndjson"), KNOWN, lambda device: device != "B", NOW)
    assert found.batch.samples == whole.batch.samples
    assert found.batch.devices == whole.batch.devices
    assert (found.accepted, found.rejected, found.errors) == (whole.accepted, whole.rejected, whole.errors)
    decode = msgspec.json.Decoder(dict[str, float]).decode
    for key, text in found.batch.texts.items():
        assert decode(text) == found.batch.samples[key]


@pytest.mark.parametrize(("line", "taken"), [
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":1.5,"q":-2}}', True),
    ('{"asset":"A","device":"A","timestamp":1750000000000,"values":{"p":1}}', True),
    ('{"asset":"A","device":"D","timestamp":1750000000000,"values":{"p":1}}', False),
    ('{ "values" : { "a:b" : 1 } , "asset":"A","timestamp":1750000000000}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":1,"p":2}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"\\u0070":1}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":null}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":true}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":1e400}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"p":1},"unit":"kW"}', False),
    ('{"asset":"A","timestamp":17500000000000000,"values":{"p":1}}', False),
    ('{"asset":"A","timestamp":1750000000,"values":{"p":1}}', False),
    ('{"asset":"B","timestamp":1750000000000,"values":{"p":1}}', False),
    ('{"asset":"C","timestamp":1750000000000,"values":{"p":1}}', False),
    ('{"asset":"A","timestamp":1750000000000,"values":{"new":1}}', False),
    ("", False),
])  # fmt: skip
async def test_which_rows_are_plain(line: str, taken: bool) -> None:
    good = '{"asset":"A","timestamp":1750000000000,"values":{"p":1}}\n' if line else ""
    found = await rows.plain((good + line).encode(), KNOWN, lambda device: device != "B", NOW)
    assert (found is not None) is taken


async def test_a_body_of_many_portions(places: Places) -> None:
    lines = [
        f'{{"asset":"{"AB"[n % 2]}","timestamp":{NOW - n},"values":{{"p":{n / 8},"q":{n}}}}}' for n in range(5_000)
    ]
    body = "\n".join(lines).encode()
    assert len(body) > 4 * rows.PORTION
    found = sure(await rows.plain(body, KNOWN, lambda _: True, NOW))
    assert found.accepted == 5_000
    whole = await rows.parse(rows.split(body, "application/x-ndjson"), KNOWN, lambda _: True, NOW)
    assert not whole.batch.texts
    assert await everything(found, places()) == await everything(whole, places())


async def test_of_two_rows_of_one_instant_both_count(places: Places) -> None:
    body = b"\n".join(
        [
            b'{"asset":"A","timestamp":1750000000000,"values":{"p":1,"q":1}}',
            b'{"asset":"A","timestamp":1750000000000,"values":{"q":2}}',
        ]
    )
    found = sure(await rows.plain(body, KNOWN, lambda _: True, NOW))
    ((_, p), (_, q)) = [(each.point, each.value) for each in (await everything(found, places()))[0][-2:]]
    assert (p, q) == (1.0, 2.0)
