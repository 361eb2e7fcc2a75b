"""The format of a sink: rows out of outbox lines, bodies out of rows, and what its answers mean. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from msgspec import Raw

from bridge.errors import ConfigError
from bridge.mirror import rows as own
from bridge.mirror.answers import Answer, by_status
from bridge.mirror.enos import Enos
from bridge.mirror.influx import Influx
from bridge.mirror.rows import UNITS, Row
from bridge.mirror.sink import Format, SinkConfig, TemplateConfig
from bridge.store.outbox import OutboxLine
from bridge.templates import TemplateError, batch_template, row_template

OWN: Final[dict[Format, Callable[[OutboxLine], list[Row]]]] = {
    "readings": own.readings,
    "samples": own.samples,
    "events": own.events,
}
"""Formats whose rows depend on nothing but their lines."""


class Shape(Protocol):
    """`answer_bytes` of an answer are read; where `reads` is False, 2xx says it all."""

    @property
    def content_type(self) -> str: ...
    @property
    def answer_bytes(self) -> int: ...
    @property
    def reads(self) -> bool: ...
    def rows(self, line: OutboxLine) -> list[Row]:
        """What one line gives."""

    def size(self, rows: Sequence[Row]) -> int:
        """About how many bytes of a body they are."""

    def body(self, rows: Sequence[Row]) -> bytes:
        """One request. The same rows give the same bytes."""

    def letter(self, row: Row) -> bytes:
        """A refused row, in one of our own formats."""

    def answer(self, status: int, text: str, wait: float, rows: Sequence[Row]) -> Answer:
        """What the sink said to a request with these rows; `wait` is its Retry-After."""


class Own:
    """Our own formats, and the events of webhooks."""

    answer_bytes = 2_000
    reads = False

    def __init__(self, name: Format) -> None:
        self.rows = OWN[name]
        self.content_type = "application/json" if name == "events" else "application/x-ndjson"
        self._event = name == "events"

    def size(self, rows: Sequence[Row]) -> int:
        """See rows.size."""
        return own.size(rows)

    def body(self, rows: Sequence[Row]) -> bytes:
        """NDJSON, or one event."""
        return rows[0].body if self._event else own.body(rows)

    def letter(self, row: Row) -> bytes:
        """As it is."""
        return row.body

    def answer(self, status: int, text: str, wait: float, _rows: Sequence[Row]) -> Answer:
        """As the status says."""
        return by_status(status, text, wait)


class Filled(own.Foreign):
    """JSON as a template has it: a row a reading, or a sample where the template has {values}."""

    answer_bytes = 2_000
    reads = False

    def __init__(self, config: TemplateConfig) -> None:
        self._row = row_template(config.row)
        self._batch = batch_template(config.batch) if config.batch else None
        self._samples = "values" in self._row.used
        kind = "application/json" if config.batch else "application/x-ndjson"
        self.content_type = config.content_type or kind

    def rows(self, line: OutboxLine) -> list[Row]:
        """One a reading or a sample."""
        return self._of_samples(line) if self._samples else self._of_readings(line)

    def body(self, rows: Sequence[Row]) -> bytes:
        """The batch's template with the rows in it; NDJSON without one."""
        if self._batch is None:
            return own.body(rows)
        filled = Raw(b"[" + b",".join([row.body for row in rows]) + b"]")
        return self._batch.render({"rows": filled, "count": len(rows)})

    def answer(self, status: int, text: str, wait: float, _rows: Sequence[Row]) -> Answer:
        """As the status says."""
        return by_status(status, text, wait)

    def _of_samples(self, line: OutboxLine) -> list[Row]:
        return [
            Row(line.seq, line.device, asset, at, "", self._sample(line, asset, at, values), kept=values.copy())
            for asset, at, values in own.raw_parts(line.samples)
        ]

    def _sample(self, line: OutboxLine, asset: str, at: int, values: Raw) -> bytes:
        return self._row.render({**_common(line, asset, at), "values": values})

    def _of_readings(self, line: OutboxLine) -> list[Row]:
        found = []
        for asset, at, values in own.parts(line.samples):
            common = _common(line, asset, at)
            for point, value in values.items():
                unit = UNITS.get(point, "")
                filled = self._row.render({**common, "point": point, "value": value, "unit": unit})
                found.append(Row(line.seq, line.device, asset, at, point, filled, kept=value))
        return found


def _common(line: OutboxLine, asset: str, at: int) -> dict[str, object]:
    try:
        time = datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        time = str(at)
    return {"asset": asset, "device": line.device, "timestamp": at, "seconds": at / 1000, "time": time}


def shape_of(sink: SinkConfig) -> Shape:
    """The sink's format. Raises ConfigError for a template that cannot be read."""
    if sink.format == "influx":
        return Influx(sink.influx)
    if sink.format == "enos":
        return Enos(sink.enos)
    if sink.format == "template":
        try:
            return Filled(sink.template)
        except TemplateError as error:
            raise ConfigError(f"sink {sink.name}", str(error), "see docs/mirror.md") from None
    return Own(sink.format)
