"""One kind of message: how its payloads are read, and what hangs on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import msgspec
from msgspec import Struct

from schemas.envelope import Message, check_mid
from schemas.errors import Invalid
from schemas.explain import FAILURES, explain
from schemas.nesting import too_deep

TIMEOUT_S = 10.0
"""Seconds that a device has to answer, unless its row says otherwise (PRODUCT.md §4.3)."""


class Nothing(Struct, forbid_unknown_fields=True):
    """The data of a request that carries none: `{}` at most."""


class Verdict(NamedTuple):
    """What an answer's data says of its command. `progress`: another answer follows, and the deadline is for that one."""

    outcome: Literal["progress", "succeeded", "rejected"]
    text: str


class Kind:
    """A row of the table of kinds. Never changed after it was built.

    `type` is the envelope's type, `aliases` its other spellings; `data` the type of the body or None; `also` further topic
    suffixes on which it may come; `changes` whether it changes the device; `answers` the suffix of a command's result;
    `timeout_s` how long its final answer may take; `verdict(data)` what a result's data says of the command where the code says
    nothing (None: only the code counts); `event` the sort of event that listeners are told of.
    Several kinds on one suffix and type are told apart by `fits(data)`; `loose` reads a body that `data` refuses from plain
    JSON values (unknown entries of a report).
    """

    __slots__ = (
        "_read",
        "_read_strict",
        "_strict_data",
        "action",
        "aliases",
        "also",
        "answers",
        "changes",
        "data",
        "event",
        "feature",
        "fits",
        "key",
        "kind",
        "loose",
        "model",
        "needs_data",
        "strict_model",
        "suffix",
        "timeout_s",
        "type",
        "verdict",
    )

    def __init__(
        self,
        feature: str,
        action: str,
        kind: Literal["post", "command", "result"],
        type: str,  # noqa: A002  the envelope's own word
        data: Any = None,
        *,
        aliases: tuple[str, ...] = (),
        also: tuple[str, ...] = (),
        changes: bool = False,
        timeout_s: float = TIMEOUT_S,
        variant: str = "",
        fits: Callable[[Any], bool] | None = None,
        loose: Callable[[Any], Any] | None = None,
        verdict: Callable[[Any], Verdict | None] | None = None,
        event: str = "",
    ) -> None:
        self.feature, self.action, self.kind = feature, action, kind
        self.suffix = f"{feature}/{action}/{kind}"
        self.key = f"{self.suffix}:{variant}" if variant else self.suffix
        self.type, self.aliases, self.also = type, aliases, also
        self.data = data
        self.needs_data = data is not None and kind != "result"
        self.answers = f"{feature}/{action}/result" if kind == "command" else None
        self.changes, self.timeout_s = changes, timeout_s
        self.fits, self.loose = fits, loose
        self.verdict, self.event = verdict, event
        body = Any if data is None else data
        self.model = self._model(body, strict=False)
        self.strict_model = self._model(Nothing if data is None else data, strict=True)
        self._read = msgspec.json.Decoder(self.model).decode
        self._read_strict = msgspec.json.Decoder(self.strict_model).decode
        self._strict_data = msgspec.json.Decoder(Nothing | None if data is None else data).decode

    def __repr__(self) -> str:
        return f"Kind({self.key})"

    def decode(self, payload: bytes) -> Message:
        """A device's message: unknown keys ignored. Raise Invalid."""
        try:
            return self.check(self.read(payload))
        except FAILURES as error:
            if self.loose is not None and isinstance(error, msgspec.ValidationError):
                return self.decode_loose(payload, error)
            raise explain(error, self.model) from None

    def decode_strict(self, payload: bytes) -> Message:
        """A platform's message: unknown keys refused. Raise Invalid."""
        try:
            str(payload, "utf-8")
            message: Message = self._read_strict(payload)
            _check_depth(payload)
        except FAILURES as error:
            raise explain(error, self.strict_model) from None
        return self.check(message)

    def data_strict(self, data: object) -> Any:
        """An HTTP body's data as this kind's typed value (None when it has none). Raise Invalid with paths from `$.data`."""
        if data is None and self.needs_data:
            raise Invalid("invalid", "$.data", f"required, but missing: {self.suffix} carries data")
        try:
            encoded = msgspec.json.encode(data)
            value = self._strict_data(encoded)
            _check_depth(encoded)
        except FAILURES as error:
            raise explain(error, self.data or Nothing, "$.data") from None
        except (TypeError, ValueError, OverflowError) as error:
            raise Invalid("invalid", "$.data", f"not JSON: {error}") from None
        return None if self.data is None else value

    def read(self, payload: bytes) -> Message:
        """Decode without the checks of `check`; raises msgspec's own errors (explain.FAILURES)."""
        if not payload.isascii():
            str(payload, "utf-8")  # msgspec skips the strings of unknown keys unread
        message: Message = self._read(payload)
        _check_depth(payload)
        return message

    def check(self, message: Message) -> Message:
        """What the types cannot say: the mid is a UUID. Raise Invalid."""
        check_mid(message.mid)
        return message

    def decode_loose(self, payload: bytes, error: msgspec.ValidationError) -> Message:
        """Read the body by `loose`; `error`, which made that needful, is told when the envelope is wrong. Raise Invalid."""
        try:
            message = _read_plain(payload)
            _check_depth(payload)
        except FAILURES:
            raise explain(error, self.model) from None
        if self.loose is None or message.data is None or message.type not in (self.type, *self.aliases):
            raise explain(error, self.model)
        message.data = self.loose(message.data)
        return self.check(message)

    def _model(self, body: Any, *, strict: bool) -> type[Message]:
        """The Message of this kind: its own types of `type` and `data`; its name is what the contract documents show."""
        words = self.key.replace("/", "_").replace(":", "_").split("_")
        name = "".join(word.title() for word in words) + ("Strict" if strict else "")
        types: Any = Literal.__getitem__((self.type, *self.aliases))
        data: tuple[Any, ...] = (
            ("data", body) if self.needs_data else ("data", body if body is Any else body | None, None)
        )
        fields: list[Any] = [("type", types), data]
        made: Any = msgspec.defstruct(name, fields, bases=(Message,), kw_only=True, forbid_unknown_fields=strict)
        return cast(type[Message], made)


def _check_depth(payload: bytes) -> None:
    if too_deep(payload):
        raise RecursionError


def many(struct: type[Struct]) -> Any:
    """One object or an array of them: tables say one where samples show an array (CATALOG.md, tolerance 9)."""
    return struct | list[struct]  # type: ignore[valid-type]  # a type made at run time


_read_plain = msgspec.json.Decoder(Message).decode
