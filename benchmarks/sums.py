"""The sums at the end of a day: what devices sent beside what the bridge has stored and refused, commands, rows at the sink."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

import msgspec
from harness.process import Bridge

from schemas import kinds, readings
from schemas.notices import OPEN
from simulator.counters import Summary
from simulator.run import Run

PATIENCE_S = 120.0


class Check(NamedTuple):
    """Two figures that must be one."""

    text: str
    found: int
    wanted: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.found == self.wanted

    def line(self) -> str:
        """For a table."""
        return f"{self.text:<84}{self.found:>11,} {'=' if self.holds else '≠'} {self.wanted:,}"


class Sums(NamedTuple):
    """What came of a day."""

    checks: list[Check]
    lines: list[str]

    @property
    def wrong(self) -> list[Check]:
        """What does not hold."""
        return [check for check in self.checks if not check.holds]

    def text(self) -> str:
        """A table."""
        last = f"{len(self.wrong)} of {len(self.checks)} sums are wrong" if self.wrong else "the ledger is balanced"
        return "\n".join((*self.lines, "", *(check.line() for check in self.checks), "", last))


class Heard:
    """What devices sent, by the hash of the payload: how often, and by whom."""

    def __init__(self) -> None:
        self.times: Counter[bytes] = Counter()
        self.by: dict[bytes, str] = {}

    def __call__(self, uid: str, from_device: bool, _topic: str, payload: bytes) -> None:
        if from_device:
            key = digest(payload)
            self.times[key] += 1
            self.by[key] = uid

    def of_devices(self, messages: Counter[bytes]) -> Counter[str]:
        """How many of these each device sent."""
        found: Counter[str] = Counter()
        for key, times in messages.items():
            if key in self.by:
                found[self.by[key]] += times
        return found


class Taken(Protocol):
    """What a sink has accepted: a hash of each row, once a batch."""

    rows: Counter[bytes]


def digest(payload: bytes) -> bytes:
    """Of a message."""
    return blake2b(payload, digest_size=12).digest()


def row_hash(asset: str, timestamp: int, values: Mapping[str, float]) -> bytes:
    """Of a row: whose, when and every value."""
    plain = {name: float(value) for name, value in sorted(values.items())}
    return digest(msgspec.json.encode([asset, timestamp, plain]))


class Ledger:
    """What the files of a bridge say."""

    def __init__(self, bridge: Bridge) -> None:
        self._file = bridge.data / "bridge.db"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as found:
            yield found

    def _counted(self, query: str) -> dict[str, int]:
        with self._open() as file:
            return dict(file.execute(query).fetchall())

    def commands(self) -> dict[str, str]:
        """Mid and state."""
        with self._open() as file:
            return dict(file.execute("SELECT mid, state FROM commands").fetchall())

    def unsettled(self) -> int:
        """Commands without an outcome."""
        return sum(state in OPEN for state in self.commands().values())

    def kinds(self) -> dict[str, int]:
        """Stored messages of each kind."""
        return self._counted("SELECT suffix, count(*) FROM reports GROUP BY suffix ORDER BY 2 DESC")

    def stored(self) -> Counter[bytes]:
        """Messages that were taken."""
        with self._open() as file:
            return Counter(digest(body) for (body,) in file.execute("SELECT CAST(body AS BLOB) FROM reports"))

    def refused(self, devices: bool) -> dict[str, Counter[bytes]]:
        """Dead letters by reason: messages of devices, or commands."""
        found: dict[str, Counter[bytes]] = defaultdict(Counter)
        with self._open() as file:
            query = "SELECT topic, reason, CAST(payload AS BLOB) FROM dead_letters WHERE source = 'mqtt'"
            for topic, reason, payload in file.execute(query):
                if topic.endswith("/command") != devices:
                    found[reason][digest(payload)] += 1
        return dict(found)

    def buried(self) -> int:
        """Dead letters that are no messages: rows that a sink refused."""
        with self._open() as file:
            return int(file.execute("SELECT count(*) FROM dead_letters WHERE source <> 'mqtt'").fetchone()[0])

    def rows(self) -> Counter[bytes]:
        """The rows that the readings of the stored messages are."""
        found: Counter[bytes] = Counter()
        with self._open() as file:
            for device, topic, body in file.execute("SELECT device, topic, CAST(body AS BLOB) FROM reports"):
                kind, message = kinds.resolve("/".join(topic.rsplit("/", 3)[1:]), body)
                for part, at, values in readings.extract(kind, message):
                    found[row_hash(f"{device}.{part}" if part else device, at, values)] += 1
        return found


async def settled(ledger: Ledger, rows: Taken) -> None:
    """Until each command has its outcome and the sink as many rows as it should have, as far as that comes."""
    deadline = time.monotonic() + PATIENCE_S
    while await asyncio.to_thread(ledger.unsettled) and time.monotonic() < deadline:  # noqa: ASYNC110 - files ring no bell
        await asyncio.sleep(0.2)
    wanted = (await asyncio.to_thread(ledger.rows)).total()
    while rows.rows.total() < wanted and time.monotonic() < deadline:  # noqa: ASYNC110 - it is not worth a bell
        await asyncio.sleep(0.2)


def sums(ledger: Ledger, run: Run, heard: Heard, rows: Taken, received: int) -> Sums:
    """All of them, when nothing moves any more. `received`: messages that the bridge has counted."""
    found = run.outcome()
    dead, expected, states = ledger.refused(devices=True), ledger.rows(), ledger.commands()
    arrived = ledger.stored()
    for counted in dead.values():
        arrived += counted
    missing, extra = heard.times - arrived, arrived - heard.times
    refused = sum(counted.total() for counted in ledger.refused(devices=False).values())
    checks = [
        *_messages(run, found.summary, heard, arrived),
        Check("received by the bridge = stored + dead letters + commands", received, arrived.total() + len(run.told)),
        Check(
            "commands sent = those with one outcome + refused",
            len(states) - ledger.unsettled() + refused,
            len(run.told),
        ),
        Check("commands of which the platform was told another outcome", _told_otherwise(run.told, states), 0),
        Check("rows at the sink = rows that stored messages are", rows.rows.total(), expected.total()),
        Check("rows that the sink has too few of", (expected - rows.rows).total(), 0),
        Check("rows that the sink has too many of", (rows.rows - expected).total(), 0),
        Check("rows that the sink refused for good", ledger.buried(), 0),
    ]
    summary = found.summary
    given_up = f"given up {summary.dropped:,}, pending {summary.pending:,}"
    again = f"never arrived {missing.total():,}, arrived again {extra.total():,} of {summary.resent:,} sent again"
    lines = [
        f"published {summary.published:,}: acknowledged {summary.acked:,}, {given_up}; {again}",
        f"stored    {ledger.stored().total():,}: {_words(ledger.kinds())}",
        f"refused   {_words({reason: counted.total() for reason, counted in dead.items()})}",
        f"commands  {len(run.told):,}: {_words(Counter(states.values()) + Counter(refused=refused))}",
        f"devices   {summary.devices:,}, connected {summary.connects:,} times; faults {_words(found.faults)}",
    ]  # fmt: skip
    return Sums(checks, lines)


def _messages(run: Run, summary: Summary, heard: Heard, arrived: Counter[bytes]) -> list[Check]:
    missing, extra = heard.times - arrived, arrived - heard.times
    links = {uid: member.link for uid, member in run.fleet.members.items()}
    lost = sum(n > links[uid].dropped + links[uid].pending for uid, n in heard.of_devices(missing).items())
    odd = sum(n > links[uid].resent for uid, n in heard.of_devices(extra).items())
    ended = summary.acked + summary.dropped + summary.pending
    return [
        Check("published = acknowledged + given up by the device + pending", ended, summary.published),
        Check("published = what was overheard of the devices", heard.times.total(), summary.published),
        Check("messages that the bridge has and no device sent", sum(key not in heard.by for key in arrived), 0),
        Check("devices that miss more than they gave up or have pending", lost, 0),
        Check("devices of which more arrived again than they sent again", odd, 0),
    ]


def _told_otherwise(told: Mapping[str, str], states: Mapping[str, str]) -> int:
    """A timeout may have become a late answer since; who was told nothing of an outcome was gone by then."""
    wrong = 0
    for mid, said in told.items():
        state = states.get(mid, "refused")
        later = said in ("", *OPEN) or (said == "timed_out" and state.startswith("late_"))
        wrong += said != state and not later
    return wrong


def _words(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counted.items() if count) or "none"


def exactly(text: str, found: Iterable[object]) -> Check:
    """None of these may be there."""
    return Check(text, len(list(found)), 0)
